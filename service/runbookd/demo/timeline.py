"""The ledger as it is written, told in sentences."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from runbookd.demo.messages import FAILED, SENT, failed, place_of, sent
from runbookd.demo.screen import Screen
from runbookd.model.audit import Entry, Stage
from runbookd.model.durations import format_duration
from runbookd.model.escalation import MessageKind
from runbookd.model.reasons import Guard
from runbookd.ports import Store, Tx

_PAGE: Final = 200
_LOOK: Final = re.compile(r"@\d+$")
_GOOD, _BAD, _DIM = "green", "bold red", "dim"
_SHORT: Final = 8

Told = tuple[str, str]
"""A sentence and its style."""


class Timeline:
    """Reads what is new in the ledger and shows it.

    `entries` are all that were read, oldest first; `waiting` is how many messages were on their way at the last look,
    `places` the names of the channels made in Slack, by their ids and by those of the incidents they are for.
    """

    def __init__(self, store: Store, screen: Screen) -> None:
        self._store, self._screen = store, screen
        self._seq = 0
        self.entries: list[Entry] = []
        self.waiting = 0
        self.places: dict[str, str] = {}

    async def look(self) -> None:
        """Show what was written since the last look."""

        async def read(tx: Tx) -> list[tuple[int, Entry]]:
            news = [(each.seq, each.entry) for each in await tx.ledger.read(self._seq, _PAGE, {})]
            self.waiting, _ = await tx.messages.unsettled()
            for _, entry in news:
                await self._note_channel(tx, entry)
            return news

        news = await self._store.read(read)
        if not news:
            return
        self._seq = news[-1][0]
        # The delivery's own entry is the last of its transaction; the reader wants it first.
        for entry in sorted((entry for _, entry in news), key=lambda one: (one.at, one.what != "admitted")):
            self.entries.append(entry)
            self._show(entry)

    async def _note_channel(self, tx: Tx, entry: Entry) -> None:
        """Remember the name of the channel that was made for an incident."""
        if entry.what != SENT or entry.detail["kind"] != MessageKind.CHANNEL:
            return
        incident = await tx.incidents.get(entry.incident_id or "")
        if incident is not None and incident.channel is not None:
            name = f"#{incident.channel['name']}"
            self.places |= {incident.channel["id"]: name, incident.id: name}

    def _show(self, entry: Entry) -> None:
        if entry.what in {SENT, FAILED}:
            good = entry.what == SENT
            told = sent(entry, self.called(entry), self.places) if good else failed(entry, self.places)
            if told is not None:
                self._screen.say("tell", told, style="" if good else _BAD, at=entry.at)
            return
        sentence_and_style = sentence(entry)
        if sentence_and_style is not None:
            stage = Stage.RECEIVE if entry.what == "admitted" else entry.stage
            text, style = sentence_and_style
            self._screen.say(stage.value, text, style=style, at=entry.at)

    def called(self, entry: Entry) -> str:
        """Name the incident an entry is about: its priority and title."""
        opened = self.first(
            lambda one: one.what == "incident_opened" and one.incident_id == entry.incident_id
        )
        return "" if opened is None else f"{opened.detail['priority']} {opened.detail['title']}"

    def first(self, wanted: Callable[[Entry], bool]) -> Entry | None:
        """Return the first entry of this kind, None when there is none yet."""
        return next((entry for entry in self.entries if wanted(entry)), None)


def sentence(entry: Entry) -> Told | None:
    """Tell an entry; None for one that says nothing new to somebody who watches."""
    if entry.what.startswith("step_"):
        return _step(entry)
    if entry.what.startswith("run_") and entry.run_id is not None:
        return _run_ended(entry)
    if entry.stage is Stage.PLAN:
        return _planned(entry)
    if entry.stage is Stage.ESCALATE:
        return _escalated(entry)
    teller = _TELLERS.get(entry.what)
    return teller(entry.detail) if teller is not None else None


def _started(detail: Mapping[str, Any]) -> Told:
    return f"runbookd {detail['version']}: {detail['rules']} rules, {detail['playbooks']} playbooks", ""


def _admitted(detail: Mapping[str, Any]) -> Told:
    outcomes = ", ".join(outcome for _, outcome in detail["events"])
    return f"a notification from {detail['source']} is on disk: {outcomes}", ""


def _matched(detail: Mapping[str, Any]) -> Told:
    takers = [each["rule"] for each in detail["rules"] if each["verdict"] == "matched"]
    return f"{detail['name']} is taken by the rule {', '.join(takers)}", ""


def _opened(detail: Mapping[str, Any]) -> Told:
    promised = ", ".join(detail["clocks"]) or "none"
    return f'{detail["priority"]} incident opened: "{detail["title"]}"; clocks: {promised}', "bold"


def _resolved(detail: Mapping[str, Any]) -> Told:
    return f"incident resolved after {detail['seconds']:.1f} s", _GOOD


_TELLERS: Final[Mapping[str, Callable[[Mapping[str, Any]], Told]]] = {
    "started": _started,
    "admitted": _admitted,
    "matched": _matched,
    "incident_opened": _opened,
    "incident_resolved": _resolved,
}


def _planned(entry: Entry) -> Told:
    detail: Mapping[str, Any] = entry.detail
    playbook = detail.get("playbook") or "the playbook"
    if entry.what == Guard.GO.value:
        return f"{playbook} may {detail['mode']} on {detail['target']} (run {short(entry.run_id)})", "bold"
    return f"{playbook} does not run: {entry.what}: {detail.get('detail') or ''}".rstrip(": "), _BAD


def _step(entry: Entry) -> Told | None:
    detail: Mapping[str, Any] = entry.detail
    path, state = str(detail["path"]), entry.what.removeprefix("step_")
    if (
        _LOOK.search(path) or path == Stage.VERIFY.value
    ):  # every single look, and what the run's end says anyway
        return None
    if path.startswith("verify/") and state == "succeeded":
        return f"{path}: held long enough", ""
    action = f"  {detail['action']}" if detail.get("action") else ""
    if state == "intent":
        return f"{path}{action}: intent on disk, now the call", ""
    why = f": {detail['message']}" if detail.get("message") and state != "succeeded" else ""
    style = {"succeeded": "", "skipped": _DIM}.get(state, _BAD)
    return f"{path}{action}: {state}{why}", style


def _run_ended(entry: Entry) -> Told:
    detail: Mapping[str, Any] = entry.detail
    state = entry.what.removeprefix("run_")
    why = f": {detail['message']}" if detail.get("message") else ""
    good = state in {"verified", "succeeded"}
    return f"{detail['playbook']} {state} after {detail['seconds']:.1f} s{why}", _GOOD if good else _BAD


def _escalated(entry: Entry) -> Told | None:
    """What people are, or would have been, told; what needs nobody is left out."""
    what, detail = entry.what, entry.detail
    if what in {"clock_met", "escalation_frozen", "level_called", "level_skipped", "message_dropped"}:
        return None
    if what in {"level_fired", "level_collapsed"}:
        paged, noticed = _texts(detail.get("page")), _texts(detail.get("notify"))
        reached = ", ".join(place_of(one, {}) for one in (*paged, *noticed))
        return f"level {detail['level']} of the escalation is told: {reached}", _BAD if paged else ""
    return f"people are to be told: {what}: {detail.get('detail') or detail.get('clock')}", _BAD


def _texts(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list | tuple) else []


def short(name: str | None) -> str:
    """The end of an id, enough to name it to the command line."""
    return (name or "")[-_SHORT:]


def seconds_between(begin: datetime, end: datetime) -> str:
    """A length of time for people: `5.3s`, `1m12s`."""
    length = end - begin
    return f"{length.total_seconds():.1f}s" if length.total_seconds() < 60 else format_duration(length)  # noqa: PLR2004 - a minute
