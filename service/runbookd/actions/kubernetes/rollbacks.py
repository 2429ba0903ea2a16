"""What a rollback leaves written on the Deployment, so that the next one does not take it back.

Two annotations, in the patch that returns the template, and put back by its undo:

- `runbookd.io/taken-back`: the revisions that were taken back, by their pod-template-hash; they are not good any more.
- `runbookd.io/returned-to`: `HASH:NUMBER`, the ReplicaSet that was returned to and the revision number it had then.
  The deployment controller gives it a new number and keeps the former one, so the pair names one rollback only.

The controller copies both to the newest ReplicaSet, as all annotations of a Deployment; only the Deployment's count.
`kubectl rollout undo` replaces them by those of the ReplicaSet it returns to
(https://kubernetes.io/docs/reference/kubectl/generated/kubectl_rollout/kubectl_rollout_undo/).
"""

from __future__ import annotations

from collections.abc import Sequence

from runbookd.actions.kubernetes.kinds import Json
from runbookd.actions.kubernetes.patches import Operation, escaped
from runbookd.actions.kubernetes.revisions import (
    TAKEN_BACK,
    Revision,
    annotations_of,
    present_release,
    same_template,
    taken_back,
)

RETURNED_TO = "runbookd.io/returned-to"
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
    return [
        *_set(deployment, TAKEN_BACK, ",".join(latest[-_MOST:])),
        *_set(deployment, RETURNED_TO, f"{target.template_hash}:{target.number}"),
    ]


def is_taken_back(deployment: Json, revisions: Sequence[Revision]) -> bool:
    """Whether the present release was put there by such a rollback: nothing was released since, restarts aside."""
    wanted = annotations_of(deployment).get(RETURNED_TO)
    return any(
        f"{one.template_hash}:{former}" == wanted
        for number, one in present_release(revisions)
        for former, again in zip(one.numbers, one.numbers[1:], strict=False)
        if again == number
    )


def _set(deployment: Json, name: str, text: str) -> list[Operation]:
    """The operations that give an annotation this text, or take it away for an empty one."""
    path = f"/metadata/annotations/{escaped(name)}"
    if text:
        return [{"op": "add", "path": path, "value": text}]
    return [{"op": "remove", "path": path}] if name in annotations_of(deployment) else []
