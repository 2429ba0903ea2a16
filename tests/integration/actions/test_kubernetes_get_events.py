"""`kubernetes.get_events` against an API server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runbookd.actions.kubernetes.kinds import EVENT, Json
from tests.contract.actions.hands import perform, succeeded
from tests.contract.actions.kube_api import KubeApi


def event(name: str, reason: str, *, kind: str = "Warning", **times: Any) -> Json:
    """An event about the pod api-1."""
    about = {"kind": "Pod", "name": "api-1", "namespace": "shop"}
    said = {"type": kind, "reason": reason, "message": f"{reason} happened", "involvedObject": about}
    return {"metadata": {"name": name}, "source": {"component": "kubelet"}} | said | times


OLD = event("a", "BackOff", lastTimestamp="2026-03-04T01:00:00Z", count=9)
NEW = event("b", "Unhealthy", lastTimestamp=None, eventTime="2026-03-04T05:05:00.000001Z")
SERIES = event(
    "c", "Pulled", kind="Normal", series={"count": 3, "lastObservedTime": "2026-03-04T05:06:00.5Z"}
)


async def seen(kube: KubeApi, folder: Path, **params: Any) -> Mapping[str, Any]:
    """The result; the time is 2026-03-04 05:06:07."""
    kube.put(EVENT, OLD, NEW, SERIES)
    return succeeded(
        await perform("kubernetes.get_events", {"namespace": "shop"} | params, kube.config(folder))
    )


async def test_the_latest_come_first_whatever_field_tells_the_time(kube: KubeApi, tmp_path: Path) -> None:
    """Events without lastTimestamp are not sorted to the end."""
    result = await seen(kube, tmp_path)
    assert [one["reason"] for one in result["events"]] == ["Pulled", "Unhealthy", "BackOff"]
    assert [one["count"] for one in result["events"]] == [3, 1, 9]
    assert result["reasons"] == {"BackOff": 1, "Pulled": 1, "Unhealthy": 1}
    first = result["events"][0]
    assert (first["object"], first["namespace"], first["source"]) == ("Pod/api-1", "shop", "kubelet")


async def test_events_are_chosen_by_type_reason_object_and_age(kube: KubeApi, tmp_path: Path) -> None:
    """What the server can sort out it does; reason and age are sorted out here."""
    result = await seen(kube, tmp_path, type="Warning", object_kind="Pod", object_name="api-1")
    assert result["count"] == 2
    assert kube.lists("events")[-1].query["fieldSelector"] == (
        "type=Warning,involvedObject.kind=Pod,involvedObject.name=api-1"
    )
    kube.objects.clear()
    assert (await seen(kube, tmp_path, reasons=["BackOff", "Failed"]))["count"] == 1
    kube.objects.clear()
    recent = await seen(kube, tmp_path, since="1h")
    assert [one["reason"] for one in recent["events"]] == ["Pulled", "Unhealthy"]


async def test_only_the_latest_are_kept(kube: KubeApi, tmp_path: Path) -> None:
    """No more are held than asked for; all are counted."""
    result = await seen(kube, tmp_path, most=1)
    assert ([one["reason"] for one in result["events"]], result["count"]) == (["Pulled"], 3)
    assert result["truncated"]
