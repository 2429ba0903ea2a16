"""G3: one episode, one decision, whatever the number of senders, repeats, and the order of what they say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.engine import NOON, Engine, alert, engine
from tests.acceptance.nursery import Mortal, nursery
from tests.acceptance.one_service import alertmanager_telling, one_service
from tests.servers import Alertmanager, eventually

MINUTE = timedelta(minutes=1)

RULES = """
rules:
  - name: down
    match: [alertname="Down"]
    priority: P1
    incident: {key: [alertname]}
    run: [{playbook: note}]
    limits: {cooldown: 0s}
    on_resolve: ON_RESOLVE
priorities:
  P1: {name: High, resolve_within: 2h}
"""

NOTE = """
playbook: note
steps:
  - {action: flow.log, with: {message: first}}
"""

SLOW = """
playbook: note
steps:
  - {id: first, action: flow.log, with: {message: first}}
  - {id: pause, wait: 10m}
  - {id: second, action: flow.log, with: {message: second}}
  - {id: last, finally: true, action: flow.log, with: {message: last}}
"""

Delivery = list[dict[str, object]]

FIRING = alert()
OVER = alert(ended=NOON + 5 * MINUTE)
AGAIN = alert(began=NOON + 10 * MINUTE)
AGAIN_OVER = alert(began=NOON + 10 * MINUTE, ended=NOON + 15 * MINUTE)

ORDERS: dict[str, tuple[list[Delivery], list[str], int]] = {
    "told twice": ([[FIRING], [FIRING]], ["new_alert", "repeat"], 1),
    "twice in one message": ([[FIRING, FIRING]], ["new_alert", "repeat"], 1),
    "a start that moves earlier": (
        [[FIRING], [alert(began=NOON - MINUTE)]],
        ["new_alert", "repeat"],
        1,
    ),
    "a start that moves later": ([[FIRING], [alert(began=NOON + MINUTE)]], ["new_alert", "repeat"], 1),
    "no start at all": ([[alert(began=None)], [FIRING]], ["new_alert", "repeat"], 1),
    "over, told by two": ([[FIRING], [OVER], [OVER]], ["new_alert", "resolved", "stale_resolve"], 1),
    "firing told after its end": (
        [[FIRING], [OVER], [FIRING]],
        ["new_alert", "resolved", "stale_firing"],
        1,
    ),
    "firing and end in one message": ([[FIRING, OVER]], ["new_alert", "resolved"], 1),
    "a second episode": (
        [[FIRING], [OVER], [AGAIN], [AGAIN_OVER]],
        ["new_alert", "resolved", "new_alert", "resolved"],
        2,
    ),
    "the first one's end told in the second": (
        [[FIRING], [OVER], [AGAIN], [OVER]],
        ["new_alert", "resolved", "new_alert", "stale_resolve"],
        2,
    ),
    "an end never seen to begin": ([[OVER]], ["resolved_unseen"], 0),
    "an end told before its beginning": ([[OVER], [FIRING]], ["resolved_unseen", "stale_firing"], 0),
    "the second one's end told before its beginning": (
        [[FIRING], [OVER], [AGAIN_OVER], [AGAIN]],
        ["new_alert", "resolved", "resolved_unseen", "stale_firing"],
        1,
    ),
    "both episodes told backwards": (
        [[AGAIN_OVER], [AGAIN], [OVER], [FIRING]],
        ["resolved_unseen", "stale_firing", "stale_resolve", "stale_firing"],
        0,
    ),
}


def rules(on_resolve: str = "finish") -> str:
    """The rules of these tests."""
    return RULES.replace("ON_RESOLVE", on_resolve)


@pytest.mark.parametrize("order", ORDERS)
async def test_every_order_of_deliveries_starts_one_run_per_episode_at_most(
    tmp_path: Path, order: str
) -> None:
    """Whatever order news arrives in, each is kept with what became of it, and an episode is acted upon once."""
    deliveries, outcomes, runs = ORDERS[order]
    async with engine(tmp_path, rules=rules(), playbooks={"note": NOTE}) as it:
        for told in deliveries:
            await it.hear(*told)
            await it.move(MINUTE)
        assert [event.outcome for event in await it.events()] == outcomes
        assert [run.state.value for run in await it.runs()] == ["succeeded"] * runs


async def test_an_episode_keeps_the_earliest_start_that_was_told(tmp_path: Path) -> None:
    """Alertmanager's merging of alerts may move a start back; the episode stays the same and takes the earlier one."""
    async with engine(tmp_path, rules=rules(), playbooks={"note": NOTE}) as it:
        await it.hear(alert())
        await it.hear(alert(began=NOON - MINUTE))
        await it.hear(alert(began=NOON + MINUTE))
        found = await it.store.read(lambda tx: tx.alerts.latest("alertmanager", "Down"))
        assert found is not None
        assert (found.starts_at, found.received) == (NOON - MINUTE, 3)


async def _resolved_in_the_middle(it: Engine) -> dict[str, str]:
    """Let the alert resolve while the run waits; returns the steps' states by their path."""
    await it.hear(FIRING)
    await it.move(MINUTE)
    assert [run.state.value for run in await it.runs()] == ["running"]
    await it.hear(OVER)
    await it.move(20 * MINUTE)
    (run,) = await it.runs()
    return {step.path: step.state.value for step in await it.steps(run)}


async def test_a_run_finishes_when_its_alert_resolves_in_the_middle(tmp_path: Path) -> None:
    """`on_resolve: finish`: all steps are done though the alert has resolved; nobody is told."""
    async with engine(tmp_path, rules=rules("finish"), playbooks={"note": SLOW}) as it:
        steps = await _resolved_in_the_middle(it)
        assert steps == dict.fromkeys(
            ["steps/first", "steps/pause", "steps/second", "steps/last"], "succeeded"
        )
        (run,), (incident,) = await it.runs(), await it.incidents()
        assert (run.state.value, incident.state.value, incident.escalated_at) == (
            "succeeded",
            "resolved",
            None,
        )


async def test_a_run_is_cancelled_when_its_alert_resolves_in_the_middle(tmp_path: Path) -> None:
    """`on_resolve: cancel`: the run stops at the step border at once, does its `finally` step, and nobody is told."""
    async with engine(tmp_path, rules=rules("cancel"), playbooks={"note": SLOW}) as it:
        steps = await _resolved_in_the_middle(it)
        assert "steps/second" not in steps
        assert steps["steps/last"] == "succeeded"
        (run,), (incident,) = await it.runs(), await it.incidents()
        assert (run.state.value, run.reason) == ("cancelled", "alert_resolved")
        assert run.ended_at == NOON + MINUTE
        assert incident.escalated_at is None


async def test_two_alertmanagers_that_tell_one_alert_start_one_run(
    alertmanager_pair: Callable[..., Awaitable[tuple[Alertmanager, Alertmanager]]],
) -> None:
    """A real cluster whose members both notify, and notify again: one run, and one incident that closes."""
    content: dict[str, Any] = {"rules": rules(), "playbooks": {"note": NOTE}}
    async with nursery() as born_by, one_service(born_by, **content) as service:
        await service.start()
        telling = alertmanager_telling(service, repeat="1s")
        await _one_episode(service, await alertmanager_pair(telling, peer_timeout="0s"))


async def _one_episode(service: Mortal, pair: tuple[Alertmanager, Alertmanager]) -> None:
    """Tell both of one alert, as Prometheus does, until both have told the service; then of its end."""
    began = datetime.now(UTC)
    labels = {"alertname": "Down"}
    for one in pair:
        await one.post_alerts({"labels": labels, "startsAt": began.isoformat()})

    def told_by_all() -> bool:
        return len(service.rows("SELECT 1 FROM events WHERE status = 'firing'")) >= 3

    await eventually(told_by_all, within=30, what="both members have told the alert, and once more")
    ended = datetime.now(UTC).isoformat()
    for one in pair:
        await one.post_alerts({"labels": labels, "startsAt": began.isoformat(), "endsAt": ended})
    await service.incidents_resolved()
    outcomes = {row["outcome"] for row in service.rows("SELECT outcome FROM events")}
    assert (
        {"new_alert", "repeat", "resolved"}
        <= outcomes
        <= {"new_alert", "repeat", "resolved", "stale_resolve"}
    )
    assert [row["state"] for row in service.rows("SELECT state FROM runs")] == ["succeeded"]
    assert len(service.rows("SELECT 1 FROM incidents")) == 1
