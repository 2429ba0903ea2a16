"""Environment variables that look like settings and are none: a misspelt one would be silent otherwise."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydantic import BaseModel

from runbookd.errors import SettingsError
from runbookd.language.fuzzy import did_you_mean
from runbookd.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pydantic.fields import FieldInfo

_PREFIX = "RUNBOOKD_"
_NO_SETTINGS = re.compile(r"RUNBOOKD_(CONFIG|SECRET_.+)")
"""Variables that mean something else: the file of settings, and secrets."""

_KUBERNETES = re.compile(
    r"RUNBOOKD_(.+_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT_\d+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?)"
)
"""What the kubelet sets in every pod for Services whose names begin with runbookd.

https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
"""

_KUBERNETES_PORT = re.compile(r"(tcp|udp|sctp)://.+")
"""The value of its `RUNBOOKD_PORT`."""


def refuse_unknown(variables: Mapping[str, str]) -> None:
    """Raise SettingsError for each of these environment variables that looks like a setting and is none.

    Those inside a section, such as `RUNBOOKD_WEB__PROT`, are found by `load_settings`.
    """
    sections = {
        f"{name.upper()}__" for name, info in Settings.model_fields.items() if _section(info) is not None
    }
    known = set(_variables())
    lines = [
        f"variable {name} is no setting.{_meant(name.upper(), known)} `runbookd schema settings` lists them all"
        for name, value in sorted(variables.items())
        if name.upper().startswith(_PREFIX)
        and name.upper() not in known
        and not name.upper().removeprefix(_PREFIX).startswith(tuple(sections))
        and not _is_another(name.upper(), value)
    ]
    if lines:
        raise SettingsError("\n".join(lines))


def _meant(name: str, known: Iterable[str]) -> str:
    """Say which variable was probably meant; what all begin with tells nothing."""
    hint = did_you_mean(name.removeprefix(_PREFIX), [each.removeprefix(_PREFIX) for each in known])
    return hint.replace("'", f"'{_PREFIX}", 1)


def _is_another(name: str, value: str) -> bool:
    """Whether a variable means something else than a setting."""
    if _NO_SETTINGS.fullmatch(name) or _KUBERNETES.fullmatch(name):
        return True
    return name.endswith("_PORT") and _KUBERNETES_PORT.fullmatch(value) is not None


def _variables() -> Iterator[str]:
    """Yield the name of every setting's variable, two levels deep."""
    for name, info in Settings.model_fields.items():
        yield f"{_PREFIX}{name.upper()}"
        section = _section(info)
        for below in section.model_fields if section is not None else ():
            yield f"{_PREFIX}{name.upper()}__{below.upper()}"


def _section(info: FieldInfo) -> type[BaseModel] | None:
    """Return the model of a setting that holds others; None for a plain one."""
    kind = info.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None
