"""One change of one object: made once for a step however often it is tried, recorded, and taken back.

The patch carries the `resourceVersion` it was made for, so nothing is changed that was not looked at, and a mark
(annotation `runbookd.io/last-change`) with the step's idempotency key and what stood there before. After a crash the
mark tells whether the step happened, and what its undo has to bring back. In observe mode the client makes every
write a dry run, so the same code tells what would change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import Field

from runbookd.actions.base import AnyValue, Change, Context
from runbookd.actions.base import Result as BaseResult
from runbookd.actions.failures import Rejected, Unavailable
from runbookd.actions.kubernetes.cluster import Cluster, Patch
from runbookd.actions.kubernetes.fields import annotations_of
from runbookd.actions.kubernetes.kinds import Json, Kind, Ref
from runbookd.actions.kubernetes.patches import (
    LAST_CHANGE,
    Operation,
    bare,
    difference,
    escaped,
    fulfilled,
    holds,
    merged,
    operations,
    touched,
    touched_by,
)
from runbookd.model.action import Probed

_TRIES = 5
_MARK_BYTES = 65_536
"""What a mark may take of the 256 KiB all annotations of an object share."""
_KEYS_KEPT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A patch as it is to be sent, and how it is to be read."""

    how: Patch
    body: Json | Sequence[Operation]


WantedOf = Callable[[Json], Wanted | None]
"""Looks at the object as it is and says what to send; None when it is so already. May raise Rejected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What came of a change. `revert` is the JSON Patch that takes it back; empty when nothing was changed.

    `earlier`: an earlier attempt at the step made it, not this one. `known` is False when what stood there before
    that is not known any more.
    """

    ref: Ref
    before: Json
    after: Json
    revert: Sequence[Operation] = ()
    earlier: bool = False
    known: bool = True

    @property
    def change(self) -> Change | None:
        """The parts that differ, for the record; None when none do."""
        gone, come = difference(bare(self.before), bare(self.after))
        return Change(before=gone, after=come) if gone != come else None


class ChangeResult(BaseResult):
    """What every change of one object tells."""

    target: str = Field(description="The object, as `deployments/shop/backend`.")
    changed: bool = Field(description="False when it was so already, and nothing was sent.")
    revert: list[dict[str, AnyValue]] = Field(
        default_factory=list,
        description="JSON Patch with which the undo brings the former state back.",
    )


def told(changed: Changed) -> dict[str, Any]:
    """The fields of ChangeResult."""
    return {
        "target": target_text(changed.ref),
        "changed": bool(changed.revert) or not changed.known,
        "revert": list(changed.revert),
        "change": changed.change,
    }


def target_text(ref: Ref) -> str:
    """`deployments/shop/backend`, or `nodes/worker-1`: as playbooks name targets."""
    return "/".join(part for part in (ref.kind.plural, ref.namespace, ref.name) if part)


def ref_of(target: str, kinds: Sequence[Kind]) -> Ref:
    """The object a `target` text names, of one of these kinds; raises Rejected (`invalid`) for another text."""
    plural, *place = target.split("/")
    for kind in kinds:
        if kind.plural == plural and len(place) == (2 if kind.namespaced else 1):
            return kind.at(place[0] if kind.namespaced else None, place[-1])
    raise Rejected(f"{target!r} is not an object this action changes", kind="invalid")


async def change(cluster: Cluster, context: Context, ref: Ref, wanted_of: WantedOf) -> Changed:
    """Change the object unless this very step has done so, looking again when somebody else was quicker.

    Raises Rejected, and Unavailable (`conflict`) when the object changed under every one of five attempts.
    """
    for _ in range(_TRIES):
        before = await cluster.get(ref)
        made = made_before(before, ref, context.call.key)
        if made is not None:
            return made
        wanted = wanted_of(before)
        if wanted is None:
            return Changed(ref=ref, before=before, after=before)
        after = await _sent(cluster, ref, before, _marked(before, wanted, context), wanted.how)
        if after is not None:
            return Changed(ref=ref, before=before, after=after, revert=operations(bare(after), bare(before)))
    raise _contested(ref)


async def made_once(cluster: Cluster, context: Context, ref: Ref, body: Json) -> tuple[Json, bool]:
    """Make an object that is named for this step; the object, and False when an earlier attempt had made it.

    Raises Rejected (`conflict`) when somebody else's object has the name.
    """
    mark = orjson.dumps({"key": context.call.key, "action": context.call.action}).decode()
    metadata = body["metadata"]
    annotations = {**(metadata.get("annotations") or {}), LAST_CHANGE: mark}
    marked = {**body, "metadata": {**metadata, "annotations": annotations}}
    collection = ref.kind.at(ref.namespace)
    try:
        return await cluster.create(collection, marked), True
    except Rejected as error:
        if error.kind != "conflict":
            raise
        found = await cluster.find(ref)
        if found is None or _mark_of(found).get("key") != context.call.key:
            raise
        return found, False


async def take_back(
    cluster: Cluster,
    ref: Ref,
    revert: Sequence[Operation],
    note: Callable[[Json], Sequence[Operation]] | None = None,
) -> Changed:
    """Bring back what a change replaced; nothing is sent when that is so already, so twice does no harm.

    `note` makes what is to be written down with it, from the object as it stands. None: nothing.

    Raises Rejected (`conflict`) when what the change had left there has been changed by somebody since.
    """
    for _ in range(_TRIES):
        now = await cluster.get(ref)
        if fulfilled(now, revert):
            return Changed(ref=ref, before=now, after=now)
        if not holds(now, revert):
            message = f"{ref} has been changed since this step changed it; it is not undone over that, a person decides"
            raise Rejected(message, kind="conflict")
        body = [_same_version(now), *revert, *(note(now) if note is not None else ())]
        if LAST_CHANGE in annotations_of(now):
            body.append({"op": "remove", "path": f"/metadata/annotations/{escaped(LAST_CHANGE)}"})
        after = await _sent(cluster, ref, now, body, Patch.JSON)
        if after is not None:
            return Changed(ref=ref, before=now, after=after, revert=operations(bare(after), bare(now)))
    raise _contested(ref)


async def probed(cluster: Cluster, context: Context, ref: Ref) -> tuple[Probed, Changed | None]:
    """Whether this step has changed the object, by its mark; without the object nobody can tell."""
    now = await cluster.find(ref)
    if now is None:
        return Probed.UNKNOWN, None
    made = made_before(now, ref, context.call.key)
    if made is None:
        return Probed.NOT_DONE, None
    return Probed.DONE, made if made.known else None


def made_before(obj: Json, ref: Ref, key: str) -> Changed | None:
    """The change an attempt at the step with this key has made, or None. The object's mark tells."""
    mark = _mark_of(obj)
    if key != mark.get("key"):
        return (
            Changed(ref=ref, before=obj, after=obj, earlier=True, known=False)
            if key in mark.get("earlier", ())
            else None
        )
    former = mark.get("before")
    if not isinstance(former, dict):
        return Changed(ref=ref, before=obj, after=obj, earlier=True, known=False)
    before = merged(obj, former)
    return Changed(
        ref=ref, before=before, after=obj, revert=operations(bare(obj), bare(before)), earlier=True
    )


async def _sent(
    cluster: Cluster, ref: Ref, before: Json, body: Json | list[Operation], how: Patch
) -> Json | None:
    """The object after the patch; None when it had changed since it was read, so that nothing was done.

    A `test` that fails is answered with 422, as is a patch that makes no sense; the object's version tells which.
    """
    try:
        return await cluster.patch(ref, body, how)
    except Rejected as error:
        if error.kind not in {"conflict", "invalid"}:
            raise
        if _version(await cluster.get(ref)) == _version(before):
            raise
        return None


def _marked(before: Json, wanted: Wanted, context: Context) -> Json | list[Operation]:
    """The patch with the version it was made for, and with the mark."""
    if isinstance(wanted.body, dict):
        mark = _mark(before, touched(before, wanted.body), context)
        metadata = wanted.body.get("metadata") or {}
        annotations = {**(metadata.get("annotations") or {}), LAST_CHANGE: mark}
        held = {**metadata, "resourceVersion": _version(before), "annotations": annotations}
        return {**wanted.body, "metadata": held}
    mark = _mark(before, touched_by(before, wanted.body), context)
    room: list[Operation] = [{"op": "add", "path": "/metadata/annotations", "value": {}}]
    return [
        _same_version(before),
        *([] if before.get("metadata", {}).get("annotations") else room),
        *wanted.body,
        {"op": "add", "path": f"/metadata/annotations/{escaped(LAST_CHANGE)}", "value": mark},
    ]


def _mark(before: Json, former: Json, context: Context) -> str:
    """The mark's text; without what stood before when that is too long."""
    past = _mark_of(before)
    earlier = [*([past["key"]] if "key" in past else []), *past.get("earlier", ())][:_KEYS_KEPT]
    mark = {"key": context.call.key, "action": context.call.action, "earlier": earlier, "before": former}
    text = orjson.dumps(mark)
    return (text if len(text) <= _MARK_BYTES else orjson.dumps({**mark, "before": None})).decode()


def _mark_of(obj: Json) -> Json:
    """The mark an object carries; empty when there is none that reads."""
    try:
        found = orjson.loads(annotations_of(obj).get(LAST_CHANGE, "{}"))
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _same_version(obj: Json) -> Operation:
    return {"op": "test", "path": "/metadata/resourceVersion", "value": _version(obj)}


def _version(obj: Json) -> str:
    return str(obj["metadata"]["resourceVersion"])


def _contested(ref: Ref) -> Unavailable:
    message = (
        f"{ref} was changed by somebody else each of {_TRIES} times it was to be changed; nothing was done"
    )
    return Unavailable(message, kind="conflict")
