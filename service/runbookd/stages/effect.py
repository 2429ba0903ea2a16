"""Effect: whether a run may have changed anything, as far as its journal tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbookd.model.run import StepRecord, StepState

if TYPE_CHECKING:
    from collections.abc import Iterable

_WITHOUT_EFFECT = frozenset(
    {
        "denied",
        "invalid",
        "not_found",
        "not_set",
        "refused",
        "secret_missing",
        "unknown_action",
        "unsupported",
    }
)
"""Kinds of failures by which a call is known not to have been carried out, by this service's word or the target's.

https://www.rfc-editor.org/rfc/rfc9110#section-15.5; all other kinds may come in the middle of a change.
"""


def changed_nothing(rows: Iterable[StepRecord]) -> bool:
    """Whether no call was made that may have changed anything; true as well when none was to."""
    return all(_is_without_effect(row) for row in rows if row.mutating)


def _is_without_effect(row: StepRecord) -> bool:
    if row.state is StepState.FAILED:
        return row.reason in _WITHOUT_EFFECT
    return row.state is StepState.SKIPPED
