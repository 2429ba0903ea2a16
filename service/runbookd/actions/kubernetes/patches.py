"""Patches as values: what one would change, what takes it back, and what differs between two states of an object.

JSON Patch is https://www.rfc-editor.org/rfc/rfc6902, JSON Merge Patch https://www.rfc-editor.org/rfc/rfc7396; the
strategic one is Kubernetes' own
(https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/). Nothing here calls a
server, and nothing given is changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runbookd.actions.kubernetes.kinds import Json

Operation = dict[str, Any]
"""One operation of a JSON Patch: `op`, `path`, and `value` or `from` where it has one."""

LAST_CHANGE = "runbookd.io/last-change"
"""The annotation that says which step changed an object last, and what stood there before."""

_SERVER_OWNED = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid")
_MISSING = object()


def bare(obj: Json) -> Json:
    """The object without what the server keeps of it: status, versions, field managers, and our own annotation.

    Labels and annotations are always there, if empty: what is put into them is then a change of one key.
    """
    metadata = {key: value for key, value in obj.get("metadata", {}).items() if key not in _SERVER_OWNED}
    annotations = {
        key: value for key, value in (metadata.get("annotations") or {}).items() if key != LAST_CHANGE
    }
    metadata |= {"annotations": annotations, "labels": metadata.get("labels") or {}}
    return {**{key: value for key, value in obj.items() if key != "status"}, "metadata": metadata}


def difference(before: Any, after: Any) -> tuple[Any, Any]:
    """The parts of two trees that differ, as two trees; None stands where one has nothing. Lists are kept whole."""
    if not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        return before, after
    gone: Json = {}
    come: Json = {}
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if old != new:
            gone[key], come[key] = difference(old, new)
    return gone, come


def merged(tree: Any, patch: Any) -> Any:
    """The tree with a JSON Merge Patch applied: None removes, maps are merged, everything else replaces."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(tree) if isinstance(tree, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def touched(before: Any, patch: Mapping[str, Any]) -> Json:
    """What a merge or strategic patch is about to change, as the merge patch that brings it back.

    A list is kept whole, because only the server knows how a strategic patch merges it.
    """
    former: Json = {}
    now = before if isinstance(before, Mapping) else {}
    for key, value in patch.items():
        if key == "$patch":
            former.update({name: old for name, old in now.items() if name not in former})
        elif key.startswith("$"):
            listed = key.partition("/")[2]
            former.update({listed: now.get(listed)} if listed else now)
        elif isinstance(value, Mapping) and isinstance(now.get(key), Mapping):
            former[key] = touched(now[key], value)
        else:
            former[key] = now.get(key)
    return former


def touched_by(before: Json, operations: Sequence[Operation]) -> Json:
    """What a JSON Patch is about to change, as the merge patch that brings it back; lists are kept whole."""
    former: Json = {}
    for operation in operations:
        if operation.get("op") == "test":
            continue
        for path in (operation.get("path"), operation.get("from")):
            if path:
                _keep(former, before, tokens(path))
    return former


def _keep(former: Json, before: Any, path: Sequence[str]) -> None:
    """Note in `former` what stands at the path now, or the first list or hole on the way."""
    at, now = former, before
    for depth, token in enumerate(path):
        value = now.get(token)
        if depth == len(path) - 1 or not isinstance(value, Mapping):
            at[token] = value
            return
        at, now = at.setdefault(token, {}), value
        if not isinstance(at, dict):  # pragma: no cover - a longer path after its own parent was kept whole
            return


def operations(source: Any, target: Any, path: str = "") -> list[Operation]:
    """The JSON Patch that makes the target of the source, each replaced or removed value tested first.

    Lists of the same length are compared item by item; others are replaced whole.
    """
    if source == target:
        return []
    if isinstance(source, Mapping) and isinstance(target, Mapping):
        found: list[Operation] = []
        for key in sorted({*source, *target}):
            here = f"{path}/{escaped(key)}"
            if key not in target:
                found += [_test(here, source[key]), {"op": "remove", "path": here}]
            elif key not in source:
                found.append({"op": "add", "path": here, "value": target[key]})
            else:
                found += operations(source[key], target[key], here)
        return found
    if isinstance(source, list) and isinstance(target, list) and len(source) == len(target):
        return [
            operation
            for number, (old, new) in enumerate(zip(source, target, strict=True))
            for operation in operations(old, new, f"{path}/{number}")
        ]
    return [_test(path, source), {"op": "replace", "path": path, "value": target}]


def holds(tree: Any, wanted: Sequence[Operation]) -> bool:
    """Whether every `test` among the operations is true of the tree."""
    return all(at(tree, one["path"]) == one["value"] for one in wanted if one["op"] == "test")


def fulfilled(tree: Any, wanted: Sequence[Operation]) -> bool:
    """Whether the tree is already what the operations would make of it."""
    return all(at(tree, one["path"]) == one.get("value", _MISSING) for one in wanted if one["op"] != "test")


def at(tree: Any, pointer: str) -> Any:
    """What stands at a JSON Pointer; a private mark, equal to nothing else, when there is nothing."""
    for token in tokens(pointer):
        if isinstance(tree, Mapping) and token in tree:
            tree = tree[token]
        elif isinstance(tree, list) and token.isdecimal() and int(token) < len(tree):
            tree = tree[int(token)]
        else:
            return _MISSING
    return tree


def tokens(pointer: str) -> list[str]:
    """The steps of a JSON Pointer (https://www.rfc-editor.org/rfc/rfc6901)."""
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def escaped(token: str) -> str:
    """One step as it is written in a JSON Pointer."""
    return token.replace("~", "~0").replace("/", "~1")


def _test(path: str, value: Any) -> Operation:
    return {"op": "test", "path": path, "value": value}
