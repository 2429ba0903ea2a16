"""What a rollback leaves written on the Deployment, so that the next one does not take it back.

The annotation `runbookd.io/taken-back` names, in the patch that returns the template, the revisions that were taken
back, by their pod-template-hash; they are not good any more. The numbers of the ReplicaSets tell the same of
everybody's rollbacks, but only while the one that was returned to is kept. The undo puts it back, and notes in
`runbookd.io/put-back-after` which revision was the newest: what comes then is no release, so the two never take turns.

The controller copies them to the newest ReplicaSet, as all annotations of a Deployment; only the Deployment's counts.
`kubectl rollout undo` replaces them by those of the ReplicaSet it returns to
(https://kubernetes.io/docs/reference/kubectl/generated/kubectl_rollout/kubectl_rollout_undo/).
"""

from __future__ import annotations

from collections.abc import Sequence

from runbookd.actions.kubernetes.evidence import TAKEN_BACK, taken_back
from runbookd.actions.kubernetes.fields import annotations_of
from runbookd.actions.kubernetes.kinds import Json
from runbookd.actions.kubernetes.patches import Operation, escaped
from runbookd.actions.kubernetes.replica_sets import newest_noted, same_template
from runbookd.actions.kubernetes.revisions import Revision, is_all_since, is_return

PUT_BACK_AFTER = "runbookd.io/put-back-after"
"""The newest revision there was when this service undid a rollback, as `newest_noted` writes it."""
_MOST = 20


def notes(deployment: Json, revisions: Sequence[Revision], target: Revision) -> list[Operation]:
    """The JSON Patch that notes a rollback of the Deployment, as it stands, to this revision.

    The revision it stands at is taken back; one that the controller has not made yet cannot be named. The target, if
    it was taken back earlier, is so no more.
    """
    template = deployment["spec"]["template"]
    left = next((one for one in reversed(revisions) if same_template(one.template, template)), None)
    hashes = [*taken_back(deployment), *([left.template_hash] if left else [])]
    kept = {one.template_hash for one in revisions if not same_template(one.template, target.template)}
    # The latest mention of each counts; what is no more among the ReplicaSets cannot be returned to anyway.
    latest = [one for at, one in enumerate(hashes) if one in kept and one not in hashes[at + 1 :]]
    return _set(deployment, TAKEN_BACK, ",".join(latest[-_MOST:]))


def put_back(deployment: Json) -> list[Operation]:
    """The JSON Patch that notes the undo of a rollback: what comes by it is no release."""
    path = f"/metadata/annotations/{escaped(PUT_BACK_AFTER)}"
    return [{"op": "add", "path": path, "value": newest_noted(deployment)}]


def is_rolled_back(deployment: Json, revisions: Sequence[Revision]) -> bool:
    """Whether the present release was returned to, by whoever, or put back by the undo of a rollback."""
    return is_return(revisions) or is_all_since(deployment, PUT_BACK_AFTER, revisions)


def _set(deployment: Json, name: str, text: str) -> list[Operation]:
    """The operations that give an annotation this text, or take it away for an empty one."""
    path = f"/metadata/annotations/{escaped(name)}"
    if text:
        return [{"op": "add", "path": path, "value": text}]
    return [{"op": "remove", "path": path}] if name in annotations_of(deployment) else []
