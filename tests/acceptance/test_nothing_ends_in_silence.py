"""G8, G15: whatever comes and whatever fails, each event has its outcome, each run an end, and people hear of it."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from runbookd.model.action import Mode, Probed
from runbookd.model.audit import LedgerEntry, Stage
from runbookd.model.library import Library
from runbookd.model.playbook import Playbook
from runbookd.model.reasons import Episode, Escalate, Guard, Verdict
from runbookd.model.rule import Priority, Rule
from runbookd.model.run import Run
from runbookd.stages.audit import broken_links
from runbookd.units.desk import PAUSED
from tests.acceptance.broken_shop import Sender, Trouble, hold_to_promises, mender
from tests.acceptance.engine import Engine, alert, engine
from tests.acceptance.hands import PROBES, WORDS, Hands, Word
from tests.acceptance.nursery import nursery
from tests.servers import Shop, eventually

NAMES = ("Red", "Blue", "Green")
HOSTS = ("a", "b", "")
OUTCOMES = {*Episode, Verdict.FOR_COUNT, Verdict.FOR_COUNT_LATCHED, "unmatched"}
NOT_REFUSED = {Guard.GO, Guard.JOINED, Guard.DUPLICATE, "next_rung_not_needed"}
LONG = timedelta(hours=12)
STORIES = int(os.environ.get("RUNBOOKD_STORIES", "100"))

Op = tuple[str, str, str, int]


@dataclass(frozen=True, slots=True)
class Story:
    """What is set up, what happens, and what becomes of the calls."""

    library: Library
    ops: Sequence[Op]
    words: Sequence[Word]
    probes: Sequence[Probed]


def steps_of(depth: int = 1) -> st.SearchStrategy[dict[str, Any]]:
    """One step: a call, a wait, an assertion, or a block of calls at once."""
    action = st.sampled_from(["hand.look", "hand.set", "hand.turn", "hand.throw"])
    kinds: list[st.SearchStrategy[dict[str, Any]]] = [
        st.fixed_dictionaries(
            {"action": action},
            optional={
                "retry": st.just({"attempts": 2, "backoff": "30s"}),
                "with": st.sampled_from([{"x": "${inputs.host}"}, {"x": "${event.labels.host}"}]),
                "foreach": st.just(["one", "two"]),
                "timeout": st.just("5s"),
            },
        ),
        st.just({"wait": "2m"}),
        st.sampled_from([{"assert": "1 == 2"}, {"assert": "event.labels.host == 'a'"}]),
    ]
    if depth:
        inner = st.lists(steps_of(0), min_size=1, max_size=3)
        kinds.append(st.builds(lambda steps: {"parallel": steps}, inner))
    extras = st.fixed_dictionaries(
        {},
        optional={
            "when": st.sampled_from(["true", "false", "event.labels.host == 'a'"]),
            "continue_on_failure": st.booleans(),
            **({"finally": st.booleans()} if depth else {}),
        },
    )
    return st.builds(lambda step, more: step | more, st.one_of(kinds), extras)


CHECKS = st.lists(
    st.sampled_from(
        [
            {"check": "alert_resolved", "within": "10m"},
            {"action": "hand.look", "every": "1m", "within": "5m"},
            {"action": "hand.look", "every": "1m", "for": "2m", "within": "6m"},
        ]
    ),
    max_size=2,
)
PLAYBOOKS = st.fixed_dictionaries(
    {
        "inputs": st.just({"host": {"default": "none"}}),
        "steps": st.lists(steps_of(), max_size=4),
        "verify": CHECKS,
        "on_failure": st.sampled_from(["escalate", "undo_and_escalate", "next_rung"]),
    },
    optional={
        "target": st.just("hosts/${inputs.host}"),
        "deadline": st.just("5m"),
        "evidence": st.just([{"action": "hand.look"}]),
    },
)
RUNGS = st.lists(
    st.fixed_dictionaries(
        {"playbook": st.sampled_from(["p0", "p1", "p2"])},
        optional={"with": st.just({"host": "${event.labels.host}"})},
    ),
    min_size=1,
    max_size=3,
)
RULES = st.fixed_dictionaries(
    {
        "match": st.sampled_from([[], ['alertname=~"Red|Blue"'], ['host="a"']]),
        "when": st.sampled_from(["true", "true", "event.labels.host != 'b'"]),
        "priority": st.sampled_from(["P0", "P1"]),
        "incident": st.sampled_from([{}, {"key": ["alertname"]}, {"key": ["host"]}]),
        "run": st.one_of(RUNGS, RUNGS, RUNGS, st.just([])),
    },
    optional={
        "mode": st.sampled_from(["act", "observe"]),
        "on_resolve": st.sampled_from(["finish", "cancel"]),
        "continue": st.booleans(),
        "limits": st.sampled_from([{"cooldown": "0s"}, {"runs": [{"of": 1, "per": "1h"}]}]),
        "for_count": st.just({"of": 2, "within": "1h"}),
    },
)
PRIORITIES = {
    "P0": Priority.model_validate({"name": "P0", "acknowledge_within": "5m", "resolve_within": "30m"}),
    "P1": Priority.model_validate({"name": "P1"}),
}
MOVES = st.tuples(st.just("move"), st.just(""), st.just(""), st.sampled_from([1, 3, 7, 40]))
NEWS = st.tuples(
    st.sampled_from(["fire", "clear"]), st.sampled_from(NAMES), st.sampled_from(HOSTS), st.just(0)
)
FIRST: Op = ("fire", "Red", "a", 0)
SWITCH = st.tuples(st.sampled_from(["pause", "resume"]), st.just(""), st.just(""), st.just(0))


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """A random story."""
    playbooks = {
        name: Playbook.model_validate({"playbook": name, **_named(draw(PLAYBOOKS))})
        for name in ("p0", "p1", "p2")
    }
    rules = [
        Rule.model_validate({"name": f"r{number}", **rule})
        for number, rule in enumerate(draw(st.lists(RULES, min_size=1, max_size=3)))
    ]
    if draw(st.booleans()):
        rules.append(Rule.model_validate({"name": "unmatched", "priority": "P1"}))
    return Story(
        library=Library(rules=tuple(rules), playbooks=playbooks, priorities=PRIORITIES, version="story"),
        ops=[FIRST, *draw(st.lists(st.one_of(NEWS, MOVES, SWITCH), max_size=12))],
        words=draw(st.lists(st.sampled_from(WORDS), max_size=25)),
        probes=draw(st.lists(st.sampled_from(PROBES), max_size=5)),
    )


def _named(playbook: dict[str, Any]) -> dict[str, Any]:
    """Give every step an id of its own."""

    def name(steps: list[dict[str, Any]], prefix: str) -> list[dict[str, Any]]:
        return [
            step
            | {"id": f"{prefix}{number}"}
            | ({"parallel": name(step["parallel"], f"{prefix}{number}_")} if "parallel" in step else {})
            for number, step in enumerate(steps)
        ]

    return playbook | {"steps": name(playbook["steps"], "s")}


@settings(
    max_examples=STORIES,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(story=stories())
def test_no_event_without_an_outcome_and_no_bad_end_without_an_escalation(story: Story) -> None:
    """For random rules, playbooks, events and failures: nothing is lost, runs forever, or ends badly unheard."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_live_through(Path(folder), story))


async def _live_through(folder: Path, story: Story) -> None:
    """Let the story happen, then time go by, and look."""
    hands = Hands(iter(story.words), iter(story.probes))
    async with engine(folder, library=story.library, performer=hands) as it:
        heard = await _happen(it, story.ops)
        await it.move(LONG)
        runs, entries = await it.runs(), await it.ledger()
        events = await it.events()
        assert len(events) == heard
        assert {one.outcome for one in events} <= OUTCOMES
        assert (await it.store.read(lambda tx: tx.deliveries.pending()))[0] == 0
        now = it.clock.now()  # a later look may be under way, within its deadline
        assert [run.id for run in runs if not run.state.ended and run.deadline_at <= now] == []
        assert list(broken_links(entries)) == []
        await _incidents_are_told(story.library, it)
        _bad_ends_are_told(story.library, [run for run in runs if run.state.ended], entries)
        _refusals_are_told(story.library, entries)
        for run in runs:
            event(f"run {run.state.value}")


async def _happen(it: Engine, ops: Sequence[Op]) -> int:
    """Do what the story says; returns how many events were told."""
    firing: dict[tuple[str, str], Any] = {}
    heard = 0
    for what, name, host, minutes in ops:
        now = it.clock.now()
        labels = {"host": host} if host else {}
        if what == "fire":
            began = firing.setdefault((name, host), now)
            await it.hear(alert(name, began=began, labels=labels))
            heard += 1
        elif what == "clear":
            began = firing.pop((name, host), now)
            await it.hear(alert(name, began=began, ended=now, labels=labels))
            heard += 1
        elif what == "move":
            await it.move(timedelta(minutes=minutes))
        else:
            await it.switch(PAUSED, json.dumps({"by": "test"}) if what == "pause" else None)
        it.clock.at += timedelta(seconds=1)
    return heard


async def _incidents_are_told(library: Library, it: Engine) -> None:
    """An open incident has an alert that fires, a closed one none; a deadline was met, or is a breach.

    The breach is for people, unless the rule only observes: then nobody was to hear of it.
    """
    acting = {rule.name for rule in library.rules if rule.mode is Mode.ACT}
    for incident in await it.incidents():
        alerts, clocks = await it.alerts_and_clocks(incident)
        firing = any(one.resolved_at is None for one in alerts)
        assert firing == (incident.state.value == "open"), incident
        for clock in clocks:
            assert clock.met_at or clock.breached_at or incident.state.value == "resolved", clock
            told = incident.escalated_at is not None or incident.rule not in acting
            assert clock.breached_at is None or told, clock


def _bad_ends_are_told(library: Library, runs: Sequence[Run], entries: Sequence[LedgerEntry]) -> None:
    """A run in act mode that did not end well is escalated, unless its playbook leaves that to a rung that acted.

    Nor is what people know: a later round of remedies that changed nothing and ended as one did before.
    The end of the alert makes the next rung needless, and says itself that all is well.
    """
    told = {(one.entry.incident_id, one.entry.at) for one in entries if one.entry.stage is Stage.ESCALATE}
    needless = {one.entry.run_id for one in entries if one.entry.what == "next_rung_not_needed"}
    for run in runs:
        if run.mode is Mode.OBSERVE or run.state.good or run.reason == "alert_resolved":
            continue
        later = [
            one
            for one in runs
            if (one.alert_id, one.rule) == (run.alert_id, run.rule) and one.rung > run.rung
        ]
        left_to_the_next = library.playbooks[run.playbook].on_failure == "next_rung" and (
            any(one.mode is Mode.ACT for one in later) or run.id in needless
        )
        known = not run.mutated and any(_end(one) == _end(run) and one.id < run.id for one in runs)
        assert known or left_to_the_next or (run.incident_id, run.ended_at) in told, run


def _end(run: Run) -> tuple[object, ...]:
    """What people hear of the end of a run."""
    return run.incident_id, run.playbook, run.mode, run.state, run.reason


def _refusals_are_told(library: Library, entries: Sequence[LedgerEntry]) -> None:
    """A run that a rule in act mode wanted and did not get is escalated with it, or the incident was for the pause.

    The same refusal of a later round is known already.
    """
    known: set[tuple[str | None, str]] = set()
    acting = {rule.name for rule in library.rules if rule.mode is Mode.ACT}
    told = {(one.entry.incident_id, one.entry.at) for one in entries if one.entry.stage is Stage.ESCALATE}
    paused = {one.entry.incident_id for one in entries if one.entry.what == Escalate.PAUSED}
    for one in entries:
        if one.entry.stage is not Stage.PLAN or one.entry.what in NOT_REFUSED:
            continue
        if one.entry.detail.get("rule") in acting and one.entry.incident_id not in paused:
            refused = (one.entry.incident_id, one.entry.what)
            assert refused in known or (one.entry.incident_id, one.entry.at) in told, one.text
            known.add(refused)


async def test_a_stop_in_the_middle_of_a_run_leaves_it_to_be_resumed(
    shop: Callable[..., Awaitable[Shop]],
) -> None:
    """SIGTERM while a call is under way and while the run waits: it ends in time, and the next life goes on."""
    async with nursery() as born_by, mender(born_by) as service:
        service.settings |= {"stop_within": "300ms"}
        service.configure()
        sender = Sender(service)
        trouble = Trouble(await shop(users=20), "one", sender)
        await trouble.shop.admin("POST", "faults", {"delay_before_ms": 700})
        await service.start()
        await trouble.breaks()
        await service.until("SELECT 1 FROM steps WHERE path = 'steps/rollback' AND state = 'intent'")
        await service.stop(within=5)
        assert service.rows("SELECT state FROM runs") == [{"state": "running"}]
        await trouble.mended()
        await service.start()
        await service.until("SELECT 1 FROM steps WHERE path = 'verify/0' AND state = 'succeeded'")
        await service.stop(within=5)
        assert service.rows("SELECT state FROM runs") == [{"state": "running"}]
        await service.start()
        await trouble.resolves()
        await service.runs_ended(1)
        await hold_to_promises(service, sender, [trouble])
        assert "Traceback" not in service.log


async def test_a_stop_waits_for_a_call_that_ends_in_time(shop: Callable[..., Awaitable[Shop]]) -> None:
    """SIGTERM while a short call is under way: its outcome is on disk before the process is gone."""
    async with nursery() as born_by, mender(born_by) as service:
        sender = Sender(service)
        trouble = Trouble(await shop(users=20), "one", sender)
        await trouble.shop.admin("POST", "faults", {"delay_before_ms": 500})
        await service.start()
        await trouble.breaks()
        await service.until("SELECT 1 FROM steps WHERE path = 'steps/rollback' AND state = 'intent'")
        await service.stop(within=15)
        states = service.rows("SELECT state, reason FROM steps WHERE path = 'steps/rollback'")
        assert states == [{"state": "succeeded", "reason": None}]
        await service.start()
        await eventually(lambda: service.rows("SELECT 1 FROM steps WHERE path = 'verify/0'"), within=20)
        await trouble.resolves()
        await service.runs_ended(1)
        await hold_to_promises(service, sender, [trouble])
