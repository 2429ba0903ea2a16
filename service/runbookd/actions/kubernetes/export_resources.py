"""`kubernetes.export_resources`: the configuration of namespaces as evidence, ready for `kubectl apply`.

Changes nothing, so there is nothing to undo. Each namespace and kind is one piece of evidence, a `v1` List without what
the cluster itself fills in; objects another object made are left out. Secrets are sealed with the step's key
(AES-256-GCM, `runbookd.actions.kubernetes.sealing`), which can only be given as `${secret.NAME}`.
https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256

import orjson
from pydantic import BaseModel, Field

from runbookd.actions.base import Action, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.actions.config import MEBIBYTE
from runbookd.actions.failures import Rejected
from runbookd.actions.kubernetes.cluster import Cluster, ClusterName, cluster
from runbookd.actions.kubernetes.fields import controller_of
from runbookd.actions.kubernetes.get_resource import LAST_APPLIED
from runbookd.actions.kubernetes.kinds import (
    SECRET,
    Json,
    Kind,
    KindName,
    Namespace,
    Selector,
    kind_of,
    permission_of,
)
from runbookd.actions.kubernetes.replica_sets import CHANGED_AFTER, REVISION
from runbookd.actions.kubernetes.rollbacks import PUT_BACK_AFTER
from runbookd.actions.kubernetes.sealing import read_key, seal
from runbookd.language.values import SecretRef
from runbookd.model.action import Repeat, Spec

_MOST = 32 * MEBIBYTE
"""Bytes one export may come to; they are held in memory until they are stored."""
_FILLED_IN = frozenset(
    {
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "generation",
        "managedFields",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)
_OF_ITS_PAST = frozenset({LAST_APPLIED, REVISION, CHANGED_AFTER, PUT_BACK_AFTER})
"""Annotations that tell of what was applied before, and of revisions that what is made from an export has none of."""
_DEFAULT_KINDS = [
    "configmaps",
    "deployments",
    "ingresses",
    "networkpolicies",
    "persistentvolumeclaims",
    "rolebindings",
    "roles",
    "serviceaccounts",
    "services",
    "statefulsets",
]


class Params(BaseParams):
    """What to export."""

    cluster: ClusterName = None
    namespaces: list[Namespace] = Field(min_length=1, max_length=100, description="The namespaces.")
    kinds: list[KindName] = Field(
        default_factory=lambda: list(_DEFAULT_KINDS),
        min_length=1,
        max_length=50,
        description="Plurals of the kinds; `secrets` only together with `key`.",
    )
    selector: Selector | None = Field(default=None, description="Label selector. null: every object.")
    key: str | None = Field(
        default=None,
        description="Key that seals Secrets, 32 bytes in base64, as `${secret.NAME}`. null: no Secrets.",
    )


class Export(BaseModel):
    """One piece of evidence."""

    name: str = Field(description="The piece's name, `export/<namespace>/<kind>.json`.")
    objects: int = Field(description="Objects in it.")
    sha256: str = Field(description="Hash of the piece as it is kept.")
    sealed: bool = Field(description="Whether it can only be read with the key.")


class Result(BaseResult):
    """What was exported. Kinds of which a namespace has no object make no piece."""

    exports: list[Export] = Field(description="The pieces, in order of namespace and kind.")
    objects: int = Field(description="Objects in all of them.")
    bytes: int = Field(description="Bytes of all of them.")


SPEC = Spec(
    name="kubernetes.export_resources",
    summary="Keep the configuration of namespaces as evidence, Secrets encrypted.",
    mutates=False,
    repeat=Repeat.SAFE,
    undo="Nothing to undo: it changes nothing.",
    timeout=timedelta(minutes=5),
    example={
        "namespaces": ["shop"],
        "kinds": ["deployments", "configmaps", "secrets"],
        "key": "${secret.export_key}",
    },
    permissions=(permission_of("kinds", "list"),),
)


@dataclass(slots=True)
class _Room:
    """How much one export may still hold."""

    left: int = _MOST

    def take(self, size: int) -> None:
        """Count bytes; raises Rejected (`too_large`) when there are too many."""
        self.left -= size
        if self.left < 0:
            raise Rejected(
                f"the export is larger than {_MOST} bytes; export fewer at a time", kind="too_large"
            )


async def run(params: Params, context: Context) -> Result:
    """Export them one after another; nothing is kept of an export that does not complete."""
    kinds = [kind_of(text) for text in params.kinds]
    key = _key(params, context) if SECRET in kinds else None
    where = await cluster(context, params.cluster)
    room, pieces = _Room(), dict[str, tuple[int, bytes]]()
    for namespace in params.namespaces:
        for kind in kinds:
            items = await _items(where, params, room, namespace=namespace, kind=kind)
            if items:
                name = f"export/{namespace}/{kind.plural}.json"
                pieces[name] = len(items), _written(items, key if kind == SECRET else None, name)
    for name, (_, content) in pieces.items():
        context.attach(name, "application/json", content)
    exports = [
        Export(
            name=name,
            objects=count,
            sha256=sha256(content).hexdigest(),
            sealed=name.endswith(f"/{SECRET.plural}.json"),
        )
        for name, (count, content) in pieces.items()
    ]
    total = sum(len(content) for _, content in pieces.values())
    return Result(exports=exports, objects=sum(one.objects for one in exports), bytes=total)


def _key(params: Params, context: Context) -> bytes:
    """The key; raises Rejected (`invalid`) without one, and for one written into the playbook."""
    if params.key is None or not isinstance(context.call.params.get("key"), SecretRef):
        raise Rejected(
            "parameter `key`: Secrets are only exported sealed, with a key given as `${secret.NAME}`",
            kind="invalid",
        )
    return read_key(params.key)


async def _items(where: Cluster, params: Params, room: _Room, *, namespace: str, kind: Kind) -> list[Json]:
    """The objects of a kind that somebody wrote."""
    if not kind.namespaced:
        raise Rejected(f"{kind.plural} are not in a namespace; they cannot be exported", kind="invalid")
    items = []
    async for found in where.each(kind, namespace, labels=params.selector):
        if controller_of(found) is None and found.get("type") != "kubernetes.io/service-account-token":
            items.append(applicable(found, kind))
            room.take(len(orjson.dumps(items[-1])))
    return items


def applicable(found: Json, kind: Kind) -> Json:
    """The object without what the cluster filled in."""
    metadata = {name: value for name, value in found["metadata"].items() if name not in _FILLED_IN}
    notes = metadata.pop("annotations", None) or {}
    kept = {name: text for name, text in notes.items() if name not in _OF_ITS_PAST}
    if kept:
        metadata["annotations"] = kept
    rest = {name: value for name, value in found.items() if name not in {"metadata", "status"}}
    if kind.plural == "services":
        own = {"clusterIP", "clusterIPs", "healthCheckNodePort"}
        is_headless = (found.get("spec") or {}).get("clusterIP") == "None"
        spec = {name: value for name, value in found["spec"].items() if is_headless or name not in own}
        rest["spec"] = spec
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, **rest}


def _written(items: list[Json], key: bytes | None, about: str) -> bytes:
    """A List of the objects; in an envelope when there is a key."""
    content = orjson.dumps({"apiVersion": "v1", "kind": "List", "items": items}, option=orjson.OPT_INDENT_2)
    return content if key is None else orjson.dumps(seal(content, key, about), option=orjson.OPT_INDENT_2)


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run)
