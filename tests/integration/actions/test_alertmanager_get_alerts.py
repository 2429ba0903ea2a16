"""`alertmanager.get_alerts` against a real Alertmanager."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from tests.contract.actions.hands import SetClock, call, failed, performing, succeeded
from tests.servers import Alertmanager, eventually

StartAlertmanager = Callable[..., Awaitable[Alertmanager]]

QUIET = {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}


async def test_alerts_are_listed_and_filtered(alertmanager: StartAlertmanager) -> None:
    """Every alert with its labels, times and state; filters and kinds narrow the list; wrong filters are told."""
    server = await alertmanager(QUIET)
    slow = {
        "labels": {"alertname": "Slow", "severity": "critical"},
        "annotations": {"summary": "it is slow"},
        "startsAt": "2026-01-02T03:04:05Z",
        "generatorURL": "http://prometheus/graph",
    }
    await server.post_alerts(slow, {"labels": {"alertname": "Full"}})
    config = {"alertmanagers": {"main": {"url": server.url}}}
    async with performing(config, clock=SetClock(datetime.now(UTC))) as performer:

        async def names(**params: object) -> list[str]:
            seen = succeeded(await performer.perform(call("alertmanager.get_alerts", params)))
            assert seen["count"] == len(seen["alerts"])
            return [alert["labels"]["alertname"] for alert in seen["alerts"]]

        assert await names() == ["Slow", "Full"]
        seen = succeeded(
            await performer.perform(call("alertmanager.get_alerts", {"filters": ["severity=critical"]}))
        )
        (alert,) = seen["alerts"]
        assert alert["labels"] == slow["labels"]
        assert alert["annotations"] == slow["annotations"]
        assert alert["starts_at"] == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        assert alert["url"] == "http://prometheus/graph"
        assert (alert["silenced_by"], alert["inhibited_by"]) == ([], [])
        assert len(alert["fingerprint"]) == 16

        step = {"matchers": ['alertname="Slow"'], "duration": "30m", "comment": "test"}
        succeeded(await performer.perform(call("alertmanager.silence", step)))
        await eventually(lambda: only(names(active=False), "Slow"), within=5, what="Slow is silenced")
        assert await names(silenced=False) == ["Full"]

        wrong = await performer.perform(call("alertmanager.get_alerts", {"filters": ["severity"]}))
        assert "the matcher 'severity'" in failed(wrong, "invalid")


async def only(names: Awaitable[list[str]], name: str) -> bool:
    """Whether this is all there is."""
    return await names == [name]
