"""Promise: a schedule's time is kept once, whoever looks and whatever dies; a success is quiet, a failure is told."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from runbookd.model.action import Mode
from runbookd.model.audit import LedgerEntry
from runbookd.model.event import Status
from runbookd.model.incident import Incident, IncidentState
from runbookd.model.library import Library
from runbookd.model.playbook import Playbook
from runbookd.model.rule import Rule
from runbookd.model.run import Run, RunState
from runbookd.model.schedule import Schedule
from runbookd.ports import Store
from runbookd.runtime.schedules import Schedules
from runbookd.stages.plan import Reach
from runbookd.stages.schedule import SOURCE
from runbookd.units.desk import PAUSED
from runbookd.units.people import Do
from tests.acceptance.engine import NOON
from tests.acceptance.people import House, house, library
from tests.acceptance.voices import DEAF
from tests.service import service

HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
DAILY = {"name": "daily", "cron": "0 13 * * *", "run": ["look"], "on_failure": {"priority": "P2"}}
PLAYBOOKS: dict[str, dict[str, Any]] = {
    "look": {"steps": [{"action": "test.look"}]},
    "slow": {"steps": [{"wait": "10m"}, {"action": "test.look"}]},
    "other": {"target": "things/one", "steps": [{"action": "test.look"}]},
    "mend": {"target": "things/one", "steps": [{"action": "test.look"}]},
    "wary": {"steps": [{"action": "test.look"}], "verify": [{"check": "alert_resolved", "within": "5m"}]},
}


def content(*schedules: dict[str, Any], rules: Sequence[Rule] = ()) -> Library:
    """The shipped people and words, with these schedules."""
    made = {
        one["name"]: Schedule.model_validate({**DAILY, **one}) for one in schedules or ({"name": "daily"},)
    }
    playbooks = {name: Playbook.model_validate({"playbook": name, **one}) for name, one in PLAYBOOKS.items()}
    return replace(library(), rules=tuple(rules), schedules=made, playbooks=playbooks)


@dataclass
class Clockwork:
    """A house with two replicas that look at its schedules, each when the nearest of their times has come."""

    home: House
    replicas: list[Schedules]

    async def passes(self, by: timedelta) -> None:
        """Let the time pass; whoever is to look looks, and what is due is done."""
        lab, end = self.home.lab, self.home.lab.clock.at + by
        while True:
            await self.look()
            due = min((one.due for one in self.replicas if one.due is not None), default=end)
            await lab.move(min(due, end) - lab.clock.at)
            if due > end:
                return

    async def look(self) -> None:
        """Look now, with each replica, and do what is due."""
        for one in self.replicas:
            await one.look()
        await self.home.lab.worker.drain(self.home.lab.clock.at)

    async def dies(self, down: timedelta = timedelta(0)) -> None:
        """Every process dies, and others begin after a while."""
        await self.home.restart()
        self.home.lab.clock.at += down
        self.replicas = _replicas(self.home)

    async def runs(self, state: RunState) -> list[Run]:
        """Every run, all of which are in this state."""
        runs = await self.home.lab.runs()
        assert {run.state for run in runs} <= {state}, [(run.state, run.reason) for run in runs]
        return runs

    async def only_incident(self) -> Incident:
        """The one there is."""
        (incident,) = await self.home.lab.incidents()
        return incident

    async def ledger(self, what: str) -> list[LedgerEntry]:
        """Its entries that say this."""
        return await self.home.entries(what)

    async def told(self) -> list[str]:
        """Everyone who heard anything."""
        return [one.contact for one in await self.home.lab.messages()]


def _replicas(home: House) -> list[Schedules]:
    return [Schedules(home.lab.store, home.lab.clock, home.lab.pipeline) for _ in range(2)]


@contextlib.asynccontextmanager
async def given(folder: Path, made: Library | None = None) -> AsyncIterator[Clockwork]:
    """The clockwork at noon, which has looked once."""
    async with house(folder, made or content()) as home:
        it = Clockwork(home, _replicas(home))
        await it.look()
        yield it


async def test_a_time_is_kept_once_and_a_success_is_quiet(tmp_path: Path) -> None:
    """With two replicas that look, for three days: a run each day, its incident over at once, nobody told."""
    async with given(tmp_path) as it:
        await it.passes(HOUR - SECOND)
        assert await it.home.lab.runs() == []
        await it.passes(3 * 24 * HOUR)
        runs = await it.runs(RunState.SUCCEEDED)
        assert [run.created_at for run in runs] == [NOON + HOUR + n * 24 * HOUR for n in range(3)]
        incidents = await it.home.lab.incidents()
        assert {(one.state, one.priority, one.title) for one in incidents} == {
            (IncidentState.RESOLVED, "scheduled", "look, scheduled by daily")
        }
        assert len(incidents) == 3
        assert await it.told() == []
        assert await it.home.lab.store.read(lambda tx: tx.alerts.open_count()) == 0
        events = [(one.event.source, one.event.status) for one in await it.home.lab.events()]
        assert events == [(SOURCE, Status.FIRING), (SOURCE, Status.RESOLVED)] * 3
        assert len(await it.ledger("schedule_due")) == 3


async def test_each_playbook_is_a_run_of_its_own(tmp_path: Path) -> None:
    """They begin in the order of the list; what becomes of one is nothing to another."""
    async with given(tmp_path, content({"name": "daily", "run": ["mend", "look", "wary"]})) as it:
        it.home.voices.failing["test.look"] = [DEAF]
        await it.passes(2 * HOUR)
        runs = await it.home.lab.runs()
        assert [(run.playbook, run.state) for run in runs] == [
            ("mend", RunState.FAILED),
            ("look", RunState.SUCCEEDED),
            ("wary", RunState.VERIFIED),
        ]
        states = {one.title.partition(",")[0]: one.state.value for one in await it.home.lab.incidents()}
        assert states == {"mend": "open", "look": "resolved", "wary": "resolved"}


async def test_a_restart_changes_nothing(tmp_path: Path) -> None:
    """Before, at and after its time: it is kept once."""
    async with given(tmp_path) as it:
        await it.passes(HOUR - SECOND)
        await it.dies()
        await it.passes(SECOND)
        for _ in range(3):
            await it.dies()
            await it.look()
        await it.passes(HOUR)
        assert len(await it.runs(RunState.SUCCEEDED)) == 1


async def test_a_death_between_the_time_and_its_run_loses_nothing(tmp_path: Path) -> None:
    """Whoever comes next finds what was written, and does it once."""
    async with given(tmp_path) as it:
        it.home.lab.clock.at += HOUR
        await it.replicas[0].look()
        assert await it.home.lab.runs() == []
        await it.dies(SECOND)
        await it.passes(MINUTE)
        assert len(await it.runs(RunState.SUCCEEDED)) == 1


async def test_what_could_not_be_written_is_written_later(tmp_path: Path) -> None:
    """A database that fails in the middle of the unit keeps nothing of it, and the next look does all of it."""
    async with given(tmp_path) as it:
        it.home.lab.clock.at += HOUR

        class Failing:
            """A store whose units fail at their end."""

            async def write(self, unit: Any) -> Any:
                async def fails(tx: Any) -> None:
                    await unit(tx)
                    raise DiskFull

                return await it.home.lab.store.write(fails)

        class DiskFull(Exception):
            """The end of a unit that is not kept."""

        store: Store = Failing()  # type: ignore[assignment]
        with pytest.raises(DiskFull):
            await Schedules(store, it.home.lab.clock, it.home.lab.pipeline).look()
        assert await it.ledger("schedule_due") == []
        await it.passes(MINUTE)
        assert len(await it.runs(RunState.SUCCEEDED)) == 1


@pytest.mark.parametrize(
    ("down", "kept", "missed"),
    [(2 * HOUR, 1, 0), (2 * HOUR + SECOND, 0, 1), (50 * HOUR, 1, 2), (51 * HOUR, 0, 3)],
)
async def test_after_an_outage_the_newest_time_is_made_up_for(
    tmp_path: Path, down: timedelta, kept: int, missed: int
) -> None:
    """If it is not too late, an hour here; all others are in the ledger as missed, and the next is kept as ever."""
    async with given(tmp_path) as it:
        await it.dies(down)
        await it.look()
        assert len(await it.runs(RunState.SUCCEEDED)) == kept
        noted = await it.ledger("schedule_missed")
        assert sum(int(str(one.entry.detail["count"])) for one in noted) == missed
        assert await it.told() == []
        await it.passes(24 * HOUR)
        assert len(await it.runs(RunState.SUCCEEDED)) == kept + 1


async def test_a_failed_run_is_told_by_its_priority(tmp_path: Path) -> None:
    """Its incident is raised to it, its levels begin, and whoever they name hears; the next success ends it."""
    async with given(tmp_path) as it:
        it.home.voices.failing["test.look"] = [DEAF]
        await it.passes(HOUR)
        (run,) = await it.runs(RunState.FAILED)
        incident = await it.only_incident()
        assert (incident.priority, incident.state) == ("P2", IncidentState.OPEN)
        assert (incident.escalation_reason, incident.escalated_at) == ("run_failed", run.ended_at)
        assert "L1 Support" in await it.told()
        (raised,) = await it.ledger("priority_raised")
        assert raised.entry.detail == {"from": "scheduled", "to": "P2", "reason": "run_failed"}
        clocks = (await it.home.lab.alerts_and_clocks(incident))[1]
        assert [clock.due_at for clock in clocks] == [NOON + 5 * HOUR]
        told = len(await it.told())
        await it.passes(25 * HOUR)
        incident = await it.only_incident()
        assert (incident.state, incident.resolved_at) == (IncidentState.RESOLVED, NOON + 25 * HOUR)
        assert len(await it.told()) > told
        assert await it.home.lab.store.read(lambda tx: tx.alerts.open_count()) == 0


async def test_failing_again_is_news_and_no_second_incident(tmp_path: Path) -> None:
    """The same check that fails day after day is one trouble, of which those who know hear each day."""
    async with given(tmp_path) as it:
        it.home.voices.failing["test.look"] = [DEAF] * 3
        told = []
        for _ in range(3):
            await it.passes(24 * HOUR)
            told.append(len(await it.told()))
        assert len(await it.runs(RunState.FAILED)) == 3
        assert (await it.only_incident()).priority == "P2"
        assert told == sorted(set(told))


async def test_without_a_word_a_failure_has_the_lowest_priority(tmp_path: Path) -> None:
    """The last of `priorities`."""
    async with given(tmp_path, content({"name": "daily", "on_failure": None})) as it:
        it.home.voices.failing["test.look"] = [DEAF]
        await it.passes(HOUR)
        assert (await it.only_incident()).priority == "P3"
        assert await it.told() != []


async def test_a_pause_is_told_and_the_next_success_ends_it(tmp_path: Path) -> None:
    """While the service is paused nothing is changed, so that what should have been done is people's."""
    async with given(tmp_path) as it:
        await it.home.lab.switch(PAUSED, json.dumps({"by": "test"}))
        await it.passes(HOUR)
        (run,) = await it.runs(RunState.OBSERVED)
        incident = await it.only_incident()
        assert (run.mode, incident.state, incident.priority) == (Mode.OBSERVE, IncidentState.OPEN, "P2")
        assert incident.escalation_reason == "paused"
        assert await it.told() != []
        await it.home.lab.switch(PAUSED, None)
        await it.passes(24 * HOUR)
        assert (await it.only_incident()).state is IncidentState.RESOLVED


async def test_a_service_that_only_observes_tells_nobody(tmp_path: Path) -> None:
    """The run observes, and its incident is over with it."""
    async with given(tmp_path) as it:
        pipeline = it.home.lab.pipeline
        pipeline.desk = replace(pipeline.desk, mode=Mode.OBSERVE)
        await it.passes(HOUR)
        await it.runs(RunState.OBSERVED)
        assert ((await it.only_incident()).state, await it.told()) == (IncidentState.RESOLVED, [])


@pytest.mark.parametrize(
    ("reach", "reason"),
    [(Reach(protected=("things/*",)), "protected_target"), (Reach(budget=0), "budget_spent")],
)
async def test_a_refused_run_is_told(tmp_path: Path, reach: Reach, reason: str) -> None:
    """The guards bind a schedule as they bind a rule, and what they refuse people hear of."""
    async with given(tmp_path, content({"name": "daily", "run": ["mend"]})) as it:
        it.home.lab.pipeline.desk = replace(it.home.lab.pipeline.desk, reach=reach)
        await it.passes(HOUR)
        (run,) = await it.runs(RunState.REFUSED)
        incident = await it.only_incident()
        assert (run.reason, incident.priority, incident.state) == (reason, "P2", IncidentState.OPEN)
        assert it.home.voices.tried[0].action != "test.look"


async def test_a_busy_target_is_waited_for(tmp_path: Path) -> None:
    """Of those that act on one thing at one time, each waits for the one before and for its rest."""
    made = content({"name": "one", "run": ["mend", "other"]}, {"name": "two", "run": ["mend"]})
    async with given(tmp_path, made) as it:
        await it.passes(HOUR)
        assert [run.playbook for run in await it.home.lab.runs()] == ["mend"]
        await it.passes(20 * MINUTE)
        runs = await it.runs(RunState.SUCCEEDED)
        assert [(run.created_at - NOON - HOUR) // MINUTE for run in runs] == [0, 5, 10]
        assert await it.told() == []
        assert {one.entry.what for one in await it.home.lab.ledger()} >= {"target_waited_for"}


async def test_a_target_that_stays_busy_is_told(tmp_path: Path) -> None:
    """After `catch_up` what still waits is refused."""
    made = content({"name": "one", "run": ["mend"]}, {"name": "two", "run": ["mend"], "catch_up": "4m"})
    async with given(tmp_path, made) as it:
        await it.passes(HOUR + 3 * MINUTE)
        assert await it.told() == []
        await it.passes(2 * MINUTE)
        states = {str(run.rule): (run.state.value, run.reason) for run in await it.home.lab.runs()}
        assert states["schedule/two/mend"] == ("refused", "target_cooldown")
        assert [one.priority for one in await it.home.lab.incidents()] == ["scheduled", "P2"]
        assert await it.told() != []


async def test_what_waits_for_a_schedule_that_is_gone_is_over(tmp_path: Path) -> None:
    """Nobody wants it any more, and nothing is left open."""
    async with given(tmp_path, content({"name": "one", "run": ["mend", "other"]})) as it:
        await it.passes(HOUR)
        pipeline = it.home.lab.pipeline
        pipeline.desk = pipeline.desk.using(content({"name": "new", "cron": "0 0 1 1 *"}))
        await it.passes(10 * MINUTE)
        assert len(await it.runs(RunState.SUCCEEDED)) == 1
        assert {one.state for one in await it.home.lab.incidents()} == {IncidentState.RESOLVED}


async def test_a_time_that_comes_while_the_last_is_at_work_joins_it(tmp_path: Path) -> None:
    """No second run beside it, nor after it if it ends well."""
    async with given(tmp_path, content({"name": "daily", "cron": "*/4 13 * * *", "run": ["slow"]})) as it:
        await it.passes(HOUR + 11 * MINUTE)
        assert len(await it.runs(RunState.SUCCEEDED)) == 1
        assert len([one for one in await it.home.lab.events() if one.event.status is Status.FIRING]) == 3
        assert [one.state for one in await it.home.lab.incidents()] == [IncidentState.RESOLVED]
        assert len(await it.ledger("joined_running_incident")) == 2
        assert await it.told() == []


async def test_a_person_who_ends_it_ends_it(tmp_path: Path) -> None:
    """Nothing fires any more of what a person has resolved, and the next time is a new incident."""
    async with given(tmp_path) as it:
        it.home.voices.failing["test.look"] = [DEAF]
        await it.passes(HOUR)
        await it.home.lab.act(Do.RESOLVE, text="not so important")
        assert await it.home.lab.store.read(lambda tx: tx.alerts.open_count()) == 0
        await it.passes(24 * HOUR)
        assert [one.state for one in await it.home.lab.incidents()] == [IncidentState.RESOLVED] * 2


async def test_no_other_rule_takes_it_and_its_rules_take_nothing_else(tmp_path: Path) -> None:
    """A rule that takes everything does not take a schedule's time, nor is an alert with its labels one."""
    greedy = Rule.model_validate({"name": "all", "match": ['alertname=~".+"'], "priority": "P0"})
    async with given(tmp_path, content(rules=[greedy])) as it:
        await it.passes(HOUR)
        labels = {"alertname": "daily", "schedule": "daily", "playbook": "look"}
        await it.home.lab.hear({"status": "firing", "labels": labels, "startsAt": NOON.isoformat()})
        rules = [(one.event.source, one.rule) for one in await it.home.lab.events()]
        assert rules == [(SOURCE, "schedule/daily/look")] * 2 + [("alertmanager", "all")]


async def test_a_reload_is_taken_at_the_next_look(tmp_path: Path) -> None:
    """A schedule that is new, or written anew, makes up for nothing; one that is gone is not kept any more."""
    async with given(tmp_path) as it:
        await it.passes(90 * MINUTE)
        pipeline = it.home.lab.pipeline
        anew = {"name": "daily", "cron": "20,45 13 * * *", "catch_up": "1d"}
        pipeline.desk = pipeline.desk.using(content(anew, {"name": "new", "cron": "40 13 * * *"}))
        await it.passes(20 * MINUTE)
        assert [run.created_at for run in await it.home.lab.runs()] == [
            NOON + minutes * MINUTE for minutes in (60, 100, 105)
        ]
        pipeline.desk = pipeline.desk.using(content({"name": "other", "cron": "0 0 1 1 *"}))
        await it.passes(48 * HOUR)
        assert len(await it.runs(RunState.SUCCEEDED)) == 3


async def test_it_follows_its_zone_over_a_change_of_clocks(tmp_path: Path) -> None:
    """Eight in New York is an hour earlier in UTC from 8 March 2026 on."""
    made = content({"name": "daily", "cron": "0 8 * * *", "timezone": "America/New_York"})
    async with house(tmp_path, made, at=datetime(2026, 3, 6, 20, tzinfo=UTC)) as home:
        it = Clockwork(home, _replicas(home))
        await it.passes(72 * HOUR)
        assert [f"{run.created_at:%d %H:%M}" for run in await it.runs(RunState.SUCCEEDED)] == [
            "07 13:00",
            "08 12:00",
            "09 12:00",
        ]


RULES = """
priorities: {P1: {name: High}}
schedules: [{name: nightly, cron: "MINUTE HOUR * * *", run: [note]}]
"""
NOTE = {"note": "playbook: note\nsteps: [{id: say, action: flow.log, with: {message: hello}}]\n"}
UPTO = "UPDATE switches SET value = json_set(value, '$.upto', ?) WHERE name = 'schedule:nightly'"


def missed_lately() -> tuple[str, str]:
    """Rules with a time ten minutes ago, and an hour ago as the time of the last look."""
    at, upto = datetime.now(UTC) - 10 * MINUTE, datetime.now(UTC) - HOUR
    return RULES.replace("MINUTE", str(at.minute)).replace("HOUR", str(at.hour)), upto.isoformat()


async def test_a_service_that_is_killed_again_and_again_makes_it_once() -> None:
    """On the real clock: killed as soon as the time is kept, and at moments after."""
    rules, upto = missed_lately()
    async with service(rules=rules, playbooks=NOTE) as it:
        await it.until("SELECT 1 FROM switches WHERE name = 'schedule:nightly'")
        await it.kill()
        with contextlib.closing(sqlite3.connect(it.database)) as base, base:
            base.execute(UPTO, (upto,))
        await it.start(ready=False)
        await it.until("SELECT 1 FROM deliveries WHERE source = 'schedule'")
        for _ in range(3):
            await it.kill()
            await it.start()
        await it.until("SELECT 1 FROM incidents WHERE state = 'resolved'")
        assert it.rows("SELECT state FROM runs") == [{"state": "succeeded"}]
        assert it.rows("SELECT count(*) AS n FROM ledger WHERE what = 'schedule_due'") == [{"n": 1}]
        (told,) = await it.cli_json("schedules")
        assert told["playbooks"][0]["state"] == "succeeded"
