"""`statuspage.update_incident` against a Statuspage on loopback: said once, to the right incident, to its end."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from runbookd.model.action import OutcomeState, Probed
from tests.contract.actions.hands import NOW, failed, succeeded
from tests.fakes.statuspage import Fault, Reply, StatusPage
from tests.integration.actions.statuspage import keeping, page, perform, to_open, to_update

SOON = timedelta(seconds=1)
RESOLVED = {"status": "resolved", "body": "It is over."}


def texts(there: StatusPage, number: int = 0) -> list[tuple[str, str]]:
    """What an incident has said, newest first."""
    updates = there.incidents[number]["incident_updates"]
    return [(update["status"], update["body"]) for update in updates]


async def test_an_incident_is_told_to_its_end() -> None:
    """Updates are added to the incident of the key, with components, and the resolution ends it."""
    async with page() as there, keeping(there) as performer:
        there.add("another")
        succeeded(await performer.perform(to_open()))
        outcome = await performer.perform(to_update({"components": {"mail": "major_outage"}}))
        assert succeeded(outcome) == {
            "incident_id": "incident-2",
            "status": "identified",
            "url": "https://stspg.example/2",
            "sent": True,
        }
        assert outcome.change == {"before": {"status": "investigating"}, "after": {"status": "identified"}}
        assert there.components["id-mail"] == "major_outage"
        assert [each["id"] for each in there.incidents[1]["components"]] == ["id-shop", "id-pay", "id-mail"]
        succeeded(await performer.perform(to_update(RESOLVED)))
    assert texts(there, 1) == [
        ("resolved", "It is over."),
        ("identified", "The cause is found."),
        ("investigating", "Some orders take longer than usual."),
    ]
    assert there.incidents[0]["incident_updates"] == []
    assert there.notified == [text for _, text in reversed(texts(there, 1))]


async def test_subscribers_are_not_told_when_the_settings_say_so() -> None:
    """With `notify_subscribers` off no update goes out by mail."""
    async with page() as there, keeping(there, {"notify_subscribers": False}) as performer:
        there.add("01JX")
        succeeded(await performer.perform(to_update()))
    assert there.notified == []


async def test_a_resolution_leaves_no_component_behind() -> None:
    """Components not named become operational, but for those of another open incident, or under maintenance."""
    async with page() as there:
        there.components |= {"id-shop": "major_outage", "id-pay": "partial_outage"}
        there.components["id-mail"] = "under_maintenance"
        there.add("other", components=[{"id": "id-pay"}])
        there.add("odd", components=[])
        mine = [{"id": "id-shop"}, {"id": "id-pay"}, {"id": "id-mail"}]
        there.add("01JX", components=mine)
        succeeded(await perform(there, to_update(RESOLVED)))
    assert there.components == {
        "id-shop": "operational",
        "id-pay": "partial_outage",
        "id-mail": "under_maintenance",
    }
    assert there.incidents[2]["components"] == mine


async def test_a_resolution_says_what_it_is_told_to() -> None:
    """A component that is named keeps the status that is said, whatever the resolution."""
    async with page() as there:
        there.add("01JX", components=[{"id": "id-shop"}])
        made = to_update({**RESOLVED, "components": {"shop": "degraded_performance"}})
        succeeded(await perform(there, made))
    assert there.components["id-shop"] == "degraded_performance"


async def test_an_old_and_a_resolved_incident_are_found() -> None:
    """An unresolved incident is found however many came after it, and a resolved one among the latest."""
    async with page() as there:
        there.add("01JX")
        for number in range(120):
            there.add(f"later-{number}", status="resolved")
        succeeded(await perform(there, to_update()))
        succeeded(await perform(there, to_update({"key": "later-119"})))
    assert len(texts(there)) == 1


async def test_without_an_incident_it_is_told() -> None:
    """A key nothing was opened under is a permanent failure that says what to do, for the probe too."""
    async with page() as there, keeping(there) as performer:
        message = failed(await performer.perform(to_update()), "not_found")
        assert "statuspage.open_incident opens one" in message
        answer, outcome = await performer.probe(to_update())
        assert answer is Probed.UNKNOWN
        assert outcome is not None


async def test_the_same_words_are_said_once() -> None:
    """An update that stands there since the call was intended is not made again; the probe finds it."""
    async with page() as there, keeping(there) as performer:
        there.add("01JX")
        assert (await performer.probe(to_update()))[0] is Probed.NOT_DONE
        succeeded(await performer.perform(to_update()))
        succeeded(await performer.perform(to_update({"body": "Something else."})))
        again = succeeded(await performer.perform(to_update({"body": "The cause  is\nfound."})))
        answer, known = await performer.probe(to_update())
    assert again["sent"] is False
    assert answer is Probed.DONE
    assert known is not None
    assert known.output["incident_id"] == "incident-1"
    assert len(texts(there)) == 2


async def test_the_same_words_may_be_said_later() -> None:
    """What was said before this call was intended is no earlier attempt at it: it is said again."""
    async with page() as there, keeping(there) as performer:
        there.add("01JX")
        there.now = lambda: NOW - timedelta(minutes=15)
        succeeded(await performer.perform(to_update()))
        there.now = lambda: NOW
        assert succeeded(await performer.perform(to_update()))["sent"] is True
    assert len(texts(there)) == 2


async def test_without_an_intent_only_the_last_words_count() -> None:
    """A call that was not journalled is held against the incident's last update."""
    unjournalled = replace(to_update(), intended_at=None)
    async with page() as there, keeping(there) as performer:
        there.add("01JX")
        there.now = lambda: NOW - timedelta(days=1)
        succeeded(await performer.perform(unjournalled))
        assert succeeded(await performer.perform(unjournalled))["sent"] is False
        succeeded(await performer.perform(to_update({"body": "Something else."})))
        assert succeeded(await performer.perform(unjournalled))["sent"] is True
    assert len(texts(there)) == 3


async def test_updates_without_a_time_are_old() -> None:
    """Updates that do not say when they were made, or are none, are not taken for ours."""
    odd = [{"status": "identified", "body": "The cause is found.", "created_at": None}, "odd"]
    naive = {"status": "identified", "body": "The cause is found.", "created_at": "2026-03-04T05:06:07"}
    async with page() as there, keeping(there) as performer:
        there.add("01JX", incident_updates=list(odd))
        assert (await performer.probe(to_update()))[0] is Probed.NOT_DONE
        there.incidents[0]["incident_updates"].append(naive)
        assert (await performer.probe(to_update()))[0] is Probed.DONE


@pytest.mark.parametrize(("fault", "done"), [(Fault.DROP, True), (Fault.HANG, True), (Fault.LOSE, False)])
async def test_a_doubt_is_settled_by_looking(fault: Fault, done: bool) -> None:  # noqa: FBT001 - a row
    """A break after the request leaves a doubt, which the probe settles: nothing is ever said twice."""
    async with page() as there, keeping(there) as performer:
        there.add("01JX")
        there.script["PATCH"] = [fault]
        made = to_update(within=SOON if fault is Fault.HANG else None)
        kind = "timeout" if fault is Fault.HANG else "connection_lost"
        failed(await performer.perform(made), kind, OutcomeState.IN_DOUBT)
        answer, _ = await performer.probe(to_update())
        assert answer is (Probed.DONE if done else Probed.NOT_DONE)
        succeeded(await performer.perform(to_update()))
    assert len(texts(there)) == 1


@pytest.mark.parametrize(
    ("status", "kind", "state"),
    [
        (401, "denied", OutcomeState.FAILED),
        (404, "not_found", OutcomeState.FAILED),
        (420, "rate_limited", OutcomeState.FAILED),
        (422, "invalid", OutcomeState.FAILED),
        (429, "rate_limited", OutcomeState.FAILED),
        (500, "server_error", OutcomeState.IN_DOUBT),
        (503, "unavailable", OutcomeState.FAILED),
    ],
)
async def test_a_status_has_one_meaning(status: int, kind: str, state: OutcomeState) -> None:
    """Every status of the change means the same word as for other servers."""
    async with page() as there:
        there.add("01JX")
        there.script["PATCH"] = [Reply(status, {"Retry-After": "7"})]
        outcome = await perform(there, to_update())
    failed(outcome, kind, state)
    assert outcome.failure is not None
    assert outcome.failure.retry_after == (7.0 if outcome.failure.temporary else None)


async def test_hostile_text_stays_text() -> None:
    """Whatever a text holds, it arrives as that text, cut to what Statuspage takes, and is found again."""
    hostile = "<!channel> </p><script>\r\nX: y\x00 \ud83d 😀 " + "x" * 30_000
    async with page() as there, keeping(there) as performer:
        there.add("01JX")
        succeeded(await performer.perform(to_update({"body": hostile})))
        assert (await performer.probe(to_update({"body": hostile})))[0] is Probed.DONE
    body = texts(there)[0][1]
    assert body.startswith("<!channel> </p><script>\nX: y ? 😀 xxx")
    assert len(body) == 25_000
