"""`alertmanager.expire_silence` against a real Alertmanager."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from runbookd.model.action import OutcomeState
from tests.contract.actions.hands import SetClock, call, failed, json_answer, performing, serving, succeeded
from tests.servers import Alertmanager, call_json

StartAlertmanager = Callable[..., Awaitable[Alertmanager]]

QUIET = {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}


async def test_a_silence_is_ended_once_and_for_all(alertmanager: StartAlertmanager) -> None:
    """It ends, ending it again changes nothing, it is not undone, and an unknown id is told."""
    server = await alertmanager(QUIET)
    config = {"alertmanagers": {"main": {"url": server.url}}}
    async with performing(config, clock=SetClock(datetime.now(UTC))) as performer:
        step = {"matchers": ['alertname="Slow"'], "duration": "30m", "comment": "test"}
        silence_id = succeeded(await performer.perform(call("alertmanager.silence", step)))["silence_id"]
        made = call("alertmanager.expire_silence", {"silence_id": silence_id})

        first = await performer.perform(made)
        assert succeeded(first) == {"silence_id": silence_id, "state_before": "active"}
        assert first.change == {"before": {"state": "active"}, "after": {"state": "expired"}}
        listed = await call_json("GET", f"{server.url}/api/v2/silence/{silence_id}")
        assert listed["status"]["state"] == "expired"

        again = await performer.perform(made)
        assert (succeeded(again)["state_before"], again.change) == ("expired", None)
        failed(await performer.undo(made, first.output), "not_undoable", OutcomeState.SKIPPED)

        unknown = {"silence_id": "00000000-0000-0000-0000-000000000000"}
        failed(await performer.perform(call("alertmanager.expire_silence", unknown)), "not_found")


async def test_an_id_is_no_path() -> None:
    """An id with slashes in it asks for that id, and for no other resource."""
    paths = []

    async def answer(request):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
        paths.append(request.raw_path)
        return json_answer({})

    async with serving(answer) as url, performing({"alertmanagers": {"main": {"url": url}}}) as performer:
        outcome = await performer.perform(call("alertmanager.expire_silence", {"silence_id": "../status"}))
    failed(outcome, "unexpected_status")
    assert paths == ["/api/v2/silence/..%2Fstatus"]
