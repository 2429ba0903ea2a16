"""The ledger read aloud: one line per entry, as a timeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from runbookd.cli.output import Column, at_terminal, length, moment, short, table
from runbookd.cli.shapes import written
from runbookd.language.differences import lines
from runbookd.language.names import person
from runbookd.model.audit import Stage
from runbookd.model.reasons import StepReason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runbookd.model.audit import Entry, LedgerEntry

_LONGEST = 160
_CHANGES_SHOWN = 8


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
        text = f"{entry.what}{'  ' if said else ''}{said}"
        at = f"{entry.at:%H:%M:%S}" if one_day else moment(entry.at)
        rows.append([at, length(entry.at - begin), entry.stage.value, text])
        rows += [["", "", "", f"  {each}"] for each in _changes(entry)]
    table(columns, rows, indent=indent)


def summary(entry: Entry) -> str:
    """Say what an entry's detail comes to, in a few words."""
    detail = entry.detail
    if "path" in detail:
        text = _step(detail)
    elif entry.stage is Stage.MATCH and isinstance(detail.get("rules"), list):
        text = _match(detail)
    else:
        text = _named(detail)
    by = f" (by {person(entry.actor)})" if entry.actor != "runbookd" else ""
    doubtful = (
        "path" in detail and detail.get("reason") == StepReason.IN_DOUBT
    )  # says what a person has to do
    return f"{text if doubtful else _cut(text)}{by}".strip()


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
        str(detail.get("action") or ""),
        "!" if detail.get("mutating") else "",
        f"attempt {attempt}" if attempt != 1 else "",
        _first(detail, "message", "reason"),
    ]
    return "  ".join(part for part in told if part)


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
        f"{name} {written(value)}" for name, value in detail.items() if value is not None
    )


def _first(detail: Mapping[str, object], *names: str) -> str:
    return next((str(detail[name]) for name in names if detail.get(name)), "")


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
