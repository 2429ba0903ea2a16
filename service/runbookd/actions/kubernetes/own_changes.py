"""Which release of a Deployment this service made itself, by changing the pod template in place.

`kubernetes.set_env` and `kubernetes.patch` note it in the same patch, as the annotation `runbookd.io/changed-after`:
the newest revision there was. What came after that, and was not followed by anything but restarts, is this service's
own change and no release of people, so a rollback must not take it back as if it were one. Its undo takes the note
away with the change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from runbookd.actions.kubernetes.changes import Wanted
from runbookd.actions.kubernetes.kinds import DEPLOYMENT, Json, Ref
from runbookd.actions.kubernetes.patches import Operation, escaped, tokens
from runbookd.actions.kubernetes.replica_sets import CHANGED_AFTER, newest_noted
from runbookd.actions.kubernetes.revisions import Revision, is_all_since

_TEMPLATE = ["spec", "template"]


def noted(now: Json, ref: Ref, wanted: Wanted) -> Wanted:
    """The patch with the note, where it is to change the pod template of a Deployment; else as it is."""
    if ref.kind != DEPLOYMENT or not _changes_template(wanted.body):
        return wanted
    newest = newest_noted(now)
    if not isinstance(wanted.body, dict):
        note = {"op": "add", "path": f"/metadata/annotations/{escaped(CHANGED_AFTER)}", "value": newest}
        return replace(wanted, body=[*wanted.body, note])
    metadata = wanted.body.get("metadata") or {}
    annotations = {**(metadata.get("annotations") or {}), CHANGED_AFTER: newest}
    return replace(wanted, body={**wanted.body, "metadata": {**metadata, "annotations": annotations}})


def is_changed_here(deployment: Json, revisions: Sequence[Revision]) -> bool:
    """Whether the newest revision is such a change: all revisions after the one noted are of one release."""
    return is_all_since(deployment, CHANGED_AFTER, revisions)


def _changes_template(body: Json | Sequence[Operation]) -> bool:
    """Whether a patch leads to the pod template, into it, or to what holds it."""
    if isinstance(body, Mapping):
        spec = body.get("spec")
        return isinstance(spec, Mapping) and ("template" in spec or "$patch" in spec)
    paths = [
        tokens(one[field])[:2]
        for one in body
        if one["op"] != "test"
        for field in ("path", "from")
        if field in one
    ]
    return any(path == _TEMPLATE[: len(path)] for path in paths)
