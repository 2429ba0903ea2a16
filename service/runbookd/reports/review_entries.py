"""What an entry of the ledger says in plain words, for the timeline of a review.

It says nothing of looks of checks, intents whose outcome is known, calls that only read and did not fail, and clocks
that were kept: a review tells of those elsewhere, or needs them not. Messages are told together (`review_timeline.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from runbookd.language import media
from runbookd.language.calls import called
from runbookd.language.differences import differences
from runbookd.language.names import person
from runbookd.model.action import Mode
from runbookd.model.incident import ClockKind
from runbookd.model.reasons import Answer, Escalate, Guard, StepReason
from runbookd.model.run import StepState
from runbookd.reports.review_words import (
    ENDS,
    SERVICE,
    listed,
    moment,
    needless,
    party,
    said,
    with_detail,
)
from runbookd.stages.holders import expired_of
from runbookd.stages.ladder import CALLED

if TYPE_CHECKING:
    from runbookd.model.audit import Entry
    from runbookd.model.incident import Incident

Detail = Mapping[str, object]
_CHANGES_TOLD = 3
_NOISE: Final = frozenset(
    {
        "admitted",
        "clock_met",
        "escalation_frozen",
        "level_called",
        "matched",
        "unmatched",
        Answer.DONE,
        Answer.TOLD_BEFORE,
        Answer.UNCHANGED,
        Answer.NOT_ASKED,
        Answer.NOT_A_PERSON,
        Guard.DUPLICATE,
        Guard.JOINED,
    }
)


def in_words(entry: Entry, incident: Incident) -> str:
    """Say what an entry tells; empty for what is not told here."""
    what, detail = entry.what, entry.detail
    if _is_noise(entry):
        return ""
    if "path" in detail:
        return _step(detail, what)
    if what.startswith("run_") and entry.run_id is not None:
        return with_detail(f"{detail.get('playbook')} {ENDS.get(what, said(what))}", detail.get("message"))
    if what in _SAYING:
        return _SAYING[what](detail, incident)
    if "priority" in detail and "rule" in detail:
        return with_detail(f"Handed to people, {said(what)}", detail.get("detail"))
    if "playbook" in detail and "rule" in detail:
        remedy = detail["playbook"] or "a remedy"
        return with_detail(f"Automation did not begin {remedy}, {said(what)}", detail.get("detail"))
    why = detail.get("text") or detail.get("detail") or detail.get("reason")
    return with_detail(_PHRASES.get(what, said(what).capitalize()), detail.get("target"), why)


def _is_noise(entry: Entry) -> bool:
    """Whether an entry says nothing, or what another says as well."""
    what, detail = entry.what, entry.detail
    if what in _NOTHING_WITHOUT_TEXT:
        return not str(detail.get("text") or "").strip()
    of_the_clock = what == Escalate.CLOCK and "clock" not in detail  # the clock has an entry of its own
    by_somebody = what == "incident_resolved" and entry.actor != SERVICE  # who ended it has one
    return what in _NOISE or what.startswith("message_") or of_the_clock or by_somebody


def _step(detail: Detail, what: str) -> str:
    """Tell of calls that changed something, would have, or failed; of checks only the run's end tells."""
    state, reason = what.removeprefix("step_"), detail.get("reason")
    action = called(_text(detail, "action"), detail.get("params"), str(detail["path"])) or None
    if action is None or state == StepState.INTENT:
        return ""
    if reason == StepReason.DRY_RUN:
        return f"{action}: dry run, nothing was changed"
    if state == StepState.SKIPPED:
        return f"{action} was not called, it only observes" if reason == StepReason.OBSERVED else ""
    if state == StepState.SUCCEEDED:
        return with_detail(f"{action} was done", *_changes(detail)) if detail.get("mutating") else ""
    if "verify" in str(detail["path"]).split("/"):
        return ""
    how = "is in doubt" if state == StepState.IN_DOUBT else "failed"
    return with_detail(f"{action} {how}", detail.get("message") or said(reason))


def _text(detail: Detail, name: str) -> str:
    return str(detail.get(name) or "")


def _changes(detail: Detail) -> list[str]:
    change = detail.get("change")
    found = [str(each) for each in differences(change if isinstance(change, Mapping) else None)]
    more = len(found) - _CHANGES_TOLD
    return found[:_CHANGES_TOLD] + ([f"and {more} more"] if more > 0 else [])


def _opened(detail: Detail, incident: Incident) -> str:
    return f"Incident opened as {detail.get('priority')}: {detail.get('title') or incident.title}"


def _begun(detail: Detail, _: Incident) -> str:
    where = f" on {detail['target']}" if detail.get("target") else ""
    only = ", only to observe" if detail.get("mode") == Mode.OBSERVE else ""
    return f"Automation began {detail.get('playbook')}{where}{only}"


def _fired(detail: Detail, incident: Incident) -> str:
    """Say whom a level meant; whom it reached, its messages say."""
    whom = [f"page {party(one, incident)}" for one in _texts(detail.get("page"))]
    whom += [party(one, incident) for one in _texts(detail.get("notify"))]
    how = "was called by hand" if detail.get("reason") in CALLED else "was due"
    return with_detail(f"{_level(detail)} {how}", listed(whom), _late(detail))


def _skipped(detail: Detail, _: Incident) -> str:
    return with_detail(f"{_level(detail)} was not needed", needless(detail.get("reason")))


def _collapsed(detail: Detail, incident: Incident) -> str:
    """Say that a level's pages were left out, and who was told all the same."""
    whom = [party(one, incident) for one in _texts(detail.get("notify"))]
    told = f"only {listed(whom)} told" if whom else ""
    what = f"{_level(detail)} paged nobody, for a later level was due as well"
    return with_detail(what, told, _late(detail))


def _level(detail: Detail) -> str:
    return f"Level {detail.get('level')} of the escalation"


def _late(detail: Detail) -> str:
    late = detail.get("late_seconds")
    if not isinstance(late, int | float) or late < 1:
        return ""
    return f"{media.in_words(timedelta(seconds=late))} late"


def _broken(detail: Detail, _: Incident) -> str:
    kind, due_at = detail.get("clock"), detail.get("due_at")
    what = "News was promised and did not come" if kind == ClockKind.UPDATE else f"The time to {kind} ran out"
    return f"{what}, it was due at {moment(due_at)}" if isinstance(due_at, datetime) else what


def _reminded(detail: Detail, incident: Incident) -> str:
    who = detail.get("of") or incident.assignee
    return f"{person(str(who)) if who else 'Who leads'} was reminded that news is promised"


def _expired(detail: Detail, _: Incident) -> str:
    gave, to = expired_of(detail)
    return f"The acknowledgement of {gave}{f', handed to {to},' if to else ''} expired"


def _nobody(detail: Detail, incident: Incident) -> str:
    return with_detail(f"Nobody to reach as {party(detail.get('reach'), incident)}", said(detail.get("why")))


def _unreached(detail: Detail, incident: Incident) -> str:
    then = "the next level does not wait" if detail.get("another_level") else "there is no other level"
    return f"No way to {party(detail.get('contact'), incident)} was left, and {then}"


def _passed_on(detail: Detail, incident: Incident) -> str:
    to = party(detail.get("contact"), incident)
    what = f"The phone of {to} could not be rung in time, and is tried on"
    return with_detail(what, detail.get("error"))


def _stranger(detail: Detail, _: Incident) -> str:
    name, what = detail.get("name") or "Somebody", detail.get("what")
    return f"{name}, whom the settings do not know, asked for {what}: nothing was done"


def _raised(detail: Detail, _: Incident) -> str:
    to = f" to {detail['priority']}" if detail.get("priority") else ""
    return with_detail(f"Escalated by hand{to}", detail.get("text"))


def _several(detail: Detail, _: Incident) -> str:
    count = len(_texts(detail.get("incidents")))
    return f"One of {count} incidents of {detail.get('priority')} within a short time"


def _texts(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list | tuple) else []


_NOTHING_WITHOUT_TEXT: Final = frozenset({"person_assign", "person_note"})
"""What says nothing if nobody wrote anything."""
_PHRASES: Final[Mapping[str, str]] = {
    "cancel_requested": "Automation was asked to stop",
    "incident_resolved": "Incident resolved",
    "next_rung_not_needed": "The next remedy was not needed",
    "person_acknowledge": "Acknowledged",
    "person_assign": "Lead given to",
    "person_note": "Note",
    "person_resolve": "Ended by hand",
    "person_review": "The review is done",
    "target_held": "Kept for people, until one releases it",
    "target_released": "Released by a person",
}
_SAYING: Final[Mapping[str, Callable[[Detail, Incident], str]]] = {
    "acknowledgement_expired": _expired,
    "clock_breached": _broken,
    "incident_opened": _opened,
    "level_collapsed": _collapsed,
    "level_fired": _fired,
    "level_skipped": _skipped,
    "nobody_reached": _unreached,
    "nobody_to_reach": _nobody,
    "page_passed_on": _passed_on,
    "person_escalate": _raised,
    "several_incidents": _several,
    "update_reminded": _reminded,
    Answer.UNKNOWN_PERSON: _stranger,
    Guard.GO: _begun,
}
"""What is said of entries by their names. All others are said by their names alone."""
