"""When an alert that always fires stops coming, that is an incident: once, whoever looks, and over when it is heard."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from functools import cache
from pathlib import Path

from runbookd.actions.catalogue import ActionCatalogue
from runbookd.content.load import load
from runbookd.model.alert import Alert
from runbookd.model.incident import Incident, IncidentState
from runbookd.model.library import Library
from runbookd.runtime.watchdogs import listening
from runbookd.settings import shipped
from tests.acceptance.engine import NOON, Engine, alert, engine
from tests.acceptance.voices import Voices
from tests.service import notification, service

PRIORITIES = ("P0", "P1", "P2")
STEP = timedelta(seconds=30)


@cache
def library() -> Library:
    """The shipped content."""
    return load([shipped("rules")], [shipped("playbooks")], ActionCatalogue())


def given(folder: Path, *dogs: Mapping[str, str]) -> AbstractAsyncContextManager[Engine]:
    """An engine with the shipped content, and watchdogs: by default one that comes every five minutes."""
    settings = {"watchdogs": dogs or [{"every": "5m", "priority": "P1"}]}
    return engine(folder, library=library(), performer=Voices(), settings=settings)


async def watched(lab: Engine, by: timedelta) -> None:
    """Let the time pass, with two replicas that look."""
    replicas = [listening(lab.store, lab.clock, lab.pipeline) for _ in range(2)]
    end = lab.clock.at + by
    while lab.clock.at < end:
        await lab.move(min(STEP, end - lab.clock.at))
        for look in replicas:
            await look()
        await lab.worker.drain(lab.clock.at)


async def barks(lab: Engine, minutes: int) -> None:
    """The watchdog is heard now, and every five minutes for so long."""
    await lab.hear(alert("Watchdog"))
    for _ in range(minutes // 5):
        await watched(lab, timedelta(minutes=5))
        await lab.hear(alert("Watchdog"))


async def missing(lab: Engine) -> list[Incident]:
    """The incidents of silence."""
    return [one for one in await lab.incidents() if one.rule.startswith("watchdog-missing")]


async def alerts_of(lab: Engine, incident: Incident) -> list[Alert]:
    """Every episode of it."""
    return (await lab.alerts_and_clocks(incident))[0]


async def test_a_watchdog_that_is_heard_costs_nothing(tmp_path: Path) -> None:
    """An hour of it opens no incident, and nobody is told anything."""
    async with given(tmp_path) as lab:
        await barks(lab, 60)
        assert (await lab.incidents(), await lab.messages()) == ([], [])
        assert len(await lab.events()) == 13


async def test_silence_is_one_incident_until_it_is_heard_again(tmp_path: Path) -> None:
    """Twice its interval after it was heard last, with two replicas that look; what it opened closes by itself."""
    async with given(tmp_path) as lab:
        await barks(lab, 10)
        await watched(lab, timedelta(minutes=9, seconds=30))
        assert await missing(lab) == []
        await watched(lab, timedelta(hours=1))
        (incident,) = await missing(lab)
        assert (incident.priority, incident.title) == ("P1", "Nothing is heard from alertmanager")
        assert incident.opened_at == NOON + timedelta(minutes=20)
        assert len(await alerts_of(lab, incident)) == 1
        assert len([one for one in await lab.events() if one.event.source == "runbookd"]) == 1
        await barks(lab, 10)
        (incident,) = await missing(lab)
        assert (incident.state, incident.resolved_at) == (
            IncidentState.RESOLVED,
            NOON + timedelta(hours=1, minutes=19, seconds=30),
        )
        await watched(lab, timedelta(minutes=10))
        assert [one.state for one in await missing(lab)] == [IncidentState.RESOLVED, IncidentState.OPEN]


async def test_one_that_was_never_heard_is_missed_too(tmp_path: Path) -> None:
    """A watchdog in the settings is expected from when the service first listens."""
    async with given(tmp_path) as lab:
        await watched(lab, timedelta(minutes=10))
        assert await missing(lab) == []
        await watched(lab, STEP)
        (incident,) = await missing(lab)
        (one,) = await alerts_of(lab, incident)
        assert "was heard never" in one.event.annotations["description"]


async def test_restarts_change_nothing(tmp_path: Path) -> None:
    """A service that restarts every four minutes does not begin to count each time; nor is it missed twice."""
    for life in range(6):
        async with given(tmp_path) as lab:
            lab.clock.at = NOON + life * timedelta(minutes=4)
            await watched(lab, timedelta(minutes=1))
            assert len(await missing(lab)) == (life > 2), "ten minutes are over in the fourth life"


async def test_an_outage_of_our_own_is_nobody_elses_silence(tmp_path: Path) -> None:
    """What could not be heard while no service ran is waited for anew."""
    async with given(tmp_path) as lab:
        await barks(lab, 5)
    async with given(tmp_path) as lab:
        lab.clock.at = NOON + timedelta(hours=3)
        await watched(lab, timedelta(minutes=9))
        assert await missing(lab) == []
        await watched(lab, timedelta(minutes=2))
        assert len(await missing(lab)) == 1


async def test_what_is_asked_for_was_not_told(tmp_path: Path) -> None:
    """Alertmanager that answers when asked, and does not tell by itself, is silent: its route here is broken."""
    async with given(tmp_path) as lab:
        await lab.hear(alert("Watchdog"))
        for _ in range(11):
            await watched(lab, timedelta(minutes=1))
            listed = alert("Watchdog") | {"status": {"state": "active"}}
            await lab.hear(listed, source="alertmanager-reconcile")
        assert len(await missing(lab)) == 1


async def test_its_end_is_silence_too(tmp_path: Path) -> None:
    """A watchdog told to have resolved is not heard by that."""
    async with given(tmp_path) as lab:
        await lab.hear(alert("Watchdog"))
        await watched(lab, timedelta(minutes=9))
        await lab.hear(alert("Watchdog", ended=lab.clock.at))
        await watched(lab, timedelta(minutes=2))
        assert len(await missing(lab)) == 1


async def test_what_waits_to_be_admitted_may_be_it(tmp_path: Path) -> None:
    """With deliveries that wait, silence is known only up to the oldest of them."""
    async with given(tmp_path) as lab:
        look = listening(lab.store, lab.clock, lab.pipeline)
        await barks(lab, 0)
        await watched(lab, timedelta(minutes=8))
        body = b'{"version": "4", "alerts": [{"status": "firing", "labels": {"alertname": "Watchdog"}}]}'
        await lab.pipeline.receive("alertmanager", body, {}, None)
        for _ in range(10):
            lab.clock.at += timedelta(minutes=1)
            await look()
        await lab.worker.drain(lab.clock.at)
        assert await missing(lab) == []


async def test_the_settings_say_how_urgent_it_is(tmp_path: Path) -> None:
    """Each watchdog is an incident of its own, of the priority it is given."""
    dogs = [{"alert": name, "priority": priority} for name, priority in zip("ABC", PRIORITIES, strict=True)]
    async with given(tmp_path, *dogs) as lab:
        await watched(lab, timedelta(minutes=11))
        found = {one.key: one.priority for one in await missing(lab)}
        assert sorted(found.values()) == [*PRIORITIES]
        assert len(found) == 3


async def test_a_service_that_is_killed_goes_on_listening() -> None:
    """On the real clock: a service killed in the middle misses the watchdog once, and is content when it hears it."""
    rules = """
priorities: {P1: {name: High}}
rules: [{name: silence, match: [alertname="WatchdogMissing"], priority: P1, incident: {key: [sender]}}]
"""
    settings = {"watchdogs": [{"every": "3s"}]}
    async with service(rules=rules, playbooks={}, settings=settings) as it:
        await it.until("SELECT 1 FROM switches WHERE name LIKE 'watchdog:%'")
        await it.kill()
        await it.start()
        (incident,) = await it.until("SELECT * FROM incidents", within=30)
        assert incident["title"] == "WatchdogMissing"
        await it.kill()
        await it.start()
        assert await it.post(notification({"alertname": "Watchdog"})) == 202
        assert len(await it.incidents_resolved()) == 1
