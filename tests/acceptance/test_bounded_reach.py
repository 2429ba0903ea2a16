"""Promise G9: a rule does no more than it may. Limits are on by default, kept on disk, and give their reason."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from runbookd.model.run import RunState
from runbookd.units.holding import release_target
from tests.acceptance.engine import Engine, alert, engine
from tests.acceptance.hands import Hands

RULES = """
priorities: {P1: {name: High}}
rules:
  - name: fix
    match: [alertname="Down"]
    priority: P1
    incident: {key: [app]}
    run: [{playbook: turn, with: {app: "${event.labels.app}"}}]
"""
PLAYBOOKS = {
    "turn": """
playbook: turn
inputs: {app: {}}
target: apps/${inputs.app}
steps:
  - action: flow.log
    with: {message: "${inputs.app}"}
verify: [{check: alert_resolved, within: 5m}]
"""
}


async def reasons(lab: Engine) -> list[str]:
    """What every plan came to, in order."""
    return [entry.entry.what for entry in await lab.ledger() if entry.entry.stage == "plan"]


async def fire(lab: Engine, app: str, pod: str = "1") -> None:
    """An alert of an app begins now."""
    await lab.hear(alert(began=lab.clock.now(), labels={"app": app, "pod": pod}))


async def resolve(lab: Engine, app: str, pod: str = "1") -> None:
    """It ends now."""
    now = lab.clock.now()
    await lab.hear(alert(began=now - timedelta(seconds=1), ended=now, labels={"app": app, "pod": pod}))


@asynccontextmanager
async def acting(folder: Path, rules: str = RULES) -> AsyncIterator[Engine]:
    """An engine whose remedy changes something."""
    read = folder / "read"
    read.mkdir(exist_ok=True)
    async with engine(read, rules=rules, playbooks=PLAYBOOKS) as lab:
        library = lab.pipeline.desk.library
    turn = library.playbooks["turn"]
    step = turn.steps[0].model_copy(update={"action": "hand.turn", "with_": {}})
    mutating = replace(library, playbooks={"turn": turn.model_copy(update={"steps": [step]})})
    async with engine(folder, library=mutating, performer=Hands(iter(()), iter(()))) as lab:
        yield lab


async def test_a_rule_rests_after_a_run_and_counts_its_runs(tmp_path: Path) -> None:
    """Within the cooldown, and past the number of runs, the trouble goes to people instead."""
    async with acting(tmp_path) as lab:
        for pause in (1, 16, 16, 16):
            await fire(lab, "shop")
            await lab.move(timedelta(seconds=1))
            await resolve(lab, "shop")
            await lab.move(timedelta(minutes=pause))
        assert await reasons(lab) == ["go", "cooldown", "go", "go"]
        await fire(lab, "shop")
        assert (await reasons(lab))[-1] == "run_limit"
        refused = [run for run in await lab.runs() if run.state is RunState.REFUSED]
        assert [run.reason for run in refused] == ["cooldown", "run_limit"]
        escalated = [incident for incident in await lab.incidents() if incident.escalated_at is not None]
        assert [incident.escalation_reason for incident in escalated] == ["run_refused", "run_refused"]


async def test_the_budget_over_all_rules_holds_exactly(tmp_path: Path) -> None:
    """Of a storm over many targets only so many are acted upon; every other one is told, none is dropped."""
    settings = {"reach": {"budget": 3}}
    async with engine(tmp_path, rules=RULES, playbooks=PLAYBOOKS, settings=settings) as lab:
        now = lab.clock.now()
        await lab.hear(
            *(alert(began=now, labels={"app": f"app-{number}", "pod": "1"}) for number in range(50))
        )
        assert await reasons(lab) == ["go"] * 3 + ["budget_spent"] * 47
        assert sum(incident.escalated_at is not None for incident in await lab.incidents()) == 47


async def test_a_protected_target_is_left_alone(tmp_path: Path) -> None:
    """What settings protect no rule touches."""
    settings = {"reach": {"protected": ["apps/pay*"]}}
    async with engine(tmp_path, rules=RULES, playbooks=PLAYBOOKS, settings=settings) as lab:
        await fire(lab, "payments")
        assert await reasons(lab) == ["protected_target"]


async def test_a_target_has_one_run_at_a_time_and_rests_afterwards(tmp_path: Path) -> None:
    """Another rule's run on the same target is refused while the first holds it, and for a while afterwards."""
    second = RULES.partition("rules:")[2].replace("Down", "Slow").replace("name: fix", "name: mend")
    async with acting(tmp_path, RULES + second) as lab:
        await fire(lab, "shop")
        await lab.hear(alert("Slow", began=lab.clock.now(), labels={"app": "shop"}))
        assert await reasons(lab) == ["go", "target_locked"]
        (holder, _) = await lab.runs()
        said = [entry.entry.detail["detail"] for entry in await lab.ledger() if entry.entry.stage == "plan"]
        assert said[-1] == f"run {holder.id} is at work on target apps/shop"
        await resolve(lab, "shop")
        await lab.move(timedelta(minutes=1))
        await lab.hear(alert("Slow", began=lab.clock.now(), labels={"app": "shop", "n": "2"}))
        assert (await reasons(lab))[-1] == "target_cooldown"


async def test_what_was_shut_on_purpose_stays_shut_until_a_person_opens_it(tmp_path: Path) -> None:
    """A remedy that stops a system holds it: the outage it makes is not mended by another rule, but told to people."""
    outage = RULES.partition("rules:")[2].replace("Down", "Outage").replace("name: fix", "name: outage")
    stopped = RULES.replace("playbook: turn", "playbook: stop").replace("Down", "Breach")
    held = {"stop": PLAYBOOKS["turn"].replace("playbook: turn", "playbook: stop\nholds_target: true")}
    async with engine(tmp_path, rules=stopped + outage, playbooks={**PLAYBOOKS, **held}) as lab:
        await lab.hear(alert("Breach", began=lab.clock.now(), labels={"app": "shop"}))
        await lab.hear(alert("Breach", began=lab.clock.now(), ended=lab.clock.now(), labels={"app": "shop"}))
        await lab.move(timedelta(hours=1))
        assert {run.state.ended for run in await lab.runs()} == {True}
        await lab.hear(alert("Outage", began=lab.clock.now(), labels={"app": "shop"}))
        assert (await reasons(lab))[-1] == "target_on_hold"
        told = [each for each in await lab.incidents() if each.escalation_reason == "run_refused"]
        assert [each.rule for each in told] == ["outage"]
        began, labels = lab.clock.now(), {"app": "shop", "n": "2"}
        await lab.hear(alert("Breach", began=began, labels=labels))
        assert (await reasons(lab))[-1] == "go"
        await lab.hear(alert("Breach", began=began, ended=lab.clock.now(), labels=labels))
        await lab.move(timedelta(hours=1))
        now = lab.clock.now()
        (hold,) = await lab.store.read(lambda tx: tx.runs.holds())
        assert await lab.store.write(lambda tx: release_target(tx, hold, "all is clear", "lead", now))
        await lab.hear(alert("Outage", began=now, labels={"app": "shop", "n": "3"}))
        assert (await reasons(lab))[-1] == "go"


async def test_what_shuts_a_system_does_not_wait_for_another_remedy(tmp_path: Path) -> None:
    """A run at work on the target is asked to stop, and as soon as it has, the remedy that must not wait begins."""
    rules = RULES.replace("playbook: turn", "playbook: slow") + RULES.partition("rules:")[2].replace(
        "Down", "Breach"
    ).replace("name: fix", "name: breach").replace("playbook: turn", "playbook: stop")
    slow = (
        PLAYBOOKS["turn"]
        .replace("playbook: turn", "playbook: slow")
        .replace("steps:", "steps:\n  - wait: 10m")
    )
    stop = PLAYBOOKS["turn"].replace("playbook: turn", "playbook: stop\nholds_target: true")
    async with engine(tmp_path, rules=rules, playbooks={"slow": slow, "stop": stop}) as lab:
        await fire(lab, "shop")
        await lab.hear(alert("Breach", began=lab.clock.now(), labels={"app": "shop"}))
        assert await reasons(lab) == ["go", "target_waited_for"]
        (first,) = await lab.runs()
        assert (first.state, first.cancel_reason) == (RunState.CANCELLED, "gives way to rule breach")
        await lab.move(timedelta(seconds=5))
        assert await reasons(lab) == ["go", "target_waited_for", "target_held", "go"]
        assert [run.playbook for run in await lab.runs()] == ["slow", "stop"]
        (told, _) = await lab.incidents()
        assert told.escalation_reason == "run_cancelled"


async def test_a_missing_label_refuses_and_tells(tmp_path: Path) -> None:
    """Without the label its key needs, an alert gets an incident of its own and people, and no run."""
    async with engine(tmp_path, rules=RULES, playbooks=PLAYBOOKS) as lab:
        await lab.hear(alert(began=lab.clock.now()))
        assert await lab.runs() == []
        (incident,) = await lab.incidents()
        assert incident.escalation_reason == "run_refused"
        told = [
            entry.entry.detail["detail"] for entry in await lab.ledger() if entry.entry.stage == "escalate"
        ]
        assert "missing_value: rule fix: the incident key needs label 'app'" in str(told[0])


async def test_limits_outlive_a_restart(tmp_path: Path) -> None:
    """A service that comes back remembers what it did."""
    async with acting(tmp_path) as lab:
        await fire(lab, "shop")
        await resolve(lab, "shop")
        await lab.move(timedelta(seconds=1))
    async with acting(tmp_path) as lab:
        lab.clock.at += timedelta(minutes=5)
        await fire(lab, "shop")
        assert (await reasons(lab))[-1] == "cooldown"


async def test_an_alert_that_joined_is_looked_at_again(tmp_path: Path) -> None:
    """An alert that came while a run was under way, and still fires after the cooldown, gets a run of its own."""
    async with acting(tmp_path) as lab:
        await fire(lab, "shop", pod="1")
        await fire(lab, "shop", pod="2")
        assert await reasons(lab) == ["go", "joined_running_incident"]
        await resolve(lab, "shop", pod="1")
        await lab.move(timedelta(minutes=14))
        assert (await lab.runs())[0].state is RunState.VERIFIED
        assert len(await lab.runs()) == 1
        await lab.move(timedelta(minutes=2))
        assert len(await lab.runs()) == 2
        await resolve(lab, "shop", pod="2")
        await lab.move(timedelta(hours=1))
        assert {run.state for run in await lab.runs()} == {RunState.VERIFIED}
        assert all(incident.resolved_at is not None for incident in await lab.incidents())


async def test_a_run_that_changed_nothing_rests_a_moment_only(tmp_path: Path) -> None:
    """The first look found nothing to do; what comes a second later is looked at again, and nobody is called for that.

    A release that breaks just after a false alarm would otherwise be left alone for the whole cooldown.
    """
    async with engine(tmp_path, rules=RULES, playbooks=PLAYBOOKS) as lab:
        await fire(lab, "shop")
        await resolve(lab, "shop")
        await lab.move(timedelta(seconds=2))
        await fire(lab, "shop")
        assert await reasons(lab) == ["go", "looked_lately"]
        await lab.move(timedelta(minutes=1))
        assert await reasons(lab) == ["go", "looked_lately", "go"]
        assert [incident.escalated_at for incident in await lab.incidents()] == [None, None]


async def test_what_has_ended_by_then_is_not_looked_at_again(tmp_path: Path) -> None:
    """The alert resolved while the rule rested."""
    async with engine(tmp_path, rules=RULES, playbooks=PLAYBOOKS) as lab:
        for _ in range(2):
            await fire(lab, "shop")
            await lab.move(timedelta(seconds=1))
            await resolve(lab, "shop")
            await lab.move(timedelta(seconds=1))
        await lab.move(timedelta(hours=1))
        assert await reasons(lab) == ["go", "looked_lately"]


async def test_an_alert_that_joined_a_look_is_looked_at_soon(tmp_path: Path) -> None:
    """The run it joined ended without a change: it gets one of its own a moment later, not after the whole cooldown."""
    async with engine(tmp_path, rules=RULES, playbooks=PLAYBOOKS) as lab:
        await fire(lab, "shop", pod="1")
        await fire(lab, "shop", pod="2")
        await lab.move(timedelta(seconds=5))
        await resolve(lab, "shop", pod="1")
        await lab.move(timedelta(minutes=3))
        assert await reasons(lab) == ["go", "joined_running_incident", "go"]


COUNTING = """
priorities: {P1: {name: High}, P2: {name: Medium}}
rules:
  - name: small
    match: [severity="warning"]
    priority: P2
    incident: {key: [app]}
    continue: true
  - name: many-small
    match: [severity="warning"]
    priority: P1
    for_count: {of: 2, within: 24h, distinct: incident}
"""


async def small(lab: Engine, app: str, pod: str = "1") -> None:
    """A small trouble begins now."""
    await lab.hear(
        alert("Small", began=lab.clock.now(), labels={"severity": "warning", "app": app, "pod": pod})
    )


async def test_a_rule_that_counts_waits_for_distinct_incidents_and_fires_once(tmp_path: Path) -> None:
    """Several P2 in 24 hours are a P1, once per window; the same trouble told again is one."""
    async with engine(tmp_path, rules=COUNTING) as lab:
        await small(lab, "shop", "1")
        await small(lab, "shop", "2")
        assert [incident.rule for incident in await lab.incidents()] == ["small"]
        await lab.move(timedelta(hours=2))
        await small(lab, "cart")
        assert [incident.rule for incident in await lab.incidents()] == ["small", "small", "many-small"]
        await small(lab, "search")
        assert [incident.rule for incident in await lab.incidents()].count("many-small") == 1
        await lab.move(timedelta(hours=25))
        await small(lab, "mail")
        await small(lab, "login")
        assert [incident.rule for incident in await lab.incidents()].count("many-small") == 2


CLOCKS = """
priorities:
  P0: {name: Critical, acknowledge_within: 5m, respond_within: 15m, resolve_within: 30m}
rules:
  - name: down
    match: [alertname="Down"]
    priority: P0
"""


async def test_clocks_run_out_to_the_second_and_tell(tmp_path: Path) -> None:
    """Each promised time that passes unmet is written down at its due time, and people hear of it."""
    async with engine(tmp_path, rules=CLOCKS) as lab:
        opened = lab.clock.now()
        await lab.hear(alert(began=opened))
        await lab.move(timedelta(minutes=20))
        (incident,) = await lab.incidents()
        assert incident.escalated_at == opened + timedelta(minutes=5)
        assert incident.escalation_reason == "clock_breached"
        await lab.hear(alert(began=opened, ended=lab.clock.now()))
        _, clocks = await lab.alerts_and_clocks(incident)
        stands = {clock.kind.value: (clock.breached_at, clock.met_at) for clock in clocks}
        assert stands["acknowledge"][0] == opened + timedelta(minutes=5)
        assert stands["respond"][0] == opened + timedelta(minutes=15)
        assert stands["resolve"] == (None, opened + timedelta(minutes=20))


async def test_a_run_answers_the_respond_clock_and_may_acknowledge(tmp_path: Path) -> None:
    """A run that acts is a response; it acknowledges only where the priority says so."""
    for says, acknowledged in (("", False), (", automation_acknowledges: true", True)):
        folder = tmp_path / str(acknowledged)
        folder.mkdir()
        rules = RULES.replace(
            "{name: High}", f"{{name: High, respond_within: 15m, acknowledge_within: 5m{says}}}"
        )
        async with engine(folder, rules=rules, playbooks=PLAYBOOKS) as lab:
            await fire(lab, "shop")
            (incident,) = await lab.incidents()
            assert incident.responded_at == lab.clock.now()
            assert (incident.acknowledged_at is not None) is acknowledged
