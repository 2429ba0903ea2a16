"""Promise G6, G7, G8, of everything together: random ladders, people, failures of channels, outages and crashes."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, event, example, given, settings
from hypothesis import strategies as st

from runbookd.model.action import Outcome, OutcomeState, Repeat
from runbookd.model.audit import LedgerEntry
from runbookd.model.escalation import IncidentLevel, LevelState, Message, MessageKind, MessageState
from runbookd.model.incident import Incident, IncidentState
from runbookd.model.library import Library
from runbookd.model.rule import Priority
from runbookd.stages.audit import broken_links
from runbookd.stages.ladder import ANEW, BY_HAND, HEARD, OUTDATED, STILL
from runbookd.units.frozen import own_times
from runbookd.units.people import Do
from tests.acceptance.engine import NOON, alert
from tests.acceptance.people import MINUTE, SECOND, House, house, ladder, mailed
from tests.acceptance.voices import DEAF, DOUBT, NOT_NOW, Killed

STORIES = int(os.environ.get("RUNBOOKD_STORIES", "40"))
LONG = timedelta(minutes=75)
"""After this nothing is left to come: no message is tried for longer than an hour."""

Op = tuple[str, int]
Coming = Outcome | type[Killed] | None
REASONS = {"acknowledged", "responded", "resolved", "nobody_to_reach", HEARD, OUTDATED}


@dataclass(frozen=True, slots=True)
class Story:
    """A ladder, what happens in its time, and how the calls that send end, in their order."""

    levels: list[dict[str, Any]]
    priority: dict[str, Any]
    worse: dict[str, Any]
    ops: Sequence[Op]
    coming: Sequence[Coming]
    repeats: Repeat

    def library(self) -> Library:
        """The content it plays on."""
        content = ladder(self.levels, ROLES, **self.priority)
        worse = Priority.model_validate({"name": "Worse", "escalation": "ladder", **self.worse})
        return replace(content, priorities={"worse": worse, **content.priorities})


ROLES = mailed("r0", "r1", "r2")
ROLES["r1"] = mailed("r1", backups=True)["r1"]
ROLES["r2"]["primary"] |= {"slack": "#r2", "pagerduty": {"service_key": "${secret.pd_r2}"}}
NAMES = st.sampled_from(["r0", "r1", "r2", "r1.secondary", "slack:#all", "gone"])
WHEN = st.sampled_from(
    [{"after": f"{minute}m"} for minute in (0, 1, 3, 3, 8, 20)]
    + [{"on_breach": clock} for clock in ("acknowledge", "resolve", "update")]
)
LEVELS = st.builds(
    lambda when, unless, page, notify: {
        **when,
        **({"unless": unless} if unless else {}),
        "page": page,
        "notify": notify if page or notify else ["r0"],
    },
    WHEN,
    st.sampled_from([None, "acknowledged", "responded", "resolved"]),
    st.lists(NAMES, max_size=2, unique=True),
    st.lists(NAMES, max_size=1),
)
PRIORITY = st.fixed_dictionaries(
    {"acknowledge_within": st.just("4m"), "resolve_within": st.just("9m"), "channel": st.booleans()},
    optional={
        "ack_expires": st.just("6m"),
        "update_every": st.just("20m"),
        "announce": st.just(["slack:#all", "statuspage"]),
        "review_within": st.just("1h"),
    },
)
MOVES = st.tuples(st.sampled_from(["move", "sleep"]), st.sampled_from([1, 2, 5, 12]))
FIRST = st.sampled_from([("sleep", 12), ("sleep", 5), ("move", 1), ("ack", 0), ("deaf", 1)])
ACTS = st.tuples(
    st.sampled_from(["ack", "ack", "escalate", "note", "assign", "resolve", "mended", "breaks", "reload"]),
    st.sampled_from([0, 1]),
)
DEAFNESS = st.tuples(st.just("deaf"), st.sampled_from([0, 0, 1, 2, 3, 4]))
WHO_IS_DEAF: tuple[set[str], ...] = (set(), {"r0@"}, {"r1@", "r1-backup@"}, {"r2@", "pd_r2"}, {"@", "pd_r2"})
"""Nobody, one of the roles each, and every one."""
NO = Outcome(state=OutcomeState.FAILED, failure=DEAF)
COMING = st.sampled_from([None, None, NOT_NOW, NO, DOUBT, Killed])


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """A random story."""
    levels = draw(st.lists(LEVELS, min_size=2, max_size=5))
    timed = iter(sorted((one for one in levels if "after" in one), key=lambda one: int(one["after"][:-1])))
    ordered = [next(timed) if "after" in one else one for one in levels]
    return Story(
        levels=ordered,
        priority=draw(PRIORITY),
        worse=draw(PRIORITY),
        ops=[draw(FIRST), *draw(st.lists(st.one_of(MOVES, MOVES, ACTS, DEAFNESS), min_size=2, max_size=9))],
        coming=draw(st.lists(COMING, max_size=20)),
        repeats=draw(st.sampled_from([Repeat.SAFE, Repeat.PROBE, Repeat.NEVER])),
    )


CALLED_IN_VAIN = Story(
    levels=[
        {"after": "0m", "unless": "acknowledged", "page": ["r0"]},
        {"after": "8m", "unless": "acknowledged", "page": ["r1"]},
        {"on_breach": "resolve", "page": ["r2"]},
    ],
    priority={"acknowledge_within": "4m", "resolve_within": "9m"},
    worse={"acknowledge_within": "4m", "resolve_within": "9m"},
    ops=[("move", 1), ("deaf", 4), ("escalate", 0), ("move", 1), ("deaf", 0)],
    coming=[],
    repeats=Repeat.SAFE,
)
"""A person calls for help while nobody can be reached."""


@settings(
    max_examples=STORIES,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(story=stories())
@example(story=CALLED_IN_VAIN)
def test_no_level_is_lost_and_nobody_is_told_twice(story: Story) -> None:
    """Each level is told, skipped or taken in, for a reason; each message ends; no page is two; nobody is forgotten."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_live_through(Path(folder), story))


async def _live_through(folder: Path, story: Story) -> None:
    """Let the story happen, then time go by, and look."""
    async with house(folder, story.library()) as home:
        home.voices.coming, home.voices.repeats = list(story.coming), story.repeats
        deaths = 0
        for op in [("breaks", 0), *story.ops]:
            try:
                await _do(home, op)
            except Killed:
                deaths += 1
                await home.restart()
            home.lab.clock.at += SECOND
        home.voices.deaf = set()
        deaths += await home.survive(LONG)
        messages = await home.lab.messages()
        sent = Counter(call.key for _, call in home.voices.sent)
        assert sum(sent.values()) - len(sent) <= deaths
        entries = await home.lab.ledger()
        assert list(broken_links(entries)) == []
        ended = Counter(
            one.entry.detail.get("message") for one in entries if one.entry.what.startswith("message_")
        )
        for message in messages:
            assert message.settled, message
            assert ended[message.id] == 1, message
            assert message.state is MessageState.SENT or message.reason, message
            event(f"message {message.state.value}")
        for incident in await home.lab.incidents():
            levels = await home.lab.levels(incident)
            own = [one for one in messages if one.incident_id == incident.id]
            for level in levels:
                _is_settled(level, incident, own, entries)
                event(f"level {level.state.value}")
            _nobody_is_forgotten(incident, levels, own)
            times = await home.lab.store.read(partial(own_times, incident=incident))
            for level in levels:
                _called_in_vain(level, times.get(level.number), own, entries)
            until = incident.acknowledged_until
            assert until is None or until > home.lab.clock.now() or incident.resolved_at is not None


async def _do(home: House, op: Op) -> None:
    """One thing of a story."""
    what, number = op
    lab = home.lab
    now = lab.clock.now()
    acts: dict[str, tuple[Do, dict[str, Any]]] = {
        "ack": (Do.ACKNOWLEDGE, {"actor": ("anna", "pagerduty:ben")[number % 2], "key": None}),
        "escalate": (Do.ESCALATE, {"text": "more", "priority": "worse" if number else None}),
        "note": (Do.NOTE, {"text": "news", "public": bool(number)}),
        "assign": (Do.ASSIGN, {"text": f"anna {number}"}),
        "resolve": (Do.RESOLVE, {"text": "done"}),
    }
    if what in acts:
        do, fields = acts[what]
        await lab.act(do, **fields)
    elif what == "move":
        await lab.move(number * MINUTE)
    elif what == "sleep":
        await home.sleeps(number * MINUTE)
    elif what == "deaf":
        home.voices.deaf = WHO_IS_DEAF[number]
    elif what == "reload":
        library = lab.pipeline.desk.library
        lab.pipeline.desk = lab.pipeline.desk.using(
            replace(library, roles=dict([*library.roles.items()][1:]))
        )
    elif what == "mended":
        await lab.hear(alert(began=now - SECOND, ended=now))
    else:
        await lab.hear(alert(began=now))


def _is_settled(
    level: IncidentLevel,
    incident: Incident,
    own: Sequence[Message],
    entries: Sequence[LedgerEntry],
) -> None:
    """A level is settled with its reason, unless the breach it waits for never came in an incident that is open.

    While nobody can be reached, levels begin anew for ever.
    One that was told and is asked again may end otherwise than it did the first time.
    """
    said = [one.entry for one in entries if one.entry.incident_id == incident.id]
    fired = any(one.what == "level_fired" and one.detail["level"] == level.place for one in said)
    unreached = {one.detail["for"] for one in said if one.what == "nobody_reached"}
    pages = [
        one
        for one in own
        if one.kind is MessageKind.PAGE and f"{one.facts['reason']} ".startswith(f"level {level.place} ")
    ]
    if level.state is LevelState.PENDING:
        assert level.due_at is None or level.reason in {ANEW, STILL}, level
        assert incident.state is IncidentState.OPEN, level
    elif level.state is LevelState.SKIPPED:
        assert level.reason in REASONS, level
        assert pages == [] or fired, level
    elif level.state is LevelState.COLLAPSED:
        assert level.reason in {"a later level was due as well", OUTDATED}, level
        assert pages == [] or fired, level
    elif level.page and not pages:
        assert level.notify, level  # its pages lead to nobody, which the ledger says; its notices went out
    if pages and all(one.state is MessageState.FAILED for one in pages):
        assert {one.facts["reason"] for one in pages} <= unreached, level
    addresses = Counter((one.facts["reason"], one.channel, str(one.address)) for one in pages)
    assert {*addresses.values()} <= {1}, pages


def _called_in_vain(
    level: IncidentLevel, at: datetime | None, own: Sequence[Message], entries: Sequence[LedgerEntry]
) -> None:
    """A level nobody of which was reached when it was called is judged once more, at its own time.

    Not after a rise in priority, which ends the levels of before.
    """
    pages = [one for one in own if one.kind is MessageKind.PAGE and one.facts.get("level") == level.number]
    calls = [one for one in pages if one.facts.get("because") == BY_HAND]
    if at is None or not calls or any(one.state is not MessageState.FAILED for one in calls):
        return
    by = max(one.settled_at or at for one in calls)
    called_at = calls[0].created_at
    said = [
        one.entry
        for one in entries
        if one.entry.incident_id == level.incident_id and one.entry.at > called_at
    ]
    risen = any(one.what == "escalation_frozen" for one in said)
    if by >= at or risen or level.reason == OUTDATED:
        return
    event("called in vain")
    judged = [
        one
        for one in said
        if one.at > by
        and one.what in {"level_fired", "level_skipped", "level_collapsed"}
        and one.detail["level"] == level.place
    ]
    assert level.state is LevelState.PENDING or judged, level


def _nobody_is_forgotten(incident: Incident, levels: Sequence[IncidentLevel], own: Sequence[Message]) -> None:
    """When no page got through for an incident that nobody has, every level that pages was tried."""
    pages = [one for one in own if one.kind is MessageKind.PAGE]
    reached = any(one.state is not MessageState.FAILED for one in pages)
    if reached or incident.acknowledged_at is not None or incident.state is IncidentState.RESOLVED:
        return
    begun = any(
        level.page and level.state is not LevelState.PENDING and level.reason != OUTDATED for level in levels
    )
    for level in levels:
        if level.page and begun:
            assert level.state in {LevelState.FIRED, LevelState.SKIPPED} or level.reason == OUTDATED, level


# a call that reaches nobody --------------------------------------------------------------------------------------

STEPS = st.tuples(st.sampled_from([1, 2, 5, 10, 15]), st.sampled_from([None, "acknowledged", "resolved"]))
CALLS = st.sampled_from([1, 2, 4, 6, 8, 11, 13, 16, 19, 22, 26, 32, 41])


@st.composite
def ladders(draw: st.DrawFn) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Levels, the first told at once and the others at a time or a breach, and when an acknowledgement expires."""
    levels: list[dict[str, Any]] = [{"after": "0m", "unless": "acknowledged", "page": ["r0"]}]
    at = 0
    for role in ("r1", "r2")[: draw(st.integers(1, 2))]:
        apart, unless = draw(STEPS)
        at += apart
        when = draw(
            st.sampled_from([{"after": f"{at}m"}, {"on_breach": "respond"}, {"on_breach": "resolve"}])
        )
        stops = {"unless": unless} if unless and "after" in when else {}
        levels.append({**when, **stops, "page": [role]})
    expires = draw(st.sampled_from([{}, {"ack_expires": "10m"}, {"ack_expires": "30m"}]))
    return levels, expires


@settings(max_examples=STORIES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(wanted=ladders(), call=CALLS, taken=st.sampled_from([None, 1, 3, 7, 12, 18, 20]))
def test_a_call_that_reaches_nobody_changes_no_page_of_any_level(
    wanted: tuple[list[dict[str, Any]], dict[str, str]], call: int, taken: int | None
) -> None:
    """With it each page goes out that goes out without it, at its time and with its reason; what began anew is more.

    When whoever takes the incident then heard of it by what had begun anew, it is they who are asked at an expiry, and
    all others are paged after that.
    """
    within = {"acknowledge_within": "5m", "respond_within": "15m", "resolve_within": "30m"}
    content = ladder(wanted[0], mailed("r0", "r1", "r2"), **within, **wanted[1])

    async def pages(*, with_call: bool) -> list[Message]:
        with tempfile.TemporaryDirectory() as folder:
            async with house(Path(folder), content) as home:
                await home.breaks()
                for minute in sorted({call, call if taken is None else taken}):
                    await home.minutes(minute)
                    if minute == taken:
                        await home.lab.move(SECOND)
                        await home.lab.act(Do.ACKNOWLEDGE)
                    if minute == call and with_call:
                        await home.lab.move(2 * SECOND)
                        home.voices.deaf = {"@"}
                        await home.lab.act(Do.ESCALATE, text="help")
                        await home.lab.move(SECOND)
                        home.voices.deaf = set()
                await home.minutes(100)
                return await home.sent(MessageKind.PAGE)

    def said(pages: Sequence[Message]) -> set[tuple[datetime, str, object]]:
        return {(one.created_at, one.contact, one.words["why"]) for one in pages}

    without, beside = asyncio.run(pages(with_call=False)), asyncio.run(pages(with_call=True))
    heard_at = NOON + (taken if taken is not None else 1000) * MINUTE
    if any(one.facts["because"] == ANEW and one.created_at < heard_at for one in beside):
        event("taken after it had begun anew")
        later = [{one.contact for one in pages if one.created_at > heard_at} for pages in (without, beside)]
        assert later[0] <= later[1]
        without = [one for one in without if one.created_at < heard_at]
    assert said(without) <= said(beside)
