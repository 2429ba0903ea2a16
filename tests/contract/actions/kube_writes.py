"""Writes for the small API server: objects are patched, replaced, deleted and evicted as by the real one, as far as the
tests need it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from runbookd.actions.kubernetes.kinds import Json, Kind
from runbookd.actions.kubernetes.patches import at, tokens
from runbookd.actions.performer import CataloguePerformer
from tests.contract.actions.hands import SetClock, json_answer, performing
from tests.contract.actions.kube_api import _PATH, KubeApi, is_at, refusal

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


@dataclass(slots=True)
class Writes:
    """The writes that came, dry runs too. `held` are pods a budget holds back; `after` is called after each write."""

    kube: KubeApi
    held: set[str] = field(default_factory=set)
    after: Callable[[Json], None] | None = None
    broken: list[str] = field(default_factory=list)

    def made(self) -> list[str]:
        """Method and last two words of the path of each write that was no dry run."""
        return [
            f"{one.method} {'/'.join(one.path.split('/')[-2:])}"
            for one in self.kube.asked
            if one.method != "GET" and not is_dry(one.query, one.body)
        ]

    def the(self, kind: Kind, name: str) -> Json:
        """An object as it is kept."""
        kept = self.kube.objects[kind.group, kind.plural]
        return next(one for one in kept if one["metadata"]["name"] == name)

    def has(self, kind: Kind, name: str) -> bool:
        """Whether there is such an object."""
        return any(one["metadata"]["name"] == name for one in self.kube.objects[kind.group, kind.plural])

    async def patch(self, request: web.Request) -> web.StreamResponse | None:
        """PATCH, by the three ways to read one."""
        found, body = self._find(request), await request.json()
        if found is None:
            return None
        if request.content_type == "application/json-patch+json":
            changed = applied(found, body)
            if changed is None:
                return refusal(422, "testing value failed: test failed")
        else:
            wanted = body.get("metadata", {}).pop("resourceVersion", None)
            if wanted not in {None, found["metadata"]["resourceVersion"]}:
                return refusal(409, "the object has been modified")
            changed = merge(found, body, by_name="strategic" in request.content_type)
        return self._keep(request, found, changed, body)

    async def put(self, request: web.Request) -> web.StreamResponse | None:
        """PUT of an object or its status, if it is still the one that was read."""
        found, body = self._find(request), await request.json()
        if found is None:
            return None
        if body["metadata"]["resourceVersion"] != found["metadata"]["resourceVersion"]:
            return refusal(409, "the object has been modified")
        return self._keep(request, found, body, body)

    async def delete(self, request: web.Request) -> web.StreamResponse | None:
        """DELETE, by uid if one is given."""
        found, text = self._find(request), await request.text()
        if found is None:
            return None
        body = json.loads(text) if text else {}
        if body.get("preconditions", {}).get("uid", found["metadata"]["uid"]) != found["metadata"]["uid"]:
            return refusal(409, "the UID in the precondition does not match")
        if not is_dry(request.query, body):
            self._list(request).remove(found)
        return self._answer(request, found)

    async def post(self, request: web.Request) -> web.StreamResponse | None:
        """POST of a new object, or of an eviction."""
        body = await request.json()
        if request.path.endswith("/eviction"):
            return self._evict(request, body)
        kept = self._list(request)
        if any(one["metadata"]["name"] == body["metadata"]["name"] for one in kept):
            return refusal(409, "already exists")
        self.kube.version += 1
        made = copy.deepcopy(body)
        made["metadata"] |= {"uid": f"uid-{self.kube.version}", "resourceVersion": str(self.kube.version)}
        if not is_dry(request.query, body):
            kept.append(made)
            if self.after is not None:
                self.after(made)
        return self._answer(request, made, 201)

    def _evict(self, request: web.Request, body: Json) -> web.StreamResponse:
        name = body["metadata"]["name"]
        if body["apiVersion"] == "policy/v1":
            return refusal(400, 'no kind "Eviction" is registered for version "policy/v1"')
        if name in self.held:
            return refusal(429, "Cannot evict pod as it would violate the pod's disruption budget.")
        pods = self.kube.objects["", "pods"]
        if not is_dry(request.query, body):
            pods[:] = [one for one in pods if one["metadata"]["name"] != name]
        return json_answer({"kind": "Status", "status": "Success"}, 201)

    def _keep(self, request: web.Request, found: Json, changed: Json, body: Any) -> web.StreamResponse:
        self.kube.version += 1
        changed["metadata"]["resourceVersion"] = str(self.kube.version)
        if not is_dry(request.query, body):
            found.clear()
            found.update(changed)
            if self.after is not None:
                self.after(found)
        return self._answer(request, changed)

    def _answer(self, request: web.Request, body: Json, status: int = 200) -> web.StreamResponse:
        """The answer, unless this method's next one is to be lost."""
        if request.method in self.broken:
            self.broken.remove(request.method)
            assert request.transport is not None
            request.transport.abort()
        return json_answer(body, status)

    def _list(self, request: web.Request) -> list[Json]:
        match = _PATH.fullmatch(request.path)
        assert match is not None
        return self.kube.objects.setdefault((match["group"] or "", match["plural"]), [])

    def _find(self, request: web.Request) -> Json | None:
        match = _PATH.fullmatch(request.path)
        assert match is not None
        return next((one for one in self._list(request) if is_at(one, match.groupdict())), None)


def accept_writes(kube: KubeApi) -> Writes:
    """Let the server take writes of the objects it keeps."""
    writes = Writes(kube)
    for method, hook in (
        ("PATCH", writes.patch),
        ("PUT", writes.put),
        ("DELETE", writes.delete),
        ("POST", writes.post),
    ):
        kube.handle(method, "", hook)
    return writes


def know(kube: KubeApi, *kinds: Kind) -> None:
    """Let the server know kinds of which it has no object."""
    for kind in kinds:
        kube.objects.setdefault((kind.group, kind.plural), [])


def acting(kube: KubeApi, folder: Path, **settings: Any) -> AbstractAsyncContextManager[CataloguePerformer]:
    """A performer for the server."""
    return performing(kube.config(folder, **settings), clock=SetClock(NOW))


def is_dry(query: Mapping[str, str], body: Any) -> bool:
    """Whether a write is a dry run; options in a body leave those of the query unread for DELETE."""
    options = body if isinstance(body, dict) else {}
    if options.get("kind") == "DeleteOptions":
        return options.get("dryRun") == ["All"]
    return query.get("dryRun") == "All"


def merge(tree: Any, patch: Any, *, by_name: bool) -> Any:
    """The tree with a merge patch applied; `by_name` merges lists of named things, as a strategic one does."""
    if isinstance(patch, dict):
        result = dict(tree) if isinstance(tree, dict) else {}
        for key, value in patch.items():
            if value is None:
                result.pop(key, None)
            else:
                result[key] = merge(result.get(key), value, by_name=by_name)
        result.pop("$patch", None)
        return result
    if by_name and isinstance(patch, list) and all(isinstance(one, dict) and "name" in one for one in patch):
        named = {one["name"]: one for one in tree or []}
        for one in patch:
            if one.get("$patch") == "delete":
                named.pop(one["name"], None)
            else:
                named[one["name"]] = merge(named.get(one["name"]), one, by_name=True)
        return list(named.values())
    return patch


def applied(tree: Json, operations: list[Json]) -> Json | None:
    """The tree with a JSON Patch applied; None when a test fails."""
    result = copy.deepcopy(tree)
    for one in operations:
        if one["op"] == "test":
            if at(result, one["path"]) != one["value"]:
                return None
            continue
        *way, last = tokens(one["path"])
        owner: Any = result
        for token in way:
            owner = owner[int(token)] if isinstance(owner, list) else owner[token]
        key: Any = int(last) if isinstance(owner, list) else last
        if one["op"] == "remove":
            del owner[key]
        else:
            owner[key] = copy.deepcopy(one["value"])
    return result
