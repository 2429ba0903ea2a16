"""A small API server of our own: it keeps objects, pages its lists, and words its refusals as the real one does.

It stands in where no control plane is; `tests/e2e/` holds the same actions to the real one, which decides when they
disagree.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from runbookd.actions.kubernetes.kinds import Json, Kind
from tests.contract.actions.hands import json_answer, serving

TOKEN = "token-canary"
_PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/(?P<version>[^/]+)"
    r"(?:/namespaces/(?P<namespace>[^/]+)(?=/))?/(?P<plural>[^/]+)(?:/(?P<name>[^/]+)(?:/(?P<sub>.+))?)?"
)

Hook = Callable[[web.Request], Awaitable[web.StreamResponse | None]]


@dataclass(slots=True)
class Asked:
    """A request that came."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    content_type: str


@dataclass(slots=True)
class KubeApi:
    """The server. `refused` holds what nobody may do, as `list pods` or `list pods.metrics.k8s.io`; `logs` is text
    by pod and container.

    `changes` are the events of watches: each watch takes the first list, writes it and ends, or stays open when
    there is none.
    """

    url: str = ""
    objects: dict[tuple[str, str], list[Json]] = field(default_factory=dict)
    logs: dict[tuple[str, str], str] = field(default_factory=dict)
    changes: list[list[Json]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    hooks: list[tuple[str, str, Hook]] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    token: str = TOKEN
    version: int = 100

    def put(self, kind: Kind, *objects: Json) -> None:
        """Keep these objects of a kind."""
        for one in objects:
            self.version += 1
            kept = copy.deepcopy(one)
            kept["metadata"].setdefault("uid", f"uid-{self.version}")
            kept["metadata"].setdefault("resourceVersion", str(self.version))
            if kind.namespaced:
                kept["metadata"].setdefault("namespace", "shop")
            self.objects.setdefault((kind.group, kind.plural), []).append(kept)

    def handle(self, method: str, pattern: str, hook: Hook) -> None:
        """Let this function answer requests whose path holds the pattern; None from it goes on as usual."""
        self.hooks.append((method, pattern, hook))

    def lists(self, plural: str) -> list[Asked]:
        """The requests of lists of a kind that came."""
        return [one for one in self.asked if one.method == "GET" and one.path.endswith(f"/{plural}")]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer as the API server does."""
        text = await request.text()
        body = json.loads(text) if text else None
        content_type = request.content_type
        self.asked.append(Asked(request.method, request.path, dict(request.query), body, content_type))
        for method, pattern, hook in self.hooks:
            if method == request.method and re.search(pattern, request.path):
                answer = await hook(request)
                if answer is not None:
                    return answer
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return refusal(401, "Unauthorized")
        return await self._authorized(request, body)

    async def _authorized(self, request: web.Request, body: Any) -> web.StreamResponse:
        match = _PATH.fullmatch(request.path)
        if match is None:
            return web.Response(status=404, text="404 page not found")
        place = match.groupdict()
        verb = verb_of(request, place)
        resource = place["plural"] + (f"/{place['sub']}" if place["sub"] else "")
        named = f"{verb} {resource}"
        if named in self.refused or f"{named}.{place['group']}" in self.refused:
            return refusal(403, forbidden(verb, resource, place))
        kept = self.objects.get((place["group"] or "", place["plural"]))
        if kept is None:
            return web.Response(status=404, text="404 page not found")
        if place["name"] is None:
            if request.method == "POST":
                self.objects[place["group"] or "", place["plural"]].append(body)
                return json_answer(body, 201)
            return await self._list(request, kept, place["namespace"])
        found = [one for one in kept if is_at(one, place)]
        if not found:
            return refusal(404, f'{place["plural"]} "{place["name"]}" not found')
        if place["sub"] == "log":
            return self._log(request, place["name"])
        return json_answer(found[0])

    async def _list(
        self, request: web.Request, kept: list[Json], namespace: str | None
    ) -> web.StreamResponse:
        if request.query.get("watch") == "true":
            return await self._watch(request)
        found = [one for one in kept if namespace in {None, one["metadata"].get("namespace")}]
        found = [
            one
            for one in found
            if fits(one["metadata"].get("labels", {}), request.query.get("labelSelector"))
        ]
        found = [one for one in found if fits(flat(one), request.query.get("fieldSelector"))]
        begin, limit = int(request.query.get("continue", "0")), int(request.query.get("limit", "500"))
        end = begin + limit
        metadata = {"resourceVersion": str(self.version)} | (
            {"continue": str(end)} if end < len(found) else {}
        )
        return json_answer({"kind": "List", "metadata": metadata, "items": found[begin:end]})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        if not self.changes:
            await response.write(b"")
            await asyncio.Event().wait()
        for event in self.changes.pop(0):
            await response.write(json.dumps(event).encode() + b"\n")
        return response

    def _log(self, request: web.Request, pod: str) -> web.StreamResponse:
        text = self.logs.get((pod, request.query.get("container", "")))
        if text is None:
            return refusal(400, f'container "{request.query.get("container")}" is waiting to start')
        lines = text.splitlines(keepends=True)[-int(request.query.get("tailLines", "1000000")) :]
        return web.Response(text="".join(lines))

    def config(self, folder: Path, **settings: Any) -> Mapping[str, Any]:
        """The settings that lead here, with a kubeconfig in this folder."""
        path = folder / "kubeconfig"
        path.write_text(kubeconfig(self.url, self.token), encoding="utf-8")
        return {"kubernetes": {"clusters": {"main": {"kubeconfig": str(path)}}} | settings}


@contextlib.asynccontextmanager
async def kube_api() -> AsyncIterator[KubeApi]:
    """A running server without objects; kinds that were never put answer as those that are not installed."""
    api = KubeApi()
    async with serving(api.answer) as url:
        api.url = url
        yield api


def kubeconfig(url: str, token: str) -> str:
    """The text of a kubeconfig with one cluster."""
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": url}}],
            "users": [{"name": "me", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "me"}}],
        }
    )


def refusal(
    status: int, message: str, headers: Mapping[str, str] | None = None, **details: Any
) -> web.Response:
    """An answer that is no success, as a Status object."""
    said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": status}
    return json_answer(said | {"details": details}, status, headers)


def forbidden(verb: str, resource: str, place: Mapping[str, str | None]) -> str:
    """The authorizer's words."""
    where = f'in the namespace "{place["namespace"]}"' if place["namespace"] else "at the cluster scope"
    group = place["group"] or ""
    return f'{resource} is forbidden: User "me" cannot {verb} resource "{resource}" in API group "{group}" {where}'


def verb_of(request: web.Request, place: Mapping[str, str | None]) -> str:
    """The RBAC verb of a request."""
    if request.query.get("watch") == "true":
        return "watch"
    if request.method == "GET":
        return "get" if place["name"] else "list"
    return {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}[request.method]


def is_at(one: Json, place: Mapping[str, str | None]) -> bool:
    """Whether this is the object a path names."""
    metadata = one["metadata"]
    return bool(metadata["name"] == place["name"] and metadata.get("namespace") == place["namespace"])


def fits(values: Mapping[str, Any], selector: str | None) -> bool:
    """Whether the values fit a selector of `name=value` and `name!=value`."""
    for part in (selector or "").split(","):
        if "!=" in part:
            name, _, value = part.partition("!=")
            if str(values.get(name, "")) == value:
                return False
        elif "=" in part:
            name, _, value = part.partition("=")
            if str(values.get(name, "")) != value:
                return False
    return True


def flat(tree: Any, path: str = "") -> dict[str, Any]:
    """The leaves of a tree by dotted path, for field selectors."""
    if not isinstance(tree, dict):
        return {path: tree}
    return {
        name: leaf
        for key, value in tree.items()
        for name, leaf in flat(value, f"{path}.{key}" if path else key).items()
    }
