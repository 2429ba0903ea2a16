"""What a call is called where people read: the action, and of a request over HTTP what is asked of whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from runbookd.language.values import SecretRef, SecretText

if TYPE_CHECKING:
    from runbookd.model.run import StepRecord

_REQUEST: Final = "http.request"
_UNDO: Final = "undo/"
"""How the path of a step begins that reverses another; it has the parameters of that one."""


def call_of(step: StepRecord) -> str:
    """Name the call of a step; empty for one that calls nothing."""
    return called(step.action, step.params, step.path)


def called(action: str | None, params: object, path: str = "") -> str:
    """Name a call: `http.request POST https://shop.example/admin/rollback`; any other is called by its action."""
    if action != _REQUEST or not isinstance(params, Mapping):
        return action or ""
    reverse = params.get("undo") if path.startswith(_UNDO) else None
    sent = reverse if isinstance(reverse, Mapping) else params
    place = _place(sent.get("url"))
    return f"{action} {sent.get('method', 'GET')} {place}" if place else action


def _place(url: object) -> str:
    """Write an address without what may be secret in it: user, password, query and fragment; empty if it is none."""
    written = "".join(map(_part, url.parts)) if isinstance(url, SecretText) else url
    try:
        parts = urlsplit(written if isinstance(written, str) else "")
    except ValueError:
        return ""
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}" if parts.scheme and host else ""


def _part(part: str | SecretRef) -> str:
    return f"${{secret.{part.name}}}" if isinstance(part, SecretRef) else part
