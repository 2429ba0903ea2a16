"""How an autoscaler is made to decide for a number, and what of it is never grown."""

from __future__ import annotations

import pytest

from runbookd.actions.failures import Rejected
from runbookd.actions.kubernetes.autoscalers import (
    PAUSED_AT,
    ceiling,
    check_not_stopped,
    floor,
    pin,
    replicas_of,
)
from runbookd.actions.kubernetes.kinds import AUTOSCALER, DAEMON_SET, DEPLOYMENT, SCALED_OBJECT, Json

HPA, SCALED = AUTOSCALER.at("shop", "hpa"), SCALED_OBJECT.at("shop", "so")
API = DEPLOYMENT.at("shop", "api")


def hpa(least: int | None, most: int) -> Json:
    """A HorizontalPodAutoscaler; None: its minimum is not given."""
    given = {"minReplicas": least, "maxReplicas": most}
    return {"metadata": {}, "spec": {name: number for name, number in given.items() if number is not None}}


def scaled_object(paused: str | None = None, **spec: int) -> Json:
    """A ScaledObject."""
    annotations = {PAUSED_AT: paused} if paused else {}
    return {"metadata": {"annotations": annotations}, "spec": spec}


@pytest.mark.parametrize(
    ("least", "most", "wanted", "changed"),
    [
        (1, 4, 3, {"minReplicas": 3}),
        (None, 4, 4, {"minReplicas": 4}),
        (1, 4, 9, {"minReplicas": 4}),
        (3, 4, 3, None),
        (3, 4, 2, None),
        (4, 4, 4, None),
    ],
)
def test_a_floor_raises_the_minimum_alone(
    least: int | None, most: int, wanted: int, changed: dict[str, int] | None
) -> None:
    """As far as the maximum lets it; neither the maximum nor a higher minimum is touched."""
    assert floor(hpa(least, most), HPA, wanted) == (None if changed is None else {"spec": changed})


def test_a_floor_at_the_maximum_is_refused() -> None:
    """There is nothing left to raise but the maximum, which a person has set; KEDA's is 100 unless given."""
    with pytest.raises(Rejected, match="has its maximum of 4 as its minimum already"):
        floor(hpa(4, 4), HPA, 5)
    with pytest.raises(Rejected, match="has its maximum of 100"):
        floor(scaled_object(minReplicaCount=100), SCALED, 101)
    assert floor(scaled_object(maxReplicaCount=5), SCALED, 9) == {"spec": {"minReplicaCount": 5}}


def test_a_floor_that_adds_none_is_refused() -> None:
    """With as many as the maximum allows, a higher minimum only keeps the autoscaler from taking some away."""
    with pytest.raises(Rejected, match=r"has a maximum of 3, there are 3 already.*nothing was changed"):
        floor(hpa(2, 3), HPA, 5, has=3)
    assert floor(hpa(2, 4), HPA, 5, has=3) == {"spec": {"minReplicas": 4}}
    assert floor(hpa(3, 3), HPA, 3, has=3) is None


@pytest.mark.parametrize(
    ("found", "wanted", "changed"),
    [
        (hpa(1, 4), 2, {"spec": {"maxReplicas": 2}}),
        (hpa(3, 4), 2, {"spec": {"minReplicas": 2, "maxReplicas": 2}}),
        (hpa(1, 2), 3, None),
        (scaled_object(), 2, {"spec": {"maxReplicaCount": 2}}),
        (scaled_object(minReplicaCount=3, maxReplicaCount=4), 4, None),
        (scaled_object(), 0, {"metadata": {"annotations": {PAUSED_AT: "0"}}}),
        (scaled_object("5"), 2, {"metadata": {"annotations": {PAUSED_AT: "2"}}}),
        (scaled_object("1", maxReplicaCount=2), 2, None),
    ],
)
def test_a_ceiling_only_lowers(found: Json, wanted: int, changed: Json | None) -> None:
    """Both bounds come down to the number, and none goes up; zero is no maximum, so KEDA is paused there."""
    ref = HPA if "maxReplicas" in found["spec"] else SCALED
    assert ceiling(found, ref, wanted) == changed


def test_a_pin_holds_the_number() -> None:
    """Minimum and maximum are the number; a ScaledObject is paused at it; and twice changes nothing."""
    assert pin(hpa(1, 4), HPA, 6) == {"spec": {"minReplicas": 6, "maxReplicas": 6}}
    assert pin(hpa(6, 6), HPA, 6) is None
    assert pin(scaled_object(), SCALED, 2) == {"metadata": {"annotations": {PAUSED_AT: "2"}}}
    assert pin(scaled_object("2"), SCALED, 2) is None


def test_what_stands_at_zero_was_stopped_by_somebody() -> None:
    """A workload without a number has one pod, or as a DaemonSet one on each node, and was not stopped."""
    with pytest.raises(Rejected, match="deployments shop/api stands at 0; somebody stopped it"):
        check_not_stopped({"spec": {"replicas": 0}}, API)
    check_not_stopped({"spec": {"replicas": 1}}, API)
    check_not_stopped({"spec": {}}, DAEMON_SET.at("shop", "agent"))
    assert replicas_of({"spec": {}}) == 1
