"""Choosing a configured server by its name."""

from __future__ import annotations

from collections.abc import Mapping

from runbookd.actions.config import Endpoint
from runbookd.actions.failures import Rejected
from runbookd.language.fuzzy import did_you_mean

DEFAULT = "default"


def choose(servers: Mapping[str, Endpoint], name: str | None, setting: str) -> tuple[str, Endpoint]:
    """The named server; without a name the only one, or the one named `default`.

    Raises Rejected (`refused`) that names the setting when it is not there.
    """
    if name is None and len(servers) == 1:
        return next(iter(servers.items()))
    wanted = DEFAULT if name is None else name
    if wanted in servers:
        return wanted, servers[wanted]
    if name is None and servers:
        message = f"name a `server`: {', '.join(sorted(servers))} (or call one {DEFAULT!r} in `{setting}`)"
    else:
        message = f"there is no {wanted!r} in `{setting}` of the settings.{did_you_mean(wanted, servers)}"
    raise Rejected(message, kind="refused")
