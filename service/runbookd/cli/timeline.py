"""The ledger read aloud: one line per entry, as a timeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final

from runbookd.cli.messages import CHANGING
from runbookd.cli.output import Column, at_terminal, length, moment, short, table
from runbookd.cli.shapes import written
from runbookd.language.calls import called
from runbookd.language.differences import lines
from runbookd.language.names import person
from runbookd.model.audit import Stage
from runbookd.model.reasons import Escalate, StepReason
from runbookd.stages.holders import expired_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runbookd.model.audit import Entry, LedgerEntry

_LONGEST = 160
_CHANGES_SHOWN = 8
_WHOLE = frozenset({"escalation_frozen"})
"""What is never cut: it is as long as the escalation."""


def timeline(entries: Sequence[LedgerEntry], *, indent: int = 0) -> None:
    """Print entries with the time since the first."""
    if not entries:
        return
    begin = entries[0].entry.at
    one_day = at_terminal() and entries[-1].entry.at.date() == begin.date()
    columns = [
        Column(f"{begin:%Y-%m-%d} UTC" if one_day else "AT (UTC)"),
        Column("+", right=True),
        Column("STAGE"),
        Column("WHAT", grow=True),
    ]
    rows = []
    for entry in (sealed.entry for sealed in entries):
        said = summary(entry)
        text = f"{_name(entry)}{'  ' if said else ''}{said}"
        at = f"{entry.at:%H:%M:%S}" if one_day else moment(entry.at)
        rows.append([at, length(entry.at - begin), entry.stage.value, text])
        rows += [["", "", "", f"  {each}"] for each in _changes(entry)]
    table(columns, rows, indent=indent)


def _name(entry: Entry) -> str:
    """Call an entry by its name; that people are told of it for a reason is not what the reason's own entry says."""
    handed = entry.what in set(Escalate) and {"priority", "rule"} <= entry.detail.keys()
    return f"handed_to_people  {entry.what}" if handed else entry.what


def summary(entry: Entry) -> str:
    """Say what an entry's detail comes to, in a few words."""
    detail = entry.detail
    if "path" in detail:
        text = _step(detail)
    elif entry.what in _SAYING:
        text = _SAYING[entry.what](detail)
    elif entry.stage is Stage.MATCH and isinstance(detail.get("rules"), list):
        text = _match(detail)
    else:
        text = _named(detail)
    by = f" (by {person(entry.actor)})" if entry.actor != "runbookd" else ""
    doubtful = (
        "path" in detail and detail.get("reason") == StepReason.IN_DOUBT
    )  # says what a person has to do
    return f"{text if doubtful or entry.what in _WHOLE else _cut(text)}{by}".strip()


def _changes(entry: Entry) -> list[str]:
    """What a step changed, or would have changed, in a few lines."""
    change = entry.detail.get("change")
    if not isinstance(change, Mapping):
        return []
    whole = f"runbookd runs show {short(entry.run_id)}"
    if "before" not in change:  # too long for the ledger
        return [f"what differs is long: {whole}"]
    return lines(change, _CHANGES_SHOWN, whole)


def _step(detail: Mapping[str, object]) -> str:
    attempt = detail.get("attempt")
    told = [
        str(detail["path"]),
        called(_first(detail, "action"), detail.get("params"), str(detail["path"])),
        "!" if detail.get("mutating") else "",
        f"attempt {attempt}" if attempt != 1 else "",
        _first(detail, "message", "reason"),
    ]
    return "  ".join(part for part in told if part)


def _levels(detail: Mapping[str, object]) -> str:
    """The levels of an escalation with their times, or the clocks whose breach they wait for."""
    levels = detail.get("levels")
    told = [
        f"level {place} {moment(due) if isinstance(due, datetime) else f'when {due} is breached'}"
        for place, due in (levels if isinstance(levels, list | tuple) else ())
    ]
    return f"{detail.get('escalation')}: {', '.join(told)}"


def _act(detail: Mapping[str, object]) -> str:
    """What a person said, and of a rise to which priority."""
    to = f"to {detail['priority']}" if detail.get("priority") else ""
    public = "told to everybody" if detail.get("public") else ""
    return "  ".join(part for part in (to, _first(detail, "text"), public) if part)


def _expired(detail: Mapping[str, object]) -> str:
    until = detail.get("until")
    at = f", due at {moment(until)}" if isinstance(until, datetime) else ""
    gave, to = expired_of(detail)
    return f"{gave}'s{f', handed to {to}' if to else ''}{at}"


def _several(detail: Mapping[str, object]) -> str:
    incidents = detail.get("incidents")
    ids = [short(str(each)) for each in incidents] if isinstance(incidents, list | tuple) else []
    return f"{len(ids)} of {detail.get('priority')}: {', '.join(ids)}"


def _message(detail: Mapping[str, object]) -> str:
    """Which kind of message went to whom; what only changes an earlier one bears that one's subject, and is without."""
    kind = _first(detail, "kind")
    subject = "" if kind in CHANGING else _first(detail, "subject")
    why = _first(detail, "error", "reason")
    told = [kind, _first(detail, "contact"), _first(detail, "channel"), subject, why]
    return "  ".join([*filter(None, told), short(_first(detail, "message") or None)])


_SAYING: Final[Mapping[str, Callable[[Mapping[str, object]], str]]] = {
    "acknowledgement_expired": _expired,
    "escalation_frozen": _levels,
    "message_dropped": _message,
    "message_failed": _message,
    "message_sent": _message,
    "page_passed_on": _message,
    "person_acknowledge": _act,
    "person_assign": _act,
    "person_escalate": _act,
    "person_note": _act,
    "person_resolve": _act,
    "person_review": _act,
    "several_incidents": _several,
}
"""Entries whose fields say nothing by themselves."""


def _match(detail: Mapping[str, object]) -> str:
    rules = detail["rules"]
    assert isinstance(rules, list)  # noqa: S101 - the caller looked
    taken = [str(each["rule"]) for each in rules if each["verdict"] == "matched"]
    by = f"by rule {', '.join(taken)}" if taken else "by no rule"
    return f"{detail.get('name', '')} {by}"


_TOLD = (
    "priority",
    "title",
    "playbook",
    "target",
    "mode",
    "clock",
    "level",
    "contact",
    "channel",
    "subject",
    "text",
    "source",
    "message",
    "detail",
    "reason",
    "error",
    "content",
)


def _named(detail: Mapping[str, object]) -> str:
    """The fields worth a word, in one order; all of them when none is known."""
    told = [str(detail[name]) for name in _TOLD if detail.get(name)]
    if "events" in detail and isinstance(detail["events"], list):
        told.append(f"{len(detail['events'])} event{'s' * (len(detail['events']) != 1)}")
    return "  ".join(told) or ", ".join(
        f"{name} {moment(value) if isinstance(value, datetime) else written(value)}"
        for name, value in detail.items()
        if value is not None
    )


def _first(detail: Mapping[str, object], *names: str) -> str:
    return next((str(detail[name]) for name in names if detail.get(name)), "")


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
