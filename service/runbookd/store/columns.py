"""How values become columns: times as whole microseconds since 1970 in UTC, trees as JSON text."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson

from runbookd.errors import DamagedRow
from runbookd.language.values import canonical_json, decode, encode
from runbookd.model.event import Event, Status

if TYPE_CHECKING:
    from collections.abc import Mapping

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(moment: datetime) -> int:
    """Return an aware moment as microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def micros_or_none(moment: datetime | None) -> int | None:
    """As `micros`; None stays None."""
    return None if moment is None else (moment - _EPOCH) // _MICROSECOND


def moment(column: int) -> datetime:
    """Return the moment in UTC that `micros` was given."""
    return _EPOCH + timedelta(microseconds=column)


def moment_or_none(column: int | None) -> datetime | None:
    """As `moment`; None stays None."""
    return None if column is None else _EPOCH + timedelta(microseconds=column)


def tree_text(tree: Mapping[str, object]) -> str:
    """Write a map of anything `language.values` can encode; raises EvaluationError for what it cannot."""
    return _dump(encode(tree))


def tree_text_or_none(tree: Mapping[str, object] | None) -> str | None:
    """As `tree_text`; None stays None."""
    return None if tree is None else tree_text(tree)


def tree(column: str) -> dict[str, Any]:
    """Restore what `tree_text` wrote."""
    restored: dict[str, Any] = decode(_load(column))
    return restored


def tree_or_none(column: str | None) -> dict[str, Any] | None:
    """As `tree`; None stays None."""
    return None if column is None else tree(column)


def event_text(event: Event) -> str:
    """Write an event whole."""
    return _dump(
        {
            "source": event.source,
            "name": event.name,
            "status": event.status.value,
            "fingerprint": event.fingerprint,
            "severity": event.severity,
            "labels": dict(event.labels),
            "annotations": dict(event.annotations),
            "starts_at": micros_or_none(event.starts_at),
            "ends_at": micros_or_none(event.ends_at),
            "url": event.url,
            "extra": encode(event.extra),
        }
    )


def event(column: str) -> Event:
    """Restore what `event_text` wrote."""
    fields = _load(column)
    fields["status"] = Status(fields["status"])
    fields["starts_at"] = moment_or_none(fields["starts_at"])
    fields["ends_at"] = moment_or_none(fields["ends_at"])
    fields["extra"] = decode(fields["extra"])
    return Event(**fields)


def _dump(encoded: object) -> str:
    """Write JSON; what the fast writer refuses (half surrogate pairs) goes to the slower."""
    try:
        return orjson.dumps(encoded).decode()
    except orjson.JSONEncodeError:
        return canonical_json(encoded)


def _load(column: str) -> Any:
    """Read JSON; what the fast reader refuses (half surrogate pairs) goes to the slower. Raises DamagedRow."""
    try:
        return orjson.loads(column)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(column)
    except json.JSONDecodeError as error:
        raise DamagedRow(
            f"A row is damaged: {error}. Keep a copy of the database; its backup has the row."
        ) from None
