"""`kubernetes.delete_pod` against an API server: by uid, never too many, and told apart from successors."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runbookd.actions.kubernetes.kinds import POD, Json
from runbookd.model.action import Mode, OutcomeState, Probed
from tests.contract.actions.hands import NOW, call, failed, succeeded
from tests.contract.actions.kube_api import KubeApi
from tests.contract.actions.kube_objects import pod
from tests.contract.actions.kube_writes import accept_writes, acting, know

STEP = {"namespace": "shop", "pod": "api-1"}
ALL = {"namespace": "shop", "selector": "app=api", "max_targets": 5}


def owned(name: str, age: timedelta = timedelta(hours=1), kind: str = "ReplicaSet", **metadata: Any) -> Json:
    """A pod that something controls, made so long before the call."""
    found = pod(name)
    owner = {"kind": kind, "name": "api", "uid": "u", "controller": True}
    found["metadata"] |= {
        "ownerReferences": [owner],
        "creationTimestamp": (NOW - age).isoformat().replace("+00:00", "Z"),
        **metadata,
    }
    return found


async def test_a_pod_is_deleted_by_its_uid(kube: KubeApi, tmp_path: Path) -> None:
    """Observed it stays; deleted it goes, with its grace period; gone is as good."""
    writes = accept_writes(kube)
    kube.put(POD, owned("api-1"))
    async with acting(kube, tmp_path) as performer:
        seen = await performer.perform(call("kubernetes.delete_pod", STEP, mode=Mode.OBSERVE))
        assert succeeded(seen) == {"deleted": ["api-1"]}
        assert writes.has(POD, "api-1")
        outcome = await performer.perform(call("kubernetes.delete_pod", {**STEP, "grace_period": "5s"}))
        assert outcome.change == {"before": {"pods": ["api-1"]}, "after": {"pods": []}}
        assert not writes.has(POD, "api-1")
        failed(await performer.perform(call("kubernetes.delete_pod", STEP)), "not_found")
    deletion = [one.body for one in kube.asked if one.method == "DELETE"][-1]
    assert (deletion["gracePeriodSeconds"], deletion["preconditions"]) == (5, {"uid": "uid-101"})


async def test_a_failure_in_the_middle_says_what_is_gone(kube: KubeApi, tmp_path: Path) -> None:
    """What was deleted before a refusal is kept as evidence."""
    accept_writes(kube)
    kube.put(POD, owned("api-1"), owned("api-2"))

    async def other(_request: object) -> None:
        kube.objects["", "pods"][-1]["metadata"]["uid"] = "another"

    kube.hooks.insert(0, ("DELETE", "/api-2$", other))
    async with acting(kube, tmp_path) as performer:
        outcome = await performer.perform(call("kubernetes.delete_pod", ALL))
        failed(outcome, "conflict")
        assert [piece.content for piece in outcome.evidence] == [b"api-1"]


async def test_none_too_many_and_bare_ones_are_refused(kube: KubeApi, tmp_path: Path) -> None:
    """Before any is deleted."""
    writes = accept_writes(kube)
    kube.put(POD, pod("api-1"), pod("api-2"))
    async with acting(kube, tmp_path, protected=["pods/shop/ledger-*"]) as performer:
        for params, kind in (
            ({**ALL, "selector": "app=none"}, "not_found"),
            ({**ALL, "max_targets": 1}, "refused"),
            (ALL, "refused"),
            ({**STEP, "pod": "ledger-1"}, "refused"),
            ({**ALL, "pod": "api-1"}, "invalid"),
        ):
            failed(await performer.perform(call("kubernetes.delete_pod", params)), kind)
        assert writes.made() == []
        allowed = await performer.perform(call("kubernetes.delete_pod", {**ALL, "allow_bare": True}))
        assert allowed.state is OutcomeState.SUCCEEDED


HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)


@pytest.mark.parametrize(
    ("pods", "answer"),
    [
        ([], Probed.DONE),
        ([owned("a")], Probed.NOT_DONE),
        ([owned("a", -HOUR)], Probed.DONE),
        ([owned("a", deletionTimestamp="2026-03-04T05:06:07Z")], Probed.DONE),
        ([owned("a", SECOND)], Probed.UNKNOWN),
        ([owned("a"), owned("b", -HOUR)], Probed.UNKNOWN),
    ],
)
async def test_a_probe_tells_old_from_new(
    kube: KubeApi, tmp_path: Path, pods: list[Json], answer: Probed
) -> None:
    """Old ones were not deleted, new ones are successors, and what clocks cannot tell is left to a person."""
    know(kube, POD)
    kube.put(POD, *pods)
    async with acting(kube, tmp_path) as performer:
        assert (await performer.probe(call("kubernetes.delete_pod", ALL)))[0] is answer


@pytest.mark.parametrize(("kind", "answer"), [("ReplicaSet", Probed.NOT_DONE), ("StatefulSet", Probed.DONE)])
async def test_a_name_comes_again_only_from_a_stateful_set(
    kube: KubeApi, tmp_path: Path, kind: str, answer: Probed
) -> None:
    """A pod that still has its name was deleted only if its controller gives names again."""
    kube.put(POD, owned("api-1", -HOUR, kind))
    async with acting(kube, tmp_path) as performer:
        assert (await performer.probe(call("kubernetes.delete_pod", STEP)))[0] is answer
