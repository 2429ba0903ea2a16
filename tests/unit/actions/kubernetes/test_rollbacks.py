"""What a rollback notes on the Deployment, and what is read from it."""

from __future__ import annotations

from runbookd.actions.kubernetes.evidence import TAKEN_BACK
from runbookd.actions.kubernetes.kinds import Json
from runbookd.actions.kubernetes.patches import Operation
from runbookd.actions.kubernetes.replica_sets import REVISION, REVISION_HISTORY
from runbookd.actions.kubernetes.revisions import judged
from runbookd.actions.kubernetes.rollbacks import PUT_BACK_AFTER, is_rolled_back, notes, put_back
from tests.contract.actions.kube_objects import HASH, deployment, replica_set, restarted, template

LIST = "/metadata/annotations/runbookd.io~1taken-back"


def noted(found: Json, sets: list[Json], to: int) -> list[Operation]:
    """What a rollback of the Deployment to this revision notes."""
    revisions = judged(found, sets)
    (target,) = [one for one in revisions if one.number == to]
    return notes(found, revisions, target)


def annotated(**annotations: str) -> Json:
    """A Deployment at `shop:2` with these annotations of ours, dashes written as underscores."""
    found = deployment()
    ours = {f"runbookd.io/{name.replace('_', '-')}": text for name, text in annotations.items()}
    found["metadata"]["annotations"] |= ours
    return found


def test_the_revision_it_leaves_is_named() -> None:
    """By its hash."""
    assert noted(deployment(), [replica_set(1), replica_set(2)], to=1) == [
        {"op": "add", "path": LIST, "value": "h2"},
    ]


def test_earlier_ones_are_kept_while_they_are_there() -> None:
    """The latest last, each once, no more than twenty, and none whose ReplicaSet is gone."""
    sets = [replica_set(number) for number in (1, 2, 3, 4)]
    (first,) = noted(annotated(taken_back="h2,h4,gone,h3"), sets, to=1)
    assert first["value"] == "h4,h3,h2"
    many = [replica_set(number) for number in range(1, 31)]
    text = ",".join(f"h{number}" for number in range(3, 31))
    (first,) = noted(annotated(taken_back=text), many, to=1)
    assert first["value"] == ",".join([*(f"h{number}" for number in range(12, 31)), "h2"])


def test_a_restart_of_the_revision_it_leaves_is_named_for_it() -> None:
    """The newest of the ReplicaSets of the release that is left stands for all of them."""
    sets = [replica_set(1), replica_set(2), restarted(replica_set(3, release=2))]
    (first,) = noted(deployment(), sets, to=1)
    assert first["value"] == "h3"


def test_to_return_to_one_takes_it_off_the_list() -> None:
    """With its restarts; without others the annotation goes, and none is taken away that is not there."""
    sets = [replica_set(1), restarted(replica_set(3, release=1)), replica_set(2)]
    (first,) = noted(annotated(taken_back="h1,h3"), sets, to=1)
    assert first["value"] == "h2"
    unknown = annotated(taken_back="h3")
    unknown["spec"]["template"] = template("api", "shop:9")
    assert noted(unknown, sets, to=1)[0] == {"op": "remove", "path": LIST}
    del unknown["metadata"]["annotations"][TAKEN_BACK]
    assert [one["path"] for one in noted(unknown, sets, to=1)] == []


def test_a_template_nobody_has_rolled_out_is_not_named() -> None:
    """A template without a ReplicaSet, as of a paused Deployment, has no hash; what is rolled out is not blamed."""
    paused = deployment()
    paused["spec"]["template"] = template("api", "shop:9", **{HASH: "h9"})
    assert [one["path"] for one in noted(paused, [replica_set(1), replica_set(2)], to=1)] == []


def test_what_an_undo_puts_back_is_no_release() -> None:
    """Until something else comes: so a rollback and its undo never take turns."""
    sets = [replica_set(3, release=1, notes={REVISION_HISTORY: "1"}), replica_set(4, release=2)]
    found = deployment()
    (note,) = put_back({"metadata": {"uid": "uid-of-api", "annotations": {REVISION: "3"}}})
    where = "/metadata/annotations/runbookd.io~1put-back-after"
    assert note == {"op": "add", "path": where, "value": "3/uid-of-api"}
    assert not is_rolled_back(found, judged(found, sets))
    found["metadata"]["annotations"][PUT_BACK_AFTER] = note["value"]
    assert is_rolled_back(found, judged(found, sets))
    assert not is_rolled_back(found, judged(found, [*sets, replica_set(5)]))
    found["metadata"]["uid"] = "uid-of-one-made-from-a-backup"
    assert not is_rolled_back(found, judged(found, sets))
