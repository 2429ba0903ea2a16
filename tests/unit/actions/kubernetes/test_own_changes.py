"""Which release of a Deployment this service made itself."""

from __future__ import annotations

import pytest

from runbookd.actions.kubernetes.changes import Wanted
from runbookd.actions.kubernetes.cluster import Patch
from runbookd.actions.kubernetes.kinds import DEPLOYMENT, STATEFUL_SET, Json
from runbookd.actions.kubernetes.marks import GOOD
from runbookd.actions.kubernetes.own_changes import is_changed_here, noted
from runbookd.actions.kubernetes.patches import escaped
from runbookd.actions.kubernetes.replica_sets import CHANGED_AFTER, REVISION_HISTORY
from runbookd.actions.kubernetes.revisions import judged, previous_good
from tests.contract.actions.kube_objects import REVISION, deployment, replica_set, restarted

API = DEPLOYMENT.at("shop", "api")
EARLY, LONG_BEFORE = "2026-03-04T05:00:00Z", "2026-03-04T03:59:00Z"
NOTE = {"op": "add", "path": f"/metadata/annotations/{escaped(CHANGED_AFTER)}", "value": "2/uid-of-api"}


@pytest.mark.parametrize(
    "spec", [{"template": {"spec": {}}}, {"$patch": "replace", "replicas": 1}], ids=["template", "whole spec"]
)
def test_a_change_of_the_template_is_noted(spec: Json) -> None:
    """With the newest revision and whose it is, beside the patch's own annotations."""
    body = {"metadata": {"annotations": {"a": "b"}}, "spec": spec}
    found = noted(deployment(), API, Wanted(how=Patch.STRATEGIC, body=body))
    assert found.body == {
        "metadata": {"annotations": {"a": "b", CHANGED_AFTER: "2/uid-of-api"}},
        "spec": spec,
    }


@pytest.mark.parametrize("path", ["/spec/template/spec/containers/0/env", "/spec/template", "/spec", ""])
def test_operations_on_the_template_are_noted(path: str) -> None:
    """By one more operation, the last."""
    wanted = {"op": "replace", "path": path, "value": {}}
    assert noted(deployment(), API, Wanted(how=Patch.JSON, body=[wanted])).body == [wanted, NOTE]


@pytest.mark.parametrize(
    "body",
    [
        {"spec": {"replicas": 3}},
        {"metadata": {"labels": {"a": "b"}}},
        [{"op": "test", "path": "/spec/template", "value": {}}],
        [{"op": "replace", "path": "/spec/replicas", "value": 3}],
    ],
)
def test_other_changes_are_not_noted(body: Json | list[Json]) -> None:
    """What leaves the template as it is makes no revision; other kinds have no such history."""
    wanted = Wanted(how=Patch.MERGE, body=body)
    assert noted(deployment(), API, wanted) == wanted
    template = Wanted(how=Patch.MERGE, body={"spec": {"template": {}}})
    assert noted(deployment(), STATEFUL_SET.at("shop", "api"), template) == template


def test_the_newest_is_our_change_until_something_is_released() -> None:
    """A restart leaves it so, also when the change itself is no more kept; a release, or a return, does not."""
    found = deployment()
    found["metadata"]["annotations"][CHANGED_AFTER] = "2"

    def here(*sets: Json) -> bool:
        return is_changed_here(found, judged(found, sets))

    assert here(replica_set(1), replica_set(2), replica_set(3))
    assert here(replica_set(2), replica_set(3), restarted(replica_set(4, release=3)))
    assert here(replica_set(2), restarted(replica_set(5, release=3)))
    assert not here(replica_set(1), replica_set(2))
    assert not here(replica_set(2), replica_set(3), replica_set(4))
    assert not here(replica_set(4), replica_set(5, release=3, notes={REVISION_HISTORY: "3"}))
    assert not here()
    found["metadata"]["annotations"][CHANGED_AFTER] = "2/uid-of-api"
    assert here(replica_set(2), replica_set(3))
    for other in ("x", "2/uid-of-the-one-before"):
        found["metadata"]["annotations"][CHANGED_AFTER] = other
        assert not here(replica_set(2), replica_set(3))


def previous(*sets: Json) -> int | None:
    """The number of the revision that a rollback would go to."""
    found = previous_good(judged(deployment(), sets))
    return found.number if found else None


def test_our_change_is_nothing_to_go_back_to_nor_past() -> None:
    """A person's release follows the stop of writes: whether they go on after a rollback is for a person to say."""
    note = {CHANGED_AFTER: "1"}
    first = replica_set(1, notes={GOOD: "api-1"})
    ours = replica_set(2, notes={**note, GOOD: "api-2"})
    restart = restarted(replica_set(3, release=2, notes={**note, GOOD: "api-3"}))
    bad = replica_set(4, replicas=1, notes=note)

    assert previous(first, ours, bad) is None
    assert previous(first, ours, restart, bad) is None
    # Not past it either, when nothing tells that it ever was available.
    assert previous(first, replica_set(2, notes=note), bad) is None
    # Nor when nothing of it is kept but its restarts, or it was made twice.
    later = restarted(replica_set(4, release=2, notes={**note, GOOD: "api-4"}))
    assert previous(later, replica_set(5, replicas=1, notes=note)) is None
    again = restarted(replica_set(5, release=2, notes={CHANGED_AFTER: "3", GOOD: "api-5"}))
    twice = replica_set(4, release=2, notes={CHANGED_AFTER: "3", REVISION_HISTORY: "2", GOOD: "api-4"})
    back = replica_set(3, release=1, notes={REVISION_HISTORY: "1", GOOD: "api-3"})
    assert previous(back, twice, replica_set(5, replicas=1, notes={CHANGED_AFTER: "3"})) is None
    assert previous(back, twice, again, replica_set(6, replicas=1, notes={CHANGED_AFTER: "3"})) is None


def test_what_stood_after_our_change_can_be_gone_back_to() -> None:
    """A release of people's, or what a person went back to."""
    note = {CHANGED_AFTER: "1"}

    first, ours = replica_set(1, notes={GOOD: "api-1"}), replica_set(2, notes=note)
    theirs = replica_set(3, notes={**note, GOOD: "api-3"})
    assert previous(first, ours, theirs, replica_set(4, replicas=1, notes=note)) == 3
    back = replica_set(3, release=1, notes={REVISION_HISTORY: "1", GOOD: "api-3"})
    assert previous(ours, back, replica_set(4, replicas=1)) == 3
    # Nor is that a restart of ours once ours is not kept: it was there before.
    back["metadata"]["annotations"] |= {REVISION: "5", REVISION_HISTORY: "1,3", GOOD: "api-3"}
    assert previous(back, replica_set(6, replicas=1, notes=note)) == 5
    assert previous(first, replica_set(2, notes={CHANGED_AFTER: "x"}), replica_set(3, replicas=1)) == 1


def test_a_release_long_after_our_change_can_be_gone_back_to() -> None:
    """Ours is not kept any more, and the oldest that is is no restart: it bears no stamp, or one it carried along."""
    note = {CHANGED_AFTER: "1"}
    newest = replica_set(6, replicas=1, notes=note)
    theirs = replica_set(5, notes={**note, GOOD: "api-5"}, created=EARLY)
    assert previous(theirs, newest) == 5
    assert previous(replica_set(3, notes={**note, GOOD: "api-3"}), newest) == 3
    assert previous(restarted(theirs, LONG_BEFORE), newest) == 5
    # It may be one where it was stamped when it was made, or nobody knows.
    assert previous(restarted(theirs, EARLY), newest) is None
    assert previous(restarted(theirs, "once"), newest) is None
    del theirs["metadata"]["creationTimestamp"]
    assert previous(restarted(theirs, LONG_BEFORE), newest) is None


@pytest.mark.parametrize(
    ("noted", "known"), [("7", 2), ("1/uid-of-the-one-before", 2), ("3", None), ("2/uid-of-api", None)]
)
def test_what_was_noted_of_another_deployment_is_no_change_of_ours(noted: str, known: int | None) -> None:
    """One made from a backup counts from 1: a number above all it has, or with another uid, is not of its own."""
    note = {CHANGED_AFTER: noted}
    good = replica_set(2, notes={**note, GOOD: "api-2"})
    assert previous(replica_set(1, notes=note), good, replica_set(3, replicas=1, notes=note)) == known


@pytest.mark.parametrize(("made", "known"), [("2026-03-04T06:00:00Z", None), (LONG_BEFORE, 2)])
def test_what_a_new_deployment_has_adopted_keeps_its_notes(made: str, known: int | None) -> None:
    """Deleted without its ReplicaSets and made anew, it counts on from them: our change among them is ours still."""
    anew = deployment()
    anew["metadata"]["creationTimestamp"] = made
    note = {CHANGED_AFTER: "2/uid-of-the-one-before"}
    good = replica_set(2, notes={**note, GOOD: "api-2"}, created=EARLY)
    ours = replica_set(3, notes=note, created=EARLY)
    bad = replica_set(4, replicas=1, created="2026-03-04T07:00:00Z")
    found = previous_good(judged(anew, [good, ours, bad]))
    assert (found.number if found else None) == known
