"""What the journal's rows leave behind elsewhere: ledger entries, and evidence."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from runbookd.language.values import canonical_json, encode
from runbookd.model.audit import Entry, Stage
from runbookd.model.run import Evidence, Run, StepRecord, StepState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from runbookd.model.event import Delivery, Notification
    from runbookd.stages.journal import Answered

_LONGEST_DETAIL = (
    16_384  # characters of parameters or results that go into one ledger entry; the journal has all
)


def entries_of(run: Run, records: Sequence[StepRecord], now: datetime) -> list[Entry]:
    """One ledger entry per row written: intents of mutating calls, and every end."""
    return [_entry(run, record, now) for record in records if _worth(record)]


def _worth(record: StepRecord) -> bool:
    if record.state is StepState.INTENT:
        return record.mutating
    return record.state is not StepState.WAITING


def _entry(run: Run, record: StepRecord, now: datetime) -> Entry:
    stage = Stage.VERIFY if record.path.startswith("verify") or "/verify" in record.path else Stage.EXECUTE
    detail: dict[str, object] = {
        "path": record.path,
        "attempt": record.attempt,
        "action": record.action,
        "mutating": record.mutating,
        "reason": record.reason,
        "message": record.message,
    }
    if record.mutating or record.state is StepState.SKIPPED:
        detail["params"] = bounded(record.params)
    if record.change is not None:
        detail["change"] = bounded(record.change)
    return Entry(
        at=now,
        stage=stage,
        what=f"step_{record.state.value}",
        incident_id=run.incident_id,
        run_id=run.id,
        detail={name: value for name, value in detail.items() if value is not None},
    )


def bounded(value: Mapping[str, object]) -> object:
    """Return the value, or when it is long its beginning as text with its SHA-256."""
    text = canonical_json(encode(dict(value)))
    if len(text) <= _LONGEST_DETAIL:
        return dict(value)
    return {"begins": text[:_LONGEST_DETAIL], "sha256": hashlib.sha256(text.encode()).hexdigest()}


def answer_evidence(
    run: Run, answers: Mapping[str, Answered], records: Sequence[StepRecord], now: datetime
) -> Iterable[Evidence]:
    """Whatever the calls attached, and the whole result of every step in an `evidence` block."""
    for path, answered in answers.items():
        if answered.outcome is None:
            continue
        for piece in answered.outcome.evidence:
            yield _evidence(run, piece.name, (piece.media_type, piece.content), now)
        ended = next((record for record in records if record.path == path), None)
        collected = path.startswith("evidence/") or "/evidence/" in path
        if collected and ended is not None and ended.state is StepState.SUCCEEDED:
            text = canonical_json(encode(dict(answered.outcome.output)))
            yield _evidence(run, path, ("application/json", text.encode()), now)


def _evidence(run: Run, name: str, content: tuple[str, bytes], now: datetime) -> Evidence:
    media_type, body = content
    return Evidence(
        run_id=run.id,
        incident_id=run.incident_id,
        name=name,
        media_type=media_type,
        content=body,
        sha256=hashlib.sha256(body).hexdigest(),
        taken_at=now,
    )


def admitted_entry(
    delivery: Delivery, notification: Notification, ids: list[list[str]], now: datetime
) -> Entry:
    """One ledger entry for a chunk: which delivery, and what became of each of its events."""
    return Entry(
        at=now,
        stage=Stage.ADMIT,
        what="admitted",
        delivery_id=delivery.id,
        detail={
            "source": delivery.source,
            "received_at": delivery.received_at,
            "sha256": delivery.sha256,
            "events": ids,
            "truncated": notification.truncated,
            "refused": list(notification.refused),
        },
    )
