"""One service with given content, and an Alertmanager's configuration that tells it everything."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from runbookd.settings import shipped
from tests.acceptance.nursery import Mortal, Nursery
from tests.servers import temporary_folder


@contextlib.asynccontextmanager
async def one_service(
    born_by: Nursery,
    content: Path | None = None,
    *,
    rules: str = "",
    playbooks: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> AsyncIterator[Mortal]:
    """A service, not started; killed with the block.

    Content is a folder with `rules` and `playbooks` that stands before what is shipped, or text that stands alone.
    """
    given = dict(settings or {})
    if content is not None:
        given |= {kind: [str(content / kind), str(shipped(kind))] for kind in ("rules", "playbooks")}
    with temporary_folder("runbookd") as name:
        it = Mortal.at(Path(name), rules=rules, playbooks=playbooks or {}, settings=given)
        it.nursery = born_by
        try:
            yield it
        finally:
            await it.kill()


def alertmanager_telling(service: Mortal, *, repeat: str = "1h", **webhook: Any) -> dict[str, Any]:
    """An Alertmanager configuration that sends everything to the service at once; `webhook` adds to its entry.

    What changes is told a second later; what does not, after `repeat`.
    """
    entry = {
        "url": service.hook,
        "send_resolved": True,
        "http_config": {"authorization": {"credentials": service.token}},
        **webhook,
    }
    return {
        "route": {
            "receiver": "runbookd",
            "group_by": ["alertname"],
            "group_wait": "0s",
            "group_interval": "1s",
            "repeat_interval": repeat,
        },
        "receivers": [{"name": "runbookd", "webhook_configs": [entry]}],
    }
