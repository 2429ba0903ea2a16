"""Whose progress deadline was missed: that of a Deployment's present rollout, or of one before it."""

from __future__ import annotations

from typing import Any

import pytest

from runbookd.actions.kubernetes.deadlines import missed, missed_now
from runbookd.actions.kubernetes.kinds import Json
from tests.contract.actions.kube_objects import deployment, replica_set, restarted, timed_out

MISSED = "2026-03-04T00:10:00Z"
BEFORE, AFTER = "2026-03-04T00:09:59Z", "2026-03-04T00:10:01Z"
HISTORY = "deployment.kubernetes.io/revision-history"
AGAIN: Json = {"f:annotations": {"f:deployment.kubernetes.io/revision": {}}}


def late(name: str = "api-2", **more: Any) -> Json:
    """The Deployment `api`, whose template is that of `api-2`, when this one has missed its deadline."""
    return deployment(conditions=[timed_out(name, MISSED) | more])


def owned(found: Json, field: str, tree: Json, *times: str | None) -> Json:
    """An object with entries of these times, each of which owns this field."""
    found["metadata"]["managedFields"] = [{"time": time, "fieldsV1": {field: tree}} for time in times]
    return found


def returned(*times: str | None) -> Json:
    """The ReplicaSet `api-2`, which was returned to; what the controller last wrote to it, it wrote then."""
    return owned(replica_set(2, notes={HISTORY: "1"}), "f:metadata", AGAIN, *times)


def test_it_is_that_of_the_replica_set_it_names() -> None:
    """Which has to be that of the present template."""
    sets = [replica_set(1), replica_set(2)]
    assert missed_now(late(), sets)
    assert not missed_now(late("api-1"), sets)
    assert not missed_now(late("api-20"), sets)


def test_without_a_replica_set_for_the_template_nothing_tells() -> None:
    """As with Recreate, until the last old pod is gone: the message may name the Deployment then."""
    assert not missed_now(late("api-1"), [replica_set(1)])
    assert not missed_now(late(message='Deployment "api" has timed out progressing.'), [replica_set(1)])
    assert not missed_now(late(message=None), [replica_set(2)])


def test_a_restart_is_a_rollout_of_its_own() -> None:
    """What the same release missed before the restart counts no more."""
    assert not missed_now(restarted(late()), [replica_set(2)])
    assert missed_now(restarted(late()), [restarted(replica_set(2))])


@pytest.mark.parametrize(
    ("written", "now"),
    [((BEFORE,), True), ((AFTER,), False), ((MISSED,), False), ((BEFORE, AFTER), False), ((), False)],
)
def test_of_one_that_was_returned_to_only_what_came_later(written: tuple[str, ...], now: bool) -> None:  # noqa: FBT001 - a row
    """A deadline it missed before the return is not that of its present rollout; in doubt it is none."""
    assert missed_now(late(), [returned(*written)]) is now


def test_one_that_was_returned_to_and_changed_later() -> None:
    """The time of the template says that the deadline was missed since; one that is not told says nothing."""
    found = owned(late(), "f:spec", {"f:template": {}}, BEFORE)
    assert missed_now(found, [returned(AFTER)])
    assert missed_now(found, [returned(None)])
    assert not missed_now(owned(late(), "f:spec", {"f:template": {}}, AFTER), [returned(None)])
    assert not missed_now(late(lastUpdateTime=None), [returned(BEFORE)])


def test_no_deadline_was_missed() -> None:
    """By a Deployment that goes on, or has no condition."""
    assert not missed(deployment())
    assert not missed_now(deployment(), [replica_set(2)])
    assert missed(late())
