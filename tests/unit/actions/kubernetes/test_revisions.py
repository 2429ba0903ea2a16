"""Which revision of a Deployment was good, by evidence only."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from runbookd.actions.failures import Rejected
from runbookd.actions.kubernetes.kinds import Json
from runbookd.actions.kubernetes.revisions import (
    GOOD,
    REVISION_HISTORY,
    changed_at,
    find_revision,
    judged,
    last_good,
    previous_good,
    same_template,
    selector_text,
    template_of,
)
from tests.contract.actions.kube_objects import HASH, deployment, replica_set, template

STUCK = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
COMPLETE = {
    "type": "Progressing",
    "status": "True",
    "reason": "NewReplicaSetAvailable",
    "lastUpdateTime": "2026-03-04T04:00:00Z",
}


def stuck(**spec: Any) -> Json:
    """A Deployment whose newest pods do not become available."""
    found = deployment(availableReplicas=1, updatedReplicas=1, conditions=[STUCK])
    found["spec"] |= spec
    return found


def goods(found: Json, *replica_sets: Json) -> tuple[int | None, int | None]:
    """The last good and the previous good revision."""
    revisions = judged(found, replica_sets)
    last, previous = last_good(revisions), previous_good(revisions)
    return (last.number if last else None, previous.number if previous else None)


def day(number: int, hour: int = 0, minute: int = 0) -> str:
    """A day of March."""
    return f"2026-03-{number:02}T{hour:02}:{minute:02}:00Z"


def test_a_stuck_rolling_update_goes_back_to_what_still_runs() -> None:
    """The revision whose pods are available beside the stuck ones is the good one."""
    old = replica_set(3, replicas=2, available=2, created=day(1))
    assert goods(stuck(), old, replica_set(4, replicas=1, created=day(2))) == (3, 3)


def test_two_bad_releases_are_both_passed_over() -> None:
    """After two stuck releases it is not the one before that is taken, however long it stood."""
    sets = [
        replica_set(1, replicas=2, available=2, created=day(1)),
        replica_set(2, replicas=0, created=day(2)),
        replica_set(3, replicas=1, created=day(4)),
    ]
    assert goods(stuck(), *sets) == (1, 1)


def test_a_completed_rollout_is_good_also_when_its_pods_fail_later() -> None:
    """The condition NewReplicaSetAvailable stays when pods fail later: then a rollback is no remedy."""
    found = deployment(availableReplicas=0, conditions=[COMPLETE])
    newest = replica_set(2, replicas=2, created=day(3))
    assert goods(found, replica_set(1, created=day(1)), newest) == (2, 1)


def test_a_change_that_was_not_seen_yet_is_not_good() -> None:
    """Until the controller has observed the newest generation, its conditions are about the one before."""
    found = deployment(generation=5, observedGeneration=4, conditions=[COMPLETE])
    assert goods(found, replica_set(1, replicas=2, available=2)) == (None, None)


def test_without_a_condition_availability_decides() -> None:
    """A Deployment without progress deadline has no condition; then all pods have to be available now."""
    assert goods(deployment(), replica_set(1, replicas=2, available=2)) == (1, None)
    assert goods(deployment(), replica_set(1, replicas=2, available=1)) == (None, None)


def test_an_old_revision_is_good_when_it_stood_long_enough() -> None:
    """Longer than the progress deadline counts, shorter does not."""
    sets = [
        replica_set(1, created=day(1)),
        replica_set(2, created=day(1, 5)),
        replica_set(3, replicas=1, created=day(1, 5, 5)),
    ]
    assert goods(stuck(), *sets) == (1, 1)
    assert goods(stuck(progressDeadlineSeconds=60), *sets) == (2, 2)


def test_a_recreated_deployment_tells_nothing_by_standing() -> None:
    """With the strategy Recreate old pods go first, so that standing long is no evidence."""
    sets = [replica_set(1, created=day(1)), replica_set(2, replicas=2, created=day(3))]
    assert goods(stuck(strategy={"type": "Recreate"}), *sets) == (None, None)


def test_a_revision_that_was_rolled_back_to_tells_nothing_by_its_age() -> None:
    """A ReplicaSet that is used again is older than its revision, so its age proves nothing."""
    again = {REVISION_HISTORY: "1"}
    sets = [replica_set(3, created=day(1), notes=again), replica_set(4, replicas=1, created=day(3))]
    assert goods(stuck(), *sets) == (None, None)


@pytest.mark.parametrize(("mark", "expected"), [("true", (2, 2)), ("false", (1, 1)), ("perhaps", (2, 2))])
def test_a_mark_decides(mark: str, expected: tuple[int, int]) -> None:
    """The annotation runbookd.io/good outweighs everything; words but true and false are no mark."""
    sets = [
        replica_set(1, created=day(1)),
        replica_set(2, created=day(2), notes={GOOD: mark}),
        replica_set(3, replicas=1, created=day(3)),
    ]
    assert goods(stuck(), *sets) == expected


def test_the_previous_good_has_another_template() -> None:
    """Going back to what is there already is no going back."""
    same = replica_set(1, created=day(1))
    same["spec"]["template"] = template("api", "shop:2", **{HASH: "other"})
    newest = replica_set(2, replicas=2, available=2, created=day(2))
    assert goods(deployment(conditions=[COMPLETE]), same, newest) == (2, None)


def test_revisions_are_ordered_by_number() -> None:
    """Ten comes after nine; a ReplicaSet without a revision is none."""
    nameless = replica_set(1)
    nameless["metadata"]["annotations"] = {}
    found = judged(deployment(), [replica_set(10), replica_set(9), nameless])
    assert [one.number for one in found] == [9, 10]
    assert judged(deployment(), []) == []
    assert (last_good([]), previous_good([])) == (None, None)


def test_every_judgement_says_its_evidence() -> None:
    """Good or not, the reason is told in words."""
    sets = [
        replica_set(1, created=day(1)),
        replica_set(2, replicas=2, available=2, created=day(2)),
        replica_set(3, created=day(2, 1)),
        replica_set(4, created=day(2, 1, 1), notes={GOOD: "false"}),
        replica_set(5, replicas=1, created=day(2, 1, 2)),
    ]
    words = [one.evidence for one in judged(stuck(), sets)]
    assert words == [
        "it stood 24 hours before the next revision",
        "its 2 pods are available now",
        "nothing shows that it ever was fully available",
        'marked runbookd.io/good: "false"',
        "its rollout is not complete: 0 of 2 pods are available",
    ]


def test_a_revision_is_found_by_its_number() -> None:
    """One that is gone is told with those that are kept."""
    found = judged(deployment(), [replica_set(4), replica_set(5)])
    assert find_revision(found, 4).number == 4
    with pytest.raises(Rejected, match=r"no revision 3; those kept are: 4, 5"):
        find_revision(found, 3)


def test_the_last_change_is_when_the_newest_template_came() -> None:
    """The newest ReplicaSet's making; after a rollback to an older one, the Deployment's condition."""
    newest = replica_set(2, created=day(2))
    found = deployment(conditions=[COMPLETE])
    assert changed_at(found, judged(found, [newest])) == datetime(2026, 3, 2, tzinfo=UTC)
    newest["metadata"]["annotations"][REVISION_HISTORY] = "1"
    assert changed_at(found, judged(found, [newest])) == datetime(2026, 3, 4, 4, tzinfo=UTC)
    assert changed_at(found, []) is None


def test_templates_are_compared_without_their_hash() -> None:
    """The label pod-template-hash is the controller's own."""
    kept = template_of(replica_set(2))
    assert kept == template("api", "shop:2")
    assert same_template(template("api", "shop:2", **{HASH: "x"}), kept)
    assert not same_template(template("api", "shop:3"), kept)


def test_a_selector_is_written_as_the_query_takes_it() -> None:
    """Labels that match, and all four operators of expressions."""
    selector = {
        "matchLabels": {"app": "api"},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["web", "edge"]},
            {"key": "env", "operator": "NotIn", "values": ["dev"]},
            {"key": "team", "operator": "Exists"},
            {"key": "old", "operator": "DoesNotExist"},
        ],
    }
    assert selector_text(selector) == "app=api,tier in (web,edge),env notin (dev),team,!old"
