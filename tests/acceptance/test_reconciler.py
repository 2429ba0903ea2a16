"""A notification that never came, was cut short, or whose end was never told: asking Alertmanager finds out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.acceptance.engine import NOON, alert, engine
from tests.acceptance.nursery import Mortal, nursery
from tests.acceptance.one_service import alertmanager_telling, one_service
from tests.servers import Alertmanager, call_json, eventually

StartAlertmanager = Callable[..., Awaitable[Alertmanager]]

MINUTE = timedelta(minutes=1)
LABELS = {"alertname": "Down"}
RULES = """
rules:
  - name: down
    match: [alertname="Down"]
    priority: P1
    run: [{playbook: note}]
    limits: {cooldown: 0s}
priorities:
  P1: {name: High, resolve_within: 2h}
"""
NOTE = """
playbook: note
steps:
  - {action: flow.log, with: {message: noted}}
"""


def listed(name: str = "Down", *, began: datetime = NOON, state: str = "active") -> dict[str, object]:
    """One alert as `GET /api/v2/alerts` lists it."""
    told = alert(name, began=began)
    return told | {
        "status": {"state": state, "silencedBy": [], "inhibitedBy": []},
        "endsAt": "2027-01-01T00:00:00Z",
    }


async def asking(service: Mortal, sender: Alertmanager, every: str, forget_after: str = "10m") -> None:
    """Let the service ask this Alertmanager, and start it."""
    service.settings |= {
        "reconcile": {"alertmanagers": [sender.url], "every": every, "forget_after": forget_after}
    }
    service.configure()
    await service.start()


def outcomes(service: Mortal) -> list[str]:
    """What became of every event, oldest first."""
    return [row["outcome"] for row in service.rows("SELECT outcome FROM events ORDER BY received_at, id")]


async def fires(sender: Alertmanager, *alerts: dict[str, str]) -> None:
    """Tell the Alertmanager of alerts that fire from now on, and wait until it lists them."""
    began = datetime.now(UTC).isoformat()
    await sender.post_alerts(*({"labels": labels, "startsAt": began} for labels in alerts))

    async def known() -> bool:
        return len(await call_json("GET", f"{sender.url}/api/v2/alerts")) >= len(alerts)

    await eventually(known, within=10)


async def test_an_alert_whose_webhook_was_missed_is_found(alertmanager: StartAlertmanager) -> None:
    """The service was down when Alertmanager told, which will not tell again for an hour: asked, it lists the alert."""
    async with nursery() as born_by, one_service(born_by, rules=RULES, playbooks={"note": NOTE}) as service:
        refusing = alertmanager_telling(service)
        refusing["receivers"][0]["webhook_configs"][0]["url"] = f"{service.url}/nobody"
        sender = await alertmanager(refusing)
        await fires(sender, LABELS)
        await asking(service, sender, "1s")
        await service.runs_ended(1)
        assert outcomes(service) == ["new_alert"]
        sources = service.rows("SELECT DISTINCT source FROM deliveries")
        assert sources == [{"source": "alertmanager-reconcile"}]


async def test_the_rest_of_a_truncated_notification_is_found(alertmanager: StartAlertmanager) -> None:
    """`max_alerts: 1` cuts a group of three down to one: the service asks for the others at once."""
    async with nursery() as born_by, one_service(born_by, rules=RULES, playbooks={"note": NOTE}) as service:
        sender = await alertmanager(alertmanager_telling(service, max_alerts=1))
        await asking(service, sender, "1h")
        await eventually(
            lambda: service.rows("SELECT 1 FROM deliveries WHERE source LIKE '%reconcile'"), within=10
        )
        await fires(sender, *({**LABELS, "host": host} for host in "abc"))
        await service.runs_ended(3)
        told = service.rows("SELECT count(*) AS n FROM events WHERE outcome = 'new_alert'")
        assert told == [{"n": 3}]


async def test_an_alert_whose_end_was_never_told_is_closed(alertmanager: StartAlertmanager) -> None:
    """Alertmanager forgot the alert without a word: what it no longer lists has resolved."""
    async with nursery() as born_by, one_service(born_by, rules=RULES, playbooks={"note": NOTE}) as service:
        silent: dict[str, Any] = alertmanager_telling(service, send_resolved=False)
        sender = await alertmanager(silent)
        await asking(service, sender, "1s", forget_after="2s")
        await fires(sender, LABELS)
        await service.runs_ended(1)
        assert not service.rows("SELECT 1 FROM incidents WHERE state = 'resolved'")
        ended = datetime.now(UTC).isoformat()
        await sender.post_alerts({"labels": LABELS, "startsAt": NOON.isoformat(), "endsAt": ended})
        await service.incidents_resolved(1)
        assert outcomes(service)[-1] == "resolved"


async def test_an_unlisted_alert_is_closed_after_its_time_and_not_before(tmp_path: Path) -> None:
    """An Alertmanager that has just restarted lists nothing: only an alert unheard of for `forget_after` is over."""
    settings = {"reconcile": {"forget_after": "10m"}}
    async with engine(tmp_path, rules=RULES, playbooks={"note": NOTE}, settings=settings) as it:
        await it.hear(alert())
        for _ in range(10):
            await it.move(MINUTE)
            await it.hear(source="alertmanager-reconcile")
            (incident,) = await it.incidents()
            assert incident.state.value == "open"
        await it.move(MINUTE)
        await it.hear(source="alertmanager-reconcile")
        (incident,) = await it.incidents()
        assert incident.state.value == "resolved"


async def test_a_listed_alert_stays_open_and_is_not_told_twice(tmp_path: Path) -> None:
    """What the list repeats is no news; a silenced alert is neither new nor over."""
    async with engine(tmp_path, rules=RULES, playbooks={"note": NOTE}) as it:
        await it.hear(listed(), source="alertmanager-reconcile")
        for state in ("active", "suppressed", "active"):
            await it.move(9 * MINUTE)
            await it.hear(listed(state=state), source="alertmanager-reconcile")
        assert [event.outcome for event in await it.events()] == ["new_alert"]
        (incident,) = await it.incidents()
        assert incident.state.value == "open"
        assert len(await it.runs()) == 1


async def test_a_silenced_alert_is_not_forgotten(tmp_path: Path) -> None:
    """A silence of hours says nothing about the trouble: the alert is listed all the while, and stays open."""
    async with engine(tmp_path, rules=RULES, playbooks={"note": NOTE}) as it:
        await it.hear(alert())
        for _ in range(5):
            await it.move(9 * MINUTE)
            await it.hear(listed(state="suppressed"), source="alertmanager-reconcile")
        (incident,) = await it.incidents()
        assert incident.state.value == "open"


async def test_a_firing_alert_that_was_closed_meanwhile_is_found_again(tmp_path: Path) -> None:
    """Closed because unlisted, yet listed again as firing since before: Alertmanager is believed."""
    async with engine(tmp_path, rules=RULES, playbooks={"note": NOTE}) as it:
        await it.hear(alert())
        await it.move(11 * MINUTE)
        await it.hear(source="alertmanager-reconcile")
        await it.move(MINUTE)
        await it.hear(listed(), source="alertmanager-reconcile")
        assert [incident.state.value for incident in await it.incidents()][-1] == "open"
