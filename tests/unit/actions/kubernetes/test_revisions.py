"""Which revision of a Deployment was good, by evidence only."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from runbookd.actions.failures import Rejected
from runbookd.actions.kubernetes.evidence import TAKEN_BACK
from runbookd.actions.kubernetes.fields import selector_text
from runbookd.actions.kubernetes.kinds import Json
from runbookd.actions.kubernetes.marks import BAD, GOOD
from runbookd.actions.kubernetes.replica_sets import (
    DESIRED,
    REVISION_HISTORY,
    same_template,
    template_of,
)
from runbookd.actions.kubernetes.revisions import (
    changed_at,
    find_revision,
    is_pending,
    is_return,
    judged,
    last_good,
    previous_good,
    renewed_at,
)
from tests.contract.actions.kube_objects import (
    HASH,
    REVISION,
    deployment,
    replica_set,
    restarted,
    template,
)

STUCK = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
COMPLETE = {
    "type": "Progressing",
    "status": "True",
    "reason": "NewReplicaSetAvailable",
    "lastUpdateTime": "2026-03-04T04:00:00Z",
    "lastTransitionTime": "2026-03-01T00:00:00Z",
}
AVAILABLE = {"type": "Available", "status": "True", "lastTransitionTime": "2026-03-01T00:00:00Z"}
NOTHING = "nothing shows that it ever was fully available"
UNDER_WAY = COMPLETE | {"reason": "ReplicaSetUpdated"}


def stuck(**spec: Any) -> Json:
    """A Deployment whose newest pods do not become available."""
    found = deployment(availableReplicas=1, updatedReplicas=1, conditions=[STUCK])
    found["spec"] |= spec
    return found


def going(**spec: Any) -> Json:
    """A Deployment whose rollouts have made progress since the first of March; the newest is under way."""
    found = deployment(availableReplicas=1, updatedReplicas=1, conditions=[UNDER_WAY, AVAILABLE])
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


def test_what_has_pods_beside_an_older_one_was_never_complete() -> None:
    """A rolling update that is complete leaves no pods of older revisions, however well its own stand."""
    sets = [
        replica_set(1, replicas=3, available=3, created=day(1)),
        replica_set(2, replicas=1, available=1, created=day(2)),
        replica_set(3, replicas=1, created=day(2)),
    ]
    assert goods(stuck(), *sets) == (1, 1)


def test_a_completed_rollout_is_good_also_when_its_pods_fail_later() -> None:
    """The condition NewReplicaSetAvailable stays when pods fail later: then a rollback is no remedy."""
    failed = AVAILABLE | {"status": "False", "lastTransitionTime": day(3, 5)}
    found = deployment(generation=2, availableReplicas=0, conditions=[COMPLETE, failed])
    newest = replica_set(2, replicas=2, created=day(3))
    assert goods(found, replica_set(1, created=day(1)), newest) == (2, 1)


def test_a_word_of_the_rollout_before_is_none_of_this_one() -> None:
    """Right after a rollback the condition is still that of the rollout before, whose pods are still there."""
    found = deployment(replicas=2, updatedReplicas=0, conditions=[COMPLETE])
    assert goods(found, replica_set(2, created=day(1))) == (None, None)


def test_a_change_that_was_not_seen_yet_is_not_good() -> None:
    """Until the controller has observed the newest generation, its conditions are about the one before."""
    found = deployment(generation=5, observedGeneration=4, conditions=[COMPLETE])
    assert goods(found, replica_set(1, replicas=2, available=2)) == (None, None)


def test_without_a_condition_availability_decides() -> None:
    """A Deployment without progress deadline has no condition; then all pods have to be available now."""
    assert goods(deployment(), replica_set(1, replicas=2, available=2)) == (1, None)
    assert goods(deployment(), replica_set(1, replicas=2, available=1)) == (None, None)


def test_an_old_revision_is_good_when_it_stood_long_enough() -> None:
    """Longer than the progress deadline counts, shorter does not; the controller may be late by some seconds."""
    sets = [
        replica_set(1, created=day(1)),
        replica_set(2, created=day(1, 5)),
        replica_set(3, replicas=1, created=day(1, 5, 5)),
    ]
    assert goods(going(), *sets) == (1, 1)
    assert goods(going(progressDeadlineSeconds=294), *sets) == (2, 2)
    assert goods(going(progressDeadlineSeconds=295), *sets) == (1, 1)
    assert goods(going(strategy={"type": "Recreate"}), *sets) == (1, 1)


def test_what_the_deadline_has_passed_over_is_not_good() -> None:
    """What missed its deadline turned the condition, which tells nothing of the time before it turned back."""
    sets = [
        replica_set(1, created=day(1)),
        replica_set(2, created=day(2)),
        replica_set(3, created=day(3)),
        replica_set(4, replicas=1, created=day(5)),
    ]
    turned = UNDER_WAY | {"lastTransitionTime": day(3)}
    assert goods(going() | {"status": {"conditions": [turned, AVAILABLE]}}, *sets) == (3, 3)
    assert goods(stuck(), *sets) == (None, None)


@pytest.mark.parametrize(
    "nothing", [{"paused": True}, {"progressDeadlineSeconds": 2**31 - 1}], ids=["paused", "no deadline"]
)
def test_progress_tells_nothing_without_a_deadline(nothing: Json) -> None:
    """While a Deployment is paused, or takes any time, nobody looks at its progress; what was available is known."""
    sets = [replica_set(1, created=day(1)), replica_set(2, replicas=1, created=day(2))]
    assert goods(going(**nothing), *sets) == (1, 1)
    found = going(**nothing)
    found["status"]["conditions"] = [UNDER_WAY]
    found["metadata"]["generation"] = found["status"]["observedGeneration"] = 2
    assert goods(found, *sets) == (None, None)
    assert goods(deployment(), *sets) == (None, None)


def emptied(found: Json, at: str) -> Json:
    """The ReplicaSet as the controller left it when it scaled it to 0."""
    owned: Json = {"f:spec": {"f:replicas": {}, "f:template": {}}}
    found["metadata"]["managedFields"] = [
        {"manager": "kube-controller-manager", "time": at, "fieldsV1": owned}
    ]
    return found


def missed(since: str, **available: str) -> Json:
    """A Deployment one of whose rollouts has missed its deadline: only since then do they make progress."""
    turned = UNDER_WAY | {"lastTransitionTime": since}
    return going() | {"status": {"conditions": [turned, AVAILABLE | available]}}


def test_a_release_mended_by_another_hides_no_good_one() -> None:
    """The second never came up, a person released a third over it, which does harm: the first is known good."""
    sets = [
        emptied(replica_set(1, created=day(2)), day(4)),
        emptied(replica_set(2, created=day(3)), day(4)),
        replica_set(3, replicas=2, available=2, created=day(3, 23)),
    ]
    assert goods(missed(day(3, 23)), *sets)[1] == 1
    # With the second's rollout complete before the third came, the first was at 0 by then.
    emptied(sets[0], day(3, 1))
    assert goods(missed(day(3, 23)), *sets)[1] == 2


def test_what_was_returned_to_after_a_missed_deadline_is_good_still() -> None:
    """Taken back from a release that was stuck, the first stood on; the third does harm."""
    first = emptied(replica_set(3, release=1, created=day(2), notes={REVISION_HISTORY: "1"}), day(6))
    stuck_one = emptied(replica_set(2, created=day(3)), day(4))
    newest = replica_set(4, replicas=2, available=2, created=day(5))
    found = missed(day(4))
    assert goods(found, stuck_one, first, newest) == (3, 3)
    found["metadata"]["annotations"][TAKEN_BACK] = "h2"
    assert goods(found, stuck_one, first, newest) == (3, 3)
    # Its first time is not known to have been good any more: `Available` turned since; the second time is.
    found = missed(day(4), lastTransitionTime=day(4))
    assert goods(found, stuck_one, first, newest) == (3, 3)


@pytest.mark.parametrize("listed", ["", "h4"])
def test_what_serves_is_good_though_the_bad_one_came_again(listed: str) -> None:
    """A bad release was taken back, by a person or this service, and a pipeline deploys it again."""
    first = replica_set(3, release=1, replicas=2, available=2, created=day(2), notes={REVISION_HISTORY: "1"})
    again = replica_set(4, release=2, replicas=1, created=day(3), notes={REVISION_HISTORY: "2"})
    found = stuck()
    found["metadata"]["annotations"][TAKEN_BACK] = listed
    assert goods(found, first, again) == (3, 3)
    assert not is_return(judged(found, [first, again]))
    # So it is when the bad one is available and nothing is left of the first; and for a new release after that.
    emptied(first, day(4, 5))
    first["spec"]["replicas"] = 0
    found = missed(day(4))
    found["metadata"]["annotations"][TAKEN_BACK] = listed
    assert goods(found, first, again)[1] == 3
    newer = replica_set(5, replicas=1, created=day(6))
    assert goods(found, first, emptied(again, day(6, 1)), newer)[1] == 3


def test_a_deployment_that_was_scaled_keeps_its_good_release() -> None:
    """Somebody scaled it, and `Available` turned for a moment; what then stood alone is known by that."""
    found = going()
    found["metadata"]["managedFields"] = [owner(day(2, 1), "replicas")]
    found["status"]["conditions"][1] = AVAILABLE | {"lastTransitionTime": day(2, 1)}
    sets = [emptied(replica_set(1, created=day(2)), day(3, 1)), replica_set(2, replicas=2, created=day(3))]
    assert goods(found, *sets)[1] == 1


@pytest.mark.parametrize(("turned", "known"), [(day(3), True), (day(2, 23), False)])
def test_a_recreate_ends_what_was_available(turned: str, known: bool) -> None:  # noqa: FBT001 - a row
    """The pods of the old are gone before the new one is made; `Available` turned when they were scaled down."""
    found = stuck(strategy={"type": "Recreate"})
    found["status"]["conditions"].append(AVAILABLE | {"status": "False", "lastTransitionTime": turned})
    sets = [emptied(replica_set(1, created=day(2)), day(3)), replica_set(2, replicas=2, created=day(3, 0, 1))]
    assert goods(found, *sets) == ((1, 1) if known else (None, None))


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [{"manager": "kube-controller-manager", "fieldsV1": {"f:spec": {"f:replicas": {}}}}],
        [{"manager": "x", "time": day(2), "fieldsV1": {"f:metadata": {}}}],
    ],
)
def test_what_nobody_knows_to_have_been_alone_did_not_hold_it_up(entries: list[Json]) -> None:
    """When an older one was scaled to 0 is not told: then its pods may have been what was available."""
    sets = [
        replica_set(1, created=day(1)),
        replica_set(2, created=day(2)),
        replica_set(3, replicas=1, created=day(3)),
    ]
    sets[0]["metadata"]["managedFields"] = entries
    assert goods(missed(day(3)), *sets) == (1, 1)


def test_many_revisions_are_judged_at_once() -> None:
    """Each is compared with each, and no more than that."""
    sets = [replica_set(number, created=day(1)) for number in range(1, 301)]
    assert len(judged(going(), sets)) == 300


@pytest.mark.parametrize("left", [0, 3])
def test_what_was_short_of_a_pod_is_not_fully_available(left: int) -> None:
    """Three of four pods are enough for `Available`, and the fourth goes first when the next release comes."""
    found = missed(day(4))
    found["spec"]["replicas"] = 4
    second = replica_set(2, replicas=left, available=left, created=day(3))
    sets = [
        emptied(replica_set(1, created=day(2)), day(3, 0, 1)),
        second if left else emptied(second, day(4, 0, 1)),
        replica_set(3, replicas=2, created=day(4)),
    ]
    assert goods(found, *sets)[1] == 1
    # With four asked for and four there, or where no pod may be missing, all of it was available.
    found["spec"]["replicas"] = 3
    assert goods(found, *sets)[1] == 2


def test_what_stood_at_zero_tells_nothing() -> None:
    """A release of no pods is complete at once."""
    sets = [replica_set(1, created=day(1), notes={DESIRED: "0"}), replica_set(2, replicas=1, created=day(2))]
    assert goods(going(), *sets) == (None, None)


@pytest.mark.parametrize(
    ("status", "turned", "known"),
    [
        ("True", day(1), True),
        ("True", day(2), True),
        # It became available only with what came next.
        ("True", day(2, 1), False),
        # Its pods were there, and failed only later.
        ("False", day(2, 1), True),
        # They were missing when the next one came.
        ("False", day(1, 23), False),
        ("False", day(2), False),
    ],
)
def test_what_was_not_available_at_its_end_did_not_stand(status: str, turned: str, known: bool) -> None:  # noqa: FBT001 - a row
    """The condition Available has to have been True when the next revision came; at 0 replicas it is as well."""
    sets = [replica_set(1, created=day(1)), replica_set(2, replicas=1, created=day(2))]
    found = going()
    found["status"]["conditions"][1] = {"type": "Available", "status": status, "lastTransitionTime": turned}
    assert goods(found, *sets) == ((1, 1) if known else (None, None))
    found["status"]["conditions"].pop()
    assert goods(found, *sets) == (None, None)


@pytest.mark.parametrize(
    ("strategy", "known"),
    [
        ({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}, True),
        ({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "0%"}}, True),
        ({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 2}}, False),
        ({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "100%"}}, False),
        ({"type": "Recreate"}, True),
    ],
)
def test_available_says_nothing_where_no_pod_has_to_be(strategy: Json, known: bool) -> None:  # noqa: FBT001 - a row
    """Where all pods may be unavailable the condition Available is always True; one pod without a surge may be."""
    sets = [replica_set(1, created=day(1)), replica_set(2, replicas=1, created=day(2))]
    assert goods(going(strategy=strategy), *sets) == ((1, 1) if known else (None, None))
    alone = going(strategy=strategy, replicas=1)
    assert goods(alone, *sets)[1] == (1 if known and "0%" not in str(strategy) else None)


def test_a_spec_that_only_releases_have_changed_was_never_at_zero() -> None:
    """The generation is the number of the newest revision then, and Available is not asked, as after a Recreate."""
    sets = [replica_set(1, created=day(1)), replica_set(2, replicas=1, created=day(2))]
    found = going(strategy={"type": "Recreate"})
    found["status"]["conditions"] = [UNDER_WAY, AVAILABLE | {"lastTransitionTime": day(3)}]
    assert goods(found, *sets) == (None, None)
    found["metadata"]["generation"] = found["status"]["observedGeneration"] = 2
    assert goods(found, *sets) == (1, 1)


def owner(time: str | None, *fields: str, manager: str = "kubectl", subresource: str = "") -> Json:
    """An entry of managedFields that owns these fields of the spec."""
    owned: Json = {"f:spec": {f"f:{name}": {} for name in fields}}
    return {"manager": manager, "subresource": subresource, "time": time, "fieldsV1": owned}


@pytest.mark.parametrize(
    ("entry", "known"),
    [
        (owner(day(1, 5), "replicas", subresource="scale"), False),
        (owner(day(2), "replicas", subresource="scale"), False),
        (owner(day(5), "replicas", subresource="scale"), False),
        (owner(None, "replicas"), False),
        # A manifest that was applied for something else than a release.
        (owner(day(1, 5), "replicas", "template"), False),
        # Before the revision came; with a release; by an autoscaler, which never rests at 0; something else.
        (owner("2026-02-28T00:00:00Z", "replicas", subresource="scale"), True),
        (owner(day(2), "replicas", "template"), True),
        (owner(day(1, 5), "replicas", manager="kube-controller-manager", subresource="scale"), True),
        (owner(day(1, 5), "template"), True),
    ],
)
def test_what_was_rescaled_may_have_stood_at_zero(entry: Json, known: bool) -> None:  # noqa: FBT001 - a row
    """A number of replicas that somebody changed since a revision came tells that it may have stood at 0."""
    sets = [replica_set(1, created=day(1)), replica_set(2, replicas=1, created=day(2))]
    found = going(strategy={"rollingUpdate": {"maxUnavailable": "100%"}})  # where `Available` says nothing
    found["metadata"] |= {"generation": 2, "managedFields": [entry]}
    found["status"]["observedGeneration"] = 2
    assert goods(found, *sets) == ((1, 1) if known else (None, None))


def test_a_rollout_that_was_complete_at_zero_was_none() -> None:
    """At 0 the newest is complete at once, and stays so when it is scaled up; then only what is available counts."""
    found = deployment(availableReplicas=0, conditions=[COMPLETE])
    newest = replica_set(1, replicas=2, created=day(1))
    assert goods(found, newest) == (1, None)
    # `kubectl scale` leaves no entry; it changes the generation, and `Available` tells whether there are pods now.
    found["metadata"]["generation"] = found["status"]["observedGeneration"] = 3
    assert goods(found, newest) == (None, None)
    found["status"]["conditions"].append(AVAILABLE | {"status": "False", "lastTransitionTime": day(3)})
    assert goods(found, newest) == (None, None)
    found["status"]["conditions"][-1] = AVAILABLE
    assert goods(found, newest) == (1, None)
    found["spec"]["strategy"] = {"rollingUpdate": {"maxUnavailable": "100%"}}
    assert goods(found, newest) == (None, None)
    found = deployment(availableReplicas=0, conditions=[COMPLETE])
    found["metadata"]["managedFields"] = [owner(day(1, 5), "replicas", subresource="scale")]
    assert goods(found, newest) == (None, None)
    assert goods(found, replica_set(1, replicas=2, available=2, created=day(1))) == (1, None)
    assert goods(deployment(replicas=0, conditions=[COMPLETE]), replica_set(1)) == (None, None)


def test_what_somebody_went_back_from_is_not_good() -> None:
    """While a person's rollback is under way the pods of what it left are still available; it is not gone back to."""
    left = replica_set(2, replicas=2, available=2, created=day(2))
    back = replica_set(3, release=1, replicas=1, created=day(1), notes={REVISION_HISTORY: "1", GOOD: "api-3"})
    assert goods(going(), left, back) == (3, None)
    assert judged(going(), [left, back])[0].evidence == "it was taken back by a rollback"
    assert is_return(judged(going(), [left, back]))
    # A release after that is none, and what was left stays left.
    newer = replica_set(4, replicas=1, created=day(3))
    assert goods(going(), left, back, newer) == (3, 3)
    assert not is_return(judged(going(), [left, back, newer]))
    left["metadata"]["annotations"][GOOD] = "api-2"
    assert goods(going(), left, back) == (3, 2)


def test_what_was_taken_up_again_is_judged_anew() -> None:
    """After a person's rollback the newer release came again: neither was left, and it was deployed anew."""
    sets = [
        restarted(replica_set(3, release=2, created=day(3)), day(3)),
        replica_set(4, release=1, created=day(1), notes={REVISION_HISTORY: "1"}),
        replica_set(5, release=2, replicas=2, available=2, created=day(2), notes={REVISION_HISTORY: "2"}),
    ]
    found = judged(deployment(conditions=[COMPLETE]), sets)
    assert [one.good for one in found] == [False, False, True]
    assert {one.evidence for one in found[:2]} == {NOTHING}
    assert not is_return(found)
    assert goods(going(), *sets) == (5, 4)


def test_a_return_by_a_restart_of_it_is_one() -> None:
    """A release that came back with another restart's stamp has a ReplicaSet of its own; restarts alone are none."""
    stamped = restarted(replica_set(3, release=1, created=day(3)), day(3))
    assert is_return(judged(deployment(), [replica_set(1), replica_set(2), stamped]))
    second = restarted(replica_set(2, release=1, created=day(3)), day(3))
    assert not is_return(judged(deployment(), [replica_set(1), second]))
    assert not is_return([])


def test_a_rollback_hides_no_time_that_is_known() -> None:
    """From its making to that of the next number a revision was the newest, whatever was rolled back to later."""
    again = replica_set(3, created=day(1), notes={REVISION_HISTORY: "1"})
    sets = [replica_set(2, created=day(1, 0, 5)), again, replica_set(4, replicas=1, created=day(3))]
    # The first stood for five minutes; how long after the rollback, nobody knows. The second neither.
    assert goods(going(), *sets) == (None, None)
    assert goods(going(progressDeadlineSeconds=60), *sets) == (3, 3)


def test_a_release_that_is_no_more_kept_hides_the_time() -> None:
    """What came next is not known when its ReplicaSet is gone, so nobody knows how long this one stood."""
    sets = [replica_set(1, created=day(1)), replica_set(3, replicas=1, created=day(9))]
    assert goods(going(), *sets) == (None, None)


@pytest.mark.parametrize(
    ("marks", "expected", "said"),
    [
        ({GOOD: "api-2"}, (2, 2), "marked good (runbookd.io/good)"),
        ({BAD: "api-2"}, (1, 1), "marked bad (runbookd.io/bad)"),
        ({GOOD: "api-2", BAD: "api-2"}, (1, 1), "marked bad (runbookd.io/bad)"),
        ({GOOD: "api-1"}, (1, 1), NOTHING),
        ({BAD: "api-1"}, (1, 1), NOTHING),
        ({GOOD: "true"}, (1, 1), f"{NOTHING}; marked good, but with 'true' instead of its own name"),
        ({GOOD: "false"}, (1, 1), f"{NOTHING}; marked good, but with 'false' instead of its own name"),
        ({BAD: "true"}, (1, 1), f"{NOTHING}; marked bad, but with 'true' instead of its own name"),
    ],
)
def test_a_mark_decides_if_it_holds_the_name(
    marks: dict[str, str], expected: tuple[int, int], said: str
) -> None:
    """A mark with the name of its own ReplicaSet; a copy of another's, or one without a name, counts for nothing."""
    sets = [
        replica_set(1, created=day(1)),
        replica_set(2, created=day(2), notes=marks),
        replica_set(3, replicas=1, created=day(2, 0, 1)),
    ]
    assert goods(going(), *sets) == expected
    assert judged(going(), sets)[1].evidence == said


def test_a_mark_outweighs_how_long_something_stood() -> None:
    """Bad is what is marked so, however long it stood."""
    sets = [
        replica_set(1, created=day(1)),
        replica_set(2, created=day(2), notes={BAD: "api-2"}),
        replica_set(3, replicas=1, created=day(3)),
    ]
    assert goods(going(), *sets) == (1, 1)


def test_what_is_known_never_to_have_come_up_is_good_by_no_mark() -> None:
    """An older revision that still has pods, or the Deployment's own word, tells that a rollout was never completed."""
    sets = [
        replica_set(1, replicas=2, available=2, created=day(1)),
        replica_set(2, replicas=1, created=day(2), notes={GOOD: "api-2"}),
        replica_set(3, replicas=1, created=day(3), notes={GOOD: "api-3"}),
    ]
    assert goods(stuck(), *sets) == (1, 1)
    told = [one.evidence for one in judged(stuck(), sets)]
    assert told[1] == "its rollout was never completed: an older revision still has pods"
    assert told[2] == "its rollout is not complete: 0 of 2 pods are available"
    # One that was used again may have been complete the time before; a paused Deployment tells nothing.
    sets[1]["metadata"]["annotations"][REVISION_HISTORY] = "1"
    assert goods(stuck(), *sets) == (2, 2)
    assert goods(stuck(paused=True), *sets) == (3, 2)


def test_the_copies_of_a_mark_do_not_spread() -> None:
    """What was released after a person's rollback carries the mark of what was gone back to, and never ran."""
    marked = {GOOD: "api-1"}
    good = replica_set(1, replicas=2, available=2, created=day(1), notes=marked | {REVISION_HISTORY: "1"})
    good["metadata"]["annotations"][REVISION] = "3"
    sets = [
        replica_set(2, created=day(2)),
        good,
        replica_set(4, replicas=0, created=day(3), notes=marked),
        replica_set(5, replicas=1, created=day(3, 0, 1), notes=marked),
    ]
    assert goods(stuck(), *sets) == (3, 3)
    good["spec"]["replicas"] = 0  # as after a Recreate
    good["status"] = {}
    assert goods(stuck(), *sets) == (3, 3)


def test_what_was_taken_back_is_not_good() -> None:
    """A revision a rollback took back is not good whatever else speaks for it, restarted or not; a mark wins."""
    sets = [
        replica_set(1, created=day(1)),
        replica_set(2, created=day(2)),
        restarted(replica_set(3, release=2, created=day(3)), day(3)),
        replica_set(4, replicas=2, available=2, created=day(4)),
    ]
    found = going()
    assert goods(found, *sets) == (4, 3)
    found["metadata"]["annotations"][TAKEN_BACK] = "gone,h3"
    assert goods(found, *sets) == (4, 1)
    assert judged(found, sets)[1].evidence == "it was taken back by a rollback"
    found["metadata"]["annotations"][TAKEN_BACK] = "h3,h4"
    assert goods(found, *sets) == (1, 1)
    # A mark wins, but for one that was taken back itself: the two would take turns.
    sets[2]["metadata"]["annotations"][GOOD] = "api-3"
    assert goods(found, *sets) == (3, 1)
    found["metadata"]["annotations"][TAKEN_BACK] = "h3"
    assert goods(found, *sets) == (4, 3)


def test_what_was_taken_back_and_deployed_again_is_no_return() -> None:
    """Whoever took it back, this service or a person: the newer came again. What a rollback goes to is a return."""
    good = replica_set(3, release=1, notes={REVISION_HISTORY: "1", GOOD: "api-3"})
    again = replica_set(4, release=2, replicas=1, created=day(2), notes={REVISION_HISTORY: "2"})
    found = stuck()
    assert not is_return(judged(found, [good, again]))
    found["metadata"]["annotations"][TAKEN_BACK] = "h4"
    assert not is_return(judged(found, [good, again]))
    assert not is_return(judged(found, [good, again, restarted(replica_set(5, release=2, replicas=1))]))
    assert goods(found, good, again) == (3, 3)
    good["metadata"]["annotations"] |= {REVISION: "5", REVISION_HISTORY: "1,3"}
    assert is_return(judged(found, [good, again]))


def test_what_was_deployed_again_leaves_those_between_good() -> None:
    """A bad release was taken back, two good ones followed, and it is deployed again: it went back past nothing."""
    first = replica_set(3, release=1, created=day(1), notes={REVISION_HISTORY: "1"})
    third, fourth = replica_set(4, created=day(3)), replica_set(5, replicas=2, available=2, created=day(4))
    again = replica_set(6, release=2, replicas=1, created=day(2), notes={REVISION_HISTORY: "2"})
    found = stuck(progressDeadlineSeconds=60)
    found["status"]["conditions"].append(AVAILABLE)
    found["metadata"]["annotations"][TAKEN_BACK] = "h6"
    assert goods(found, first, third, fourth, again) == (5, 5)
    # Without the note nobody can tell it from a person's way back to it: what it left is not gone to.
    del found["metadata"]["annotations"][TAKEN_BACK]
    assert goods(found, first, third, fourth, again) == (3, 3)
    assert is_return(judged(found, [first, third, fourth, again]))


def test_the_previous_good_has_another_template() -> None:
    """Going back to what is there already is no going back."""
    same = replica_set(1, created=day(1))
    same["spec"]["template"] = template("api", "shop:2", **{HASH: "other"})
    newest = replica_set(2, replicas=2, available=2, created=day(2))
    assert goods(deployment(conditions=[COMPLETE]), same, newest) == (2, None)
    assert goods(deployment(conditions=[COMPLETE]), restarted(same, day(1)), newest) == (2, None)


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
        replica_set(2, created=day(2)),
        replica_set(3, created=day(2, 0, 12)),
        replica_set(4, replicas=1, available=1, created=day(2, 0, 13)),
        replica_set(5, created=day(2, 1), notes={BAD: "api-5"}),
        replica_set(6, replicas=1, created=day(2, 1, 2)),
    ]
    words = [one.evidence for one in judged(going(), sets)]
    assert words == [
        "it stood 24 hours before the next revision",
        "it stood 12 minutes before the next revision",
        "nothing shows that it ever was fully available",
        "its 1 pods are available now",
        "marked bad (runbookd.io/bad)",
        "its rollout is not complete: 0 of 2 pods are available",
    ]
    (first, _) = judged(going(progressDeadlineSeconds=60), sets[2:4])
    assert first.evidence == "nothing shows that it ever was fully available"
    (first, _) = judged(going(progressDeadlineSeconds=50), sets[2:4])
    assert first.evidence == "it stood 60 seconds before the next revision"


def test_a_revision_is_found_by_its_number() -> None:
    """By one it had before a rollback as well; one that is gone is told with those that are kept."""
    found = judged(deployment(), [replica_set(4), replica_set(5, notes={REVISION_HISTORY: "1,2"})])
    assert find_revision(found, 4).number == 4
    assert find_revision(found, 2).number == 5
    with pytest.raises(Rejected, match=r"no revision 3; those kept are: 4, 5"):
        find_revision(found, 3)


def test_the_last_change_is_when_the_newest_template_came() -> None:
    """The newest ReplicaSet's making; after a rollback to an older one, the Deployment's condition."""
    sets = [replica_set(1, created=day(1)), replica_set(2, created=day(2))]
    found = deployment(conditions=[COMPLETE])
    assert changed_at(found, judged(found, sets)) == datetime(2026, 3, 2, tzinfo=UTC)
    sets[0]["metadata"]["annotations"] |= {REVISION: "3", REVISION_HISTORY: "1"}
    assert changed_at(found, judged(found, sets)) == datetime(2026, 3, 4, 4, tzinfo=UTC)
    assert changed_at(deployment(), judged(found, sets)) is None
    assert changed_at(found, []) is None


def test_a_restart_is_no_change() -> None:
    """The release came with the first of the revisions that differ by restarts only, also when one was taken back."""
    sets = [
        replica_set(1, created=day(1)),
        replica_set(2, created=day(2)),
        restarted(replica_set(3, release=2, created=day(3)), day(3)),
    ]
    found = deployment(conditions=[COMPLETE])
    assert changed_at(found, judged(found, sets)) == datetime(2026, 3, 2, tzinfo=UTC)
    sets[1]["metadata"]["annotations"] |= {REVISION: "4", REVISION_HISTORY: "2"}
    assert changed_at(found, judged(found, sets)) == datetime(2026, 3, 2, tzinfo=UTC)


def test_a_rollback_that_was_restarted_came_before_the_restart() -> None:
    """The time of the rollback is not known any more, so the restart stands for it."""
    sets = [
        replica_set(3, release=1, created=day(1), notes={REVISION_HISTORY: "1"}),
        replica_set(2, created=day(2)),
        restarted(replica_set(4, release=1, created=day(3)), day(3)),
    ]
    found = deployment(conditions=[COMPLETE])
    assert changed_at(found, judged(found, sets)) == datetime(2026, 3, 3, tzinfo=UTC)


def test_templates_are_compared_without_their_hash() -> None:
    """The label pod-template-hash is the controller's own, and a restart is no release."""
    kept = template_of(replica_set(2))
    assert kept == template("api", "shop:2")
    assert same_template(template("api", "shop:2", **{HASH: "x"}), kept)
    assert not same_template(template("api", "shop:3"), kept)
    stamped = restarted(replica_set(2), day(2))["spec"]["template"]
    assert same_template(stamped, kept)
    stamped["metadata"]["annotations"] |= {"cattle.io/timestamp": "2026-03-04T00:00:00Z"}
    assert same_template(stamped, kept)
    stamped["metadata"]["annotations"]["example.com/config"] = "2"
    assert not same_template(stamped, kept)


def test_a_release_is_pending_until_its_template_is_that_of_the_newest_revision() -> None:
    """Without a ReplicaSet, and while the one that is used again has its former number; and so is a restart."""
    found = deployment()
    first, second, third = (replica_set(number) for number in (1, 2, 3))
    assert is_pending(found, [])
    assert is_pending(found, judged(found, [first]))
    assert is_pending(found, judged(found, [second, third]))
    assert not is_pending(found, judged(found, [first, second]))
    assert is_pending(restarted(found), judged(found, [first, second]))
    assert not is_pending(found, judged(found, [first, restarted(second)]))


def test_pods_are_as_young_as_the_last_restart() -> None:
    """Of what was used again the release tells, of a new ReplicaSet its own time."""
    found = deployment(conditions=[COMPLETE])
    first, second = replica_set(1, created=day(1)), replica_set(2, created=day(2))
    assert renewed_at(found, judged(found, [])) is None
    assert renewed_at(found, judged(found, [first, second])) == datetime(2026, 3, 2, tzinfo=UTC)
    again = restarted(replica_set(3, release=2, created=day(3)), day(3))
    assert renewed_at(found, judged(found, [first, second, again])) == datetime(2026, 3, 3, tzinfo=UTC)
    assert changed_at(found, judged(found, [first, second, again])) == datetime(2026, 3, 2, tzinfo=UTC)
    back = replica_set(3, release=1, created=day(1), notes={REVISION_HISTORY: "1"})
    assert renewed_at(found, judged(found, [second, back])) == datetime(2026, 3, 4, 4, tzinfo=UTC)


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
