"""Promise: an alert that still fires is looked at again, as long as nothing was changed and no person has it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import yaml

from runbookd.model.action import Call, Outcome, OutcomeState
from runbookd.model.audit import Stage
from runbookd.model.playbook import Playbook
from runbookd.model.run import RunState
from runbookd.pipeline import Pipeline, Ports
from runbookd.units.desk import PAUSED
from runbookd.units.people import Do
from tests.acceptance.engine import Engine, alert, engine, worker_of
from tests.acceptance.hands import Hands, Word
from tests.postgres import PostgresServer

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
RULES = """
priorities:
  P1: {name: High, escalation: people}
escalations:
  people: [{after: 1h, page: [team]}]
roles:
  team: {primary: {email: team@example.com}}
rules:
  - name: mend
    match: [alertname="Down"]
    priority: P1
    incident: {key: [app]}
    run: [{playbook: look}]
"""
LOOK = """
playbook: look
target: apps/shop
steps:
  - {id: seen, action: hand.look}
  - {id: turned, action: hand.turn}
verify: [{check: alert_resolved, within: 5m}]
"""
HELD = LOOK.replace("target:", "holds_target: true\ntarget:")
AGAIN = LOOK.replace("playbook: look", "playbook: more").replace("id: seen", "id: more")


class Looks(Hands):
    """Hands whose words are for looks alone: every message is sent."""

    async def perform(self, call: Call) -> Outcome:
        """Come to the next outcome."""
        if call.action.startswith("hand."):
            return await Hands.perform(self, call)
        return Outcome(state=OutcomeState.SUCCEEDED)


@asynccontextmanager
async def mending(
    folder: Path,
    words: Sequence[Word] = (),
    rules: str = RULES,
    playbooks: Sequence[str] = (LOOK, AGAIN),
    url: str | None = None,
) -> AsyncIterator[tuple[Engine, Hands]]:
    """An engine whose first step looks, and whose second changes something; looks come to what `words` say."""
    known = folder / "known"
    known.mkdir(exist_ok=True)
    stand_in = "action: flow.log, with: {message: a}"
    names = {str(number): re.sub(r"action: [.\w]+", stand_in, text) for number, text in enumerate(playbooks)}
    async with engine(known, rules=rules, playbooks=names) as lab:
        library = lab.pipeline.desk.library
    made = [Playbook.model_validate(yaml.safe_load(text)) for text in playbooks]
    library = replace(library, playbooks={playbook.playbook: playbook for playbook in made})
    hands = Looks(iter(words), iter(()))
    settings = {"database_url": url} if url else None
    async with engine(folder, library=library, performer=hands, settings=settings) as lab:
        yield lab, hands


async def fire(lab: Engine, pod: str = "1") -> None:
    """An alert of the shop begins now."""
    await lab.hear(alert(began=lab.clock.now(), labels={"app": "shop", "pod": pod}))


async def resolve(lab: Engine, pod: str = "1") -> None:
    """It ends now."""
    now = lab.clock.now()
    await lab.hear(alert(began=now - SECOND, ended=now, labels={"app": "shop", "pod": pod}))


async def begun(lab: Engine) -> list[int]:
    """At which minute each run began that was not refused."""
    runs = [run for run in await lab.runs() if run.state is not RunState.REFUSED]
    first = runs[0].created_at
    return [round((run.created_at - first) / MINUTE) for run in runs]


async def told(lab: Engine) -> list[datetime]:
    """When people were handed something."""
    return [
        entry.entry.at
        for entry in await lab.ledger()
        if entry.entry.what.startswith("run_") and entry.entry.stage is Stage.ESCALATE
    ]


async def test_what_was_looked_at_too_early_is_mended_by_a_later_look(tmp_path: Path) -> None:
    """The first look finds no harm yet and changes nothing; two minutes later the same alert gets its remedy."""
    async with mending(tmp_path, ["failed", "failed"]) as (lab, _):
        await fire(lab)
        await lab.move(10 * MINUTE)
        assert await begun(lab) == [0, 1, 3]
        assert [run.mutated for run in await lab.runs()] == [False, False, True]
        await resolve(lab)


async def test_pauses_double_up_to_an_hour_and_end_with_the_alert(tmp_path: Path) -> None:
    """Looks are a minute, two, four apart, at last an hour; once the alert has ended there are none."""
    async with mending(tmp_path, ["failed"] * 99) as (lab, _):
        await fire(lab)
        await lab.move(timedelta(hours=4))
        assert await begun(lab) == [0, 1, 3, 7, 15, 31, 63, 123, 183]
        await resolve(lab)
        await lab.move(timedelta(hours=4))
        assert len(await lab.runs()) == 9
        assert await lab.store.read(lambda tx: tx.runs.running_of("x")) == []


async def test_an_acknowledgement_ends_the_looks(tmp_path: Path) -> None:
    """Whoever has the incident is not worked against."""
    async with mending(tmp_path, ["failed"] * 99) as (lab, _):
        await fire(lab)
        await lab.move(5 * MINUTE)
        assert await begun(lab) == [0, 1, 3]
        await lab.act(Do.ACKNOWLEDGE)
        await lab.move(timedelta(hours=4))
        assert await begun(lab) == [0, 1, 3]


async def test_an_acknowledgement_that_expires_lets_them_go_on(tmp_path: Path) -> None:
    """When nobody has the incident any more, automation looks again."""
    rules = RULES.replace("{name: High,", "{name: High, ack_expires: 30m,")
    async with mending(tmp_path, ["failed"] * 99, rules) as (lab, _):
        await fire(lab)
        await lab.act(Do.ACKNOWLEDGE)
        await lab.move(timedelta(minutes=29))
        assert await begun(lab) == [0]
        await lab.move(timedelta(minutes=5))
        assert await begun(lab) == [0, 30, 32]


async def test_people_are_not_told_of_each_look(tmp_path: Path) -> None:
    """They hear of the first end and of none like it; the ledger has each."""
    async with mending(tmp_path, ["failed"] * 99) as (lab, _):
        await fire(lab)
        began = lab.clock.now()
        await lab.move(MINUTE / 2)
        sent = [message.id for message in await lab.messages()]
        await lab.move(30 * MINUTE)
        assert await told(lab) == [began]
        assert [message.id for message in await lab.messages()] == sent
        ends = [entry for entry in await lab.ledger() if entry.entry.what == "run_failed"]
        assert len([entry for entry in ends if entry.entry.stage is Stage.EXECUTE]) == 5


async def test_people_are_told_of_what_a_look_finds_new_and_does(tmp_path: Path) -> None:
    """A look that ends at another step, and one that changes something in vain, are news; an end seen before is not."""
    steps = "steps:\n  - {id: health, action: hand.look}"
    async with mending(
        tmp_path, ["failed", "ok", "failed", "failed"], playbooks=[LOOK.replace("steps:", steps), AGAIN]
    ) as (lab, _):
        await fire(lab)
        began = lab.clock.now()
        await lab.move(20 * MINUTE)
        assert await begun(lab) == [0, 1, 3, 7]
        assert await told(lab) == [began, began + MINUTE, began + 12 * MINUTE]


async def test_a_remedy_that_changed_something_in_vain_is_not_repeated(tmp_path: Path) -> None:
    """It is for people then, however long the alert fires."""
    async with mending(tmp_path) as (lab, hands):
        await fire(lab)
        await lab.move(timedelta(hours=24))
        assert await begun(lab) == [0]
        assert [call.action for call in hands.calls] == ["hand.look", "hand.turn"]


async def test_all_rungs_are_tried_again_from_the_first(tmp_path: Path) -> None:
    """A look is all that the rule would do, in its order."""
    rules = RULES.replace("[{playbook: look}]", "[{playbook: look}, {playbook: more}]")
    async with mending(tmp_path, ["failed"] * 3, rules) as (lab, _):
        await fire(lab)
        await lab.move(10 * MINUTE)
        runs = await lab.runs()
        assert [run.playbook for run in runs] == ["look", "more", "look", "more"]
        assert [run.rung for run in runs] == [0, 1, 2, 3]
        assert await begun(lab) == [0, 0, 1, 1]
        assert [run.mutated for run in runs] == [False, False, False, True]


async def test_what_the_cooldown_refused_is_planned_when_the_rest_is_over(tmp_path: Path) -> None:
    """The alert that came too soon after a run that acted gets its remedy when the rule has rested, and once."""
    async with mending(tmp_path) as (lab, _):
        await fire(lab)
        await lab.move(MINUTE)
        await resolve(lab)
        await lab.move(MINUTE)
        ended = (await lab.runs())[0].ended_at
        await fire(lab, pod="2")
        assert [run.reason for run in await lab.runs()][1] == "cooldown"
        await lab.move(timedelta(hours=6))
        _, refused, third = await lab.runs()
        assert refused.state is RunState.REFUSED
        assert ended is not None
        assert third.created_at == ended + 15 * MINUTE
        assert third.alert_id == refused.alert_id


async def test_looks_use_up_neither_run_limits_nor_the_budget(tmp_path: Path) -> None:
    """Only runs that changed something, or may yet, are counted: the fourth look of an hour may act."""
    async with mending(tmp_path, ["failed"] * 5) as (lab, _):
        await fire(lab)
        await lab.move(50 * MINUTE)
        runs = await lab.runs()
        assert await begun(lab) == [0, 1, 3, 7, 15, 31]
        assert [run.mutated for run in runs] == [False] * 5 + [True]
        since = runs[0].created_at
        assert await lab.store.read(lambda tx: tx.runs.acted_since(since, 99)) == 1
        assert await lab.store.read(lambda tx: tx.runs.started_since("mend", runs[0].key, since)) == 1


async def test_an_incident_has_one_run_at_a_time_and_its_alerts_take_turns(tmp_path: Path) -> None:
    """Several alerts of one incident are looked at one after another, whoever waits longest first."""
    async with mending(tmp_path, ["failed"] * 99) as (lab, _):
        await fire(lab, pod="1")
        await lab.move(SECOND * 10)
        await fire(lab, pod="2")
        await fire(lab, pod="3")
        await lab.move(20 * MINUTE)
        runs = [run for run in await lab.runs() if run.state is not RunState.REFUSED]
        times = [run.created_at for run in runs]
        assert len(set(times)) == len(times)
        first = list(dict.fromkeys(run.alert_id for run in runs))
        assert len(first) == 3
        assert [run.alert_id for run in runs[3:5]] == first[:2]


async def test_a_paused_service_looks_again_when_it_is_resumed(tmp_path: Path) -> None:
    """While the switch is on nothing is begun, and nobody told; afterwards the looks go on."""
    async with mending(tmp_path, ["failed"]) as (lab, _):
        await fire(lab)
        before = await told(lab)
        await lab.switch(PAUSED, '{"by": "test"}')
        await lab.move(10 * MINUTE)
        assert await begun(lab) == [0]
        assert await told(lab) == before
        await lab.switch(PAUSED, None)
        await lab.move(2 * MINUTE)
        assert [run.mutated for run in await lab.runs()] == [False, True]


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_a_killed_service_and_two_replicas_look_once(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    """The next look is a row: a new life finds it, and of two workers that want it at once one gets it."""
    url = None
    if kind == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.url(await server.new())
    async with mending(tmp_path, ["failed"], url=url) as (lab, _):
        await fire(lab)
    async with mending(tmp_path, url=url) as (lab, hands):
        lab.clock.at += 5 * MINUTE
        ports = Ports(lab.store, hands, lab.clock)
        workers = [worker_of(ports, Pipeline(ports, lab.pipeline.desk), name) for name in ("one", "two")]
        await asyncio.gather(*(worker.drain(lab.clock.now()) for worker in workers))
        assert [run.rung for run in await lab.runs()] == [0, 1]
        assert [call.action for call in hands.calls if call.action == "hand.turn"] == ["hand.turn"]


async def test_a_target_that_a_person_released_is_not_held_again(tmp_path: Path) -> None:
    """What shut a system in vain is not begun again once a person has opened it, for no other alert either."""
    async with mending(tmp_path, playbooks=[HELD, AGAIN]) as (lab, _):
        await fire(lab)
        await lab.move(6 * MINUTE)
        await fire(lab, pod="2")
        assert [run.reason for run in await lab.runs()] == ["not_verified", "cooldown"]
        assert await lab.store.write(lambda tx: tx.runs.release("apps/shop", "look"))
        await lab.move(timedelta(hours=4))
        assert await begun(lab) == [0]


async def test_a_target_that_a_look_let_go_itself_is_looked_at_again(tmp_path: Path) -> None:
    """A run that changed nothing holds nothing at its end; that is no person's word, and the looks go on."""
    async with mending(tmp_path, ["failed"] * 3, playbooks=[HELD, AGAIN]) as (lab, _):
        await fire(lab)
        await lab.move(6 * MINUTE)
        assert await begun(lab) == [0, 1, 3]
        assert await lab.store.read(lambda tx: tx.runs.holds_of("apps/shop")) == []
        await lab.move(MINUTE)
        assert [run.mutated for run in await lab.runs()] == [False, False, False, True]
        assert len(await lab.store.read(lambda tx: tx.runs.holds_of("apps/shop"))) == 1


async def test_pauses_do_not_grow_with_the_alerts_of_an_incident(tmp_path: Path) -> None:
    """Eight pods of one release alert within a minute: later looks come when they would after those of one alert."""
    rules = RULES.replace("run:", "limits: {cooldown: 5s}\n    run:")
    async with mending(tmp_path, ["failed"] * 99, rules) as (lab, _):
        for pod in range(8):
            await fire(lab, pod=str(pod))
            await lab.move(6 * SECOND)
        first = await begun(lab)
        await lab.move(40 * MINUTE)
        assert len(first) == 8
        assert (await begun(lab))[8:] == [1, 3, 7, 15, 31]


async def test_many_pods_are_mended_as_soon_as_one_would_be(tmp_path: Path) -> None:
    """Four looks saw no harm yet; it is there two minutes later, and the next look, at the third, mends it."""
    rules = RULES.replace("run:", "limits: {cooldown: 5s}\n    run:")
    async with mending(tmp_path, ["failed"] * 5, rules) as (lab, _):
        for pod in range(4):
            await fire(lab, pod=str(pod))
            await lab.move(10 * SECOND)
        await lab.move(10 * MINUTE)
        assert [run.mutated for run in await lab.runs()] == [False] * 5 + [True]
        assert (await begun(lab))[4:] == [1, 3]


async def test_an_alert_that_joins_late_is_looked_at_at_once_and_makes_no_pause_longer(
    tmp_path: Path,
) -> None:
    """When the looks are half an hour apart, a new alert of the incident gets its own; those go on as they would."""
    async with mending(tmp_path, ["failed"] * 99) as (lab, _):
        await fire(lab)
        await lab.move(40 * MINUTE)
        assert await begun(lab) == [0, 1, 3, 7, 15, 31]
        await fire(lab, pod="2")
        await fire(lab, pod="3")
        await lab.move(60 * MINUTE)
        assert await begun(lab) == [0, 1, 3, 7, 15, 31, 40, 41, 63]
