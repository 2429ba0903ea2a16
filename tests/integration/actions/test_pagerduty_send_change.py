"""`pagerduty.send_change` against the fake PagerDuty: a change is told once, with its time, whatever it says.

Not here: what a misbehaving PagerDuty means; that is in `tests/integration/actions/test_pagerduty_client.py`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from runbookd.actions.catalogue import ActionCatalogue
from runbookd.model.action import Call, OutcomeState, Repeat
from tests.contract.actions.hands import KEY, NOW, call, failed, performing, succeeded
from tests.fakes.pagerduty import SERVICE_KEY, Fault, pagerduty


def change(**params: Any) -> Call:
    """A call that tells of a rollback."""
    return call("pagerduty.send_change", {"service_key": SERVICE_KEY, "summary": "Rolled back"} | params)


async def test_a_change_is_told() -> None:
    """Summary, source, time, details and links arrive where PagerDuty wants them, with our key; nobody is rung."""
    told = change(
        source="shop/backend",
        timestamp=datetime(2026, 3, 4, 1, 2, 3, tzinfo=UTC),
        details={"revision": 4},
        links=[{"href": "https://x.example/run/1", "text": "Run"}],
    )
    async with pagerduty() as server, performing(server.config()) as performer:
        outcome = await performer.perform(told)
    assert succeeded(outcome) == {"timestamp": datetime(2026, 3, 4, 1, 2, 3, tzinfo=UTC), "cut": []}
    assert server.changes == [
        {
            "routing_key": SERVICE_KEY,
            "payload": {
                "summary": "Rolled back",
                "source": "shop/backend",
                "timestamp": "2026-03-04T01:02:03Z",
                "custom_details": {"runbookd key": KEY, "revision": 4},
            },
            "links": [{"href": "https://x.example/run/1", "text": "Run"}],
        }
    ]
    assert server.account.incidents == []


async def test_without_a_time_it_is_when_it_was_decided() -> None:
    """A repeat says the same time as the first attempt: the moment the step was committed to."""
    async with pagerduty() as server, performing(server.config()) as performer:
        server.fail("/v2/change", Fault(drop=True, after=True))
        failed(await performer.perform(change()), "connection_lost", OutcomeState.IN_DOUBT)
        assert succeeded(await performer.perform(change()))["timestamp"] == NOW
    assert server.changes[0] == server.changes[1]


def test_a_repeat_does_no_harm() -> None:
    """A change may be told twice when nobody knows whether it was told."""
    assert ActionCatalogue().repeat("pagerduty.send_change", {}) is Repeat.SAFE


@pytest.mark.parametrize("label", ["<!channel>", "a\r\nb", "\ud800\0", "x" * 600_000, " "], ids=ascii)
async def test_no_label_stops_it(label: str) -> None:
    """Whatever a label holds PagerDuty takes the change, cut where it has to be."""
    told = change(summary=label, source=label, details={label: label}, links=[{"href": label, "text": label}])
    async with pagerduty() as server, performing(server.config()) as performer:
        result = succeeded(await performer.perform(told))
    (payload,) = [one["payload"] for one in server.changes]
    assert payload["summary"].strip()
    assert bool(result["cut"]) == ("cut by runbookd" in payload["custom_details"])
    assert all(len(one.body.encode()) <= 512_000 for one in server.asked)


@pytest.mark.parametrize(
    "wrong", [{"service_key": "canary"}, {"severity": "error"}, {"timestamp": "soon"}], ids=str
)
async def test_a_change_written_wrongly_is_refused(wrong: dict[str, Any]) -> None:
    """What cannot be a change is refused before anything is sent."""
    async with pagerduty() as server, performing(server.config()) as performer:
        outcome = await performer.perform(change(**wrong))
    assert next(iter(wrong)) in failed(outcome, "invalid")
    assert "canary" not in repr(outcome)
    assert server.asked == []
