"""What an answer of the API server that is no success means, in the words of `runbookd.actions.failures`.

The body is a Status object:
https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md#response-status-kind.
"""

from __future__ import annotations

from http import HTTPStatus

import orjson

from runbookd.actions.failures import Unavailable, failure_of_status
from runbookd.actions.kubernetes.kinds import Json, Ref
from runbookd.errors import ActionError

_EXCERPT = 500


def failure_of(
    cluster: str, verb: str, ref: Ref, answer: tuple[int, bytes], retry_after: float | None = None
) -> ActionError:
    """The failure of an answer, given as its status and body; 403 names the permission that is missing.

    `verb` is RBAC's; `retry_after` is in seconds, None when the answer has no such header.
    """
    status, body = answer
    said = status_of(body)
    message = f"cluster {cluster!r} answered {status} to {verb} {ref}"
    if status == HTTPStatus.UNAUTHORIZED:
        message += ": it does not accept the credentials; see `actions.kubernetes.clusters` in the settings"
    elif status == HTTPStatus.FORBIDDEN and is_missing_permission(said):
        message += f": missing permission: {missing_permission(ref, verb)}"
    words = said.get("message") or " ".join(body.decode("utf-8", "replace").split())[:_EXCERPT]
    message += f": {words}" if words else ""
    wait = _wait(said) if retry_after is None else retry_after
    if status == HTTPStatus.GONE and verb in {"list", "watch"}:
        changed = f"{message} (the list changed while it was read)"
        return Unavailable(changed, kind="unavailable", retry_after=wait)
    return failure_of_status(status, message, retry_after=wait)


def missing_permission(ref: Ref, verb: str) -> str:
    """The right in words: what a Role or ClusterRole would have to hold."""
    group = f'API group "{ref.kind.group}"'
    place = f'in namespace "{ref.namespace}"' if ref.namespace is not None else "in the whole cluster"
    return f'verb "{verb}" on "{ref.resource}" ({group}) {place}; `runbookd rbac` prints the roles needed'


def is_missing_permission(said: Json) -> bool:
    """Whether a 403 is the authorizer's, not an admission plugin's (a quota or a policy)."""
    message = str(said.get("message", ""))
    return not message or " cannot " in message


def status_of(body: bytes) -> Json:
    """The Status object in a body; empty when it holds none."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) and found.get("kind") == "Status" else {}


def _wait(said: Json) -> float | None:
    """Seconds to wait as the Status tells; None when it does not."""
    seconds = (said.get("details") or {}).get("retryAfterSeconds")
    return float(seconds) if isinstance(seconds, int) and seconds > 0 else None
