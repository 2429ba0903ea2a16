"""`alertmanager.silence` against a real Alertmanager: made once, found again, undone, and never too wide."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runbookd.actions.performer import CataloguePerformer
from runbookd.model.action import OutcomeState, Probed
from tests.contract.actions.hands import (
    SetClock,
    call,
    failed,
    json_answer,
    perform,
    performing,
    serving,
    succeeded,
)
from tests.servers import Alertmanager, call_json

StartAlertmanager = Callable[..., Awaitable[Alertmanager]]

QUIET = {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}
STEP = {
    "matchers": ['alertname="Slow"', 'namespace=~"med.*"', 'tier!="dev"', 'zone!~"eu-.*"'],
    "duration": "30m",
    "comment": "rolling back",
}


def asking(url: str) -> AbstractAsyncContextManager[CataloguePerformer]:
    """A performer for the server at this URL, on today's clock."""
    config = {"alertmanagers": {"main": {"url": url}}}
    return performing(config, clock=SetClock(datetime.now(UTC)))


async def silences(server: Alertmanager) -> list[dict[str, Any]]:
    """What the server itself lists."""
    listed: Any = await call_json("GET", f"{server.url}/api/v2/silences")
    return list(listed)


async def test_a_silence_is_made_once_and_undone(alertmanager: StartAlertmanager) -> None:
    """The silence says what it is for and whose, a second attempt and the probe find it, and the undo ends it."""
    server = await alertmanager(QUIET)
    made = call("alertmanager.silence", STEP)
    async with asking(server.url) as performer:
        assert (await performer.probe(made))[0] is Probed.NOT_DONE
        outcome = await performer.perform(made)
        first = succeeded(outcome)
        (silence,) = await silences(server)
        assert (silence["id"], silence["createdBy"]) == (first["silence_id"], "runbookd")
        assert silence["comment"] == "rolling back [runbookd run-1/steps/act]"
        kinds = {one["name"]: (one["value"], one["isRegex"], one["isEqual"]) for one in silence["matchers"]}
        assert kinds == {
            "alertname": ("Slow", False, True),
            "namespace": ("med.*", True, True),
            "tier": ("dev", False, False),
            "zone": ("eu-.*", True, False),
        }
        assert first["created"] is True
        assert first["ends_at"] - first["starts_at"] == timedelta(minutes=30)
        assert outcome.change == {
            "before": None,
            "after": {"silence_id": first["silence_id"], "matchers": STEP["matchers"]},
        }

        again = succeeded(await performer.perform(made))
        assert (again["silence_id"], again["created"]) == (first["silence_id"], False)
        answer, known = await performer.probe(made)
        assert answer is Probed.DONE
        assert known is not None
        assert known.output["silence_id"] == first["silence_id"]
        assert len(await silences(server)) == 1

        for _ in range(2):
            undone = await performer.undo(call("alertmanager.silence", STEP, key="undo"), first)
            assert undone.state is OutcomeState.SUCCEEDED
        assert (await silences(server))[0]["status"]["state"] == "expired"
        assert (await performer.probe(made))[0] is Probed.DONE


async def test_alertmanager_s_own_refusal_is_told(alertmanager: StartAlertmanager) -> None:
    """What Alertmanager finds wrong is a permanent failure in its own words; an unknown silence cannot be undone."""
    server = await alertmanager(QUIET)
    gone = {
        "silence_id": "00000000-0000-0000-0000-000000000000",
        "starts_at": datetime.now(UTC),
        "ends_at": datetime.now(UTC),
        "created": True,
    }
    async with asking(server.url) as performer:
        failed(await performer.undo(call("alertmanager.silence", STEP), gone), "not_found")
        past = performing({"alertmanagers": {"main": {"url": server.url}}})
        async with past as late:
            message = failed(await late.perform(call("alertmanager.silence", STEP)), "invalid")
            assert "end time can't be in the past" in message


@pytest.mark.parametrize(
    "matchers",
    [
        ['alertname=~".+"'],
        ['alertname=~".*"'],
        ['alertname!="x"'],
        ['alertname!=""', 'namespace!~"a"'],
        ['alertname=""'],
        ['alertname=~"[a-zA-Z0-9].*"'],
        ['alertname=~"x|.*"'],
    ],
    ids=str,
)
async def test_a_silence_over_everything_is_refused(matchers: list[str]) -> None:
    """A silence that names no value would silence nearly every alert; it is refused before anything is sent."""
    config = {"alertmanagers": {"main": {"url": "http://127.0.0.1:9"}}}
    outcome = await perform("alertmanager.silence", {**STEP, "matchers": matchers}, config)
    assert "nearly every alert" in failed(outcome, "refused")


@pytest.mark.parametrize("matchers", [['a="b"'], ['a=~"b|c"'], ['a=~"med.*"', 'b!=""']], ids=str)
async def test_a_silence_that_names_a_value_is_not(matchers: list[str]) -> None:
    """A value, a choice of values, or a pattern that begins with one is narrow enough to be sent."""
    seen = []

    async def answer(request: Any) -> Any:
        seen.append(request.method)
        return json_answer([] if request.method == "GET" else {"silenceID": "s-1"})

    async with serving(answer) as url, asking(url) as performer:
        succeeded(await performer.perform(call("alertmanager.silence", {**STEP, "matchers": matchers})))
    assert seen == ["GET", "POST"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"matchers": ["alertname"]}, "matcher 'alertname'"),
        ({"matchers": []}, "matchers"),
        ({"duration": "0s"}, "duration"),
        ({"comment": ""}, "comment"),
    ],
)
async def test_a_silence_written_wrongly_is_refused(wrong: Mapping[str, object], said: str) -> None:
    """Matchers that do not read, no duration or no reason: nothing is sent."""
    config = {"alertmanagers": {"main": {"url": "http://127.0.0.1:9"}}}
    assert said in failed(await perform("alertmanager.silence", {**STEP, **wrong}, config), "invalid")


async def test_an_answer_without_an_id_is_told() -> None:
    """A server that takes the silence and does not name it, or lists none, is no Alertmanager."""

    async def nameless(request: Any) -> Any:
        return json_answer([] if request.method == "GET" else {})

    async def listless(_request: Any) -> Any:
        return json_answer({})

    for handler in (nameless, listless):
        async with serving(handler) as url, asking(url) as performer:
            failed(await performer.perform(call("alertmanager.silence", STEP)), "unexpected_status")
