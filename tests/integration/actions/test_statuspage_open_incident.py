"""`statuspage.open_incident` against a Statuspage on loopback: opened once, as told, within its limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from runbookd.model.action import Mode, OutcomeState, Probed
from tests.contract.actions.hands import NOW, failed, performing, succeeded
from tests.fakes.statuspage import Fault, Reply, StatusPage
from tests.integration.actions.statuspage import keeping, page, perform, settings, to_open

SOON = timedelta(seconds=1)


async def test_an_incident_is_opened_as_told() -> None:
    """Name, status, text, impact and components are what was said, and the incident bears its key."""
    async with page() as there:
        outcome = await perform(there, to_open())
        output = succeeded(outcome)
    (incident,) = there.incidents
    assert incident["name"] == "The web shop is slow"
    assert (incident["status"], incident["impact"]) == ("investigating", "major")
    assert incident["incident_updates"][0]["body"] == "Some orders take longer than usual."
    assert incident["metadata"] == {"runbookd": {"key": "01JX"}}
    assert incident["components"] == [{"id": "id-shop"}, {"id": "id-pay"}]
    assert there.components == {
        "id-shop": "degraded_performance",
        "id-pay": "partial_outage",
        "id-mail": "operational",
    }
    assert output == {
        "incident_id": "incident-1",
        "status": "investigating",
        "url": "https://stspg.example/1",
        "created": True,
    }
    assert outcome.change is not None
    assert outcome.change["before"] is None


@pytest.mark.parametrize("told", [True, False])
async def test_whether_subscribers_are_told_is_always_said(told: bool) -> None:  # noqa: FBT001 - a row
    """The settings decide whether subscribers get a mail; Statuspage's own default is never relied on."""
    async with page() as there, keeping(there, {"notify_subscribers": told}) as performer:
        succeeded(await performer.perform(to_open()))
    assert bool(there.notified) is told


async def test_there_is_one_incident_for_one_key() -> None:
    """A second attempt, and the probe, find what the first one made, also when it has been resolved since."""
    async with page() as there, keeping(there) as performer:
        assert (await performer.probe(to_open()))[0] is Probed.NOT_DONE
        first = succeeded(await performer.perform(to_open()))
        there.incidents[0]["status"] = "resolved"
        again = succeeded(await performer.perform(to_open({"name": "Another title"})))
        answer, known = await performer.probe(to_open())
    assert (again["incident_id"], again["created"]) == (first["incident_id"], False)
    assert answer is Probed.DONE
    assert known is not None
    assert known.output["incident_id"] == first["incident_id"]
    assert len(there.incidents) == 1


async def test_incidents_of_others_are_left_alone() -> None:
    """Incidents without our key, with odd metadata, or with another key are not taken for ours."""
    async with page() as there:
        there.add()
        there.add(metadata=None)
        there.add(metadata={"runbookd": "01JX"})
        there.add(metadata={"other": {"key": "01JX"}})
        there.add("01JY")
        assert succeeded(await perform(there, to_open()))["created"] is True
    assert len(there.incidents) == 6


async def test_without_components_none_are_named() -> None:
    """An incident about no component changes none."""
    async with page() as there:
        succeeded(await perform(there, to_open({"components": {}})))
    assert set(there.components.values()) == {"operational"}


@pytest.mark.parametrize(("fault", "done"), [(Fault.DROP, True), (Fault.HANG, True), (Fault.LOSE, False)])
async def test_a_doubt_is_settled_by_looking(fault: Fault, done: bool) -> None:  # noqa: FBT001 - a row
    """A break after the request leaves a doubt, which the probe settles: nothing is ever opened twice."""
    async with page() as there, keeping(there) as performer:
        there.script["POST"] = [fault]
        made = to_open(within=SOON if fault is Fault.HANG else None)
        kind = "timeout" if fault is Fault.HANG else "connection_lost"
        failed(await performer.perform(made), kind, OutcomeState.IN_DOUBT)
        answer, _ = await performer.probe(to_open())
        assert answer is (Probed.DONE if done else Probed.NOT_DONE)
        succeeded(await performer.perform(to_open()))
    assert len(there.incidents) == 1


@pytest.mark.parametrize("fault", [Fault.LOSE, Fault.HANG])
async def test_a_break_while_looking_is_no_doubt(fault: Fault) -> None:
    """What breaks before anything was to change has changed nothing."""
    async with page() as there:
        there.script["GET"] = [fault]
        made = to_open(within=SOON if fault is Fault.HANG else None)
        failed(await perform(there, made), "timeout" if fault is Fault.HANG else "connection_lost")
    assert there.incidents == []


@pytest.mark.parametrize(
    ("status", "kind", "temporary", "state"),
    [
        (400, "invalid", False, OutcomeState.FAILED),
        (401, "denied", False, OutcomeState.FAILED),
        (403, "denied", False, OutcomeState.FAILED),
        (404, "not_found", False, OutcomeState.FAILED),
        (409, "conflict", False, OutcomeState.FAILED),
        (420, "rate_limited", True, OutcomeState.FAILED),
        (422, "invalid", False, OutcomeState.FAILED),
        (429, "rate_limited", True, OutcomeState.FAILED),
        (500, "server_error", True, OutcomeState.IN_DOUBT),
        (502, "server_error", True, OutcomeState.IN_DOUBT),
        (503, "unavailable", True, OutcomeState.FAILED),
        (504, "server_error", True, OutcomeState.IN_DOUBT),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_status_has_one_meaning(
    method: str,
    status: int,
    kind: str,
    temporary: bool,  # noqa: FBT001 - a row
    state: OutcomeState,
) -> None:
    """Every status means the same word as for other servers, and only a change can be in doubt."""
    async with page() as there:
        there.script[method] = [Reply(status, {"Retry-After": "7"})]
        outcome = await perform(there, to_open())
    message = failed(outcome, kind, state if method == "POST" else OutcomeState.FAILED)
    assert outcome.failure is not None
    assert outcome.failure.temporary is temporary
    assert outcome.failure.retry_after == (7.0 if temporary else None)
    assert f"Statuspage answered {status} to {method}" in message
    assert "the page's reason" in message


@pytest.mark.parametrize("too_many", [420, 429])
@pytest.mark.parametrize("wait", [None, "12"])
async def test_its_limit_is_a_reason_to_wait(too_many: int, wait: str | None) -> None:
    """Beyond one request a second the page says 420 or 429, and the call may be made later, when told or not."""
    async with page() as there, keeping(there) as performer:
        there.too_many, there.retry_after = too_many, wait
        outcomes = [await performer.perform(to_open({"key": f"k{number}"})) for number in range(21)]
        failed(outcomes[20], "rate_limited")
        assert outcomes[20].failure is not None
        assert outcomes[20].failure.retry_after == (None if wait is None else 12.0)
        there.now = lambda: NOW + timedelta(minutes=1)
        succeeded(await performer.perform(to_open({"key": "k20"})))
    assert len(there.incidents) == 21


async def test_a_wrong_key_is_told_and_not_shown() -> None:
    """An API key the page does not know is denied, and is in no message."""
    async with page() as there:
        message = failed(await perform(there, to_open(), key="canary-wrong"), "denied")
    assert "Could not authenticate" in message
    assert "canary" not in message


@pytest.mark.parametrize(
    ("method", "text"),
    [
        *(("GET", text) for text in ("<html>Sorry</html>", "{}", '[{"name": "no id"}]', "null", "")),
        *(("POST", text) for text in ("<html>Sorry</html>", "{}", "[]", "null", "")),
    ],
)
async def test_an_answer_that_is_none_is_told(method: str, text: str) -> None:
    """What is no Statuspage's answer is told as such."""
    async with page() as there:
        there.script[method] = [Reply(200, text=text)]
        failed(await perform(there, to_open()), "unexpected_status")


async def test_nobody_listening_was_never_sent(free_port: int) -> None:
    """A refused connection is a temporary failure, and never a doubt."""
    there = StatusPage(url=f"http://127.0.0.1:{free_port}/v1")
    failed(await perform(there, to_open()), "unreachable")


async def test_an_unknown_component_is_refused() -> None:
    """Only components of the settings can be named; one that is nearly right is suggested, and nothing is sent."""
    async with page() as there:
        message = failed(await perform(there, to_open({"components": {"shp": "operational"}})), "refused")
    assert "Did you mean 'shop'?" in message
    assert there.asked == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"status": "in_progress"}, "`status`"),
        ({"impact": "huge"}, "`impact`"),
        ({"components": {"shop": "broken"}}, "`components.shop`"),
        ({"name": ""}, "`name`"),
        ({"name": 7}, "`name`"),
        ({"body": "\x00"}, "`body`"),
        ({"key": ""}, "`key`"),
    ],
)
async def test_what_statuspage_would_refuse_is_not_sent(wrong: Mapping[str, object], said: str) -> None:
    """A status, impact or component status Statuspage does not know, and empty texts, are refused here."""
    async with page() as there:
        assert said in failed(await perform(there, to_open(wrong)), "invalid")
    assert there.asked == []


async def test_without_a_page_the_setting_is_named() -> None:
    """Without `actions.statuspage` nothing is opened, and the message says what to set."""
    async with performing() as performer:
        assert "actions.statuspage" in failed(await performer.perform(to_open()), "not_set")
        assert (await performer.probe(to_open()))[0] is Probed.UNKNOWN


async def test_hostile_text_stays_text() -> None:
    """Whatever a text holds, it arrives as that text: one line for the name, cut to what Statuspage takes."""
    hostile = "<!channel> </p><script>\r\nX: y\x00 \ud83d 😀 " + "x" * 30_000
    async with page() as there:
        succeeded(await perform(there, to_open({"name": hostile, "body": hostile})))
    (incident,) = there.incidents
    assert incident["name"].startswith("<!channel> </p><script> X: y ? 😀 xxx")
    assert incident["incident_updates"][0]["body"].startswith("<!channel> </p><script>\nX: y ? 😀 xxx")
    assert (len(incident["name"]), len(incident["incident_updates"][0]["body"])) == (255, 25_000)


async def test_observe_mode_opens_nothing() -> None:
    """In observe mode the page is not touched."""
    async with page() as there, performing(settings(there)) as performer:
        outcome = await performer.perform(replace(to_open(), mode=Mode.OBSERVE))
    assert outcome.state is OutcomeState.SKIPPED
    assert there.asked == []
