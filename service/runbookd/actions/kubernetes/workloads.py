"""The workloads the runbook acts on: how a step names one, the rights that needs, and what holds a change back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pydantic import Field, model_validator

from runbookd.actions.base import Params as BaseParams
from runbookd.actions.failures import Rejected
from runbookd.actions.kubernetes.cluster import ClusterName
from runbookd.actions.kubernetes.kinds import (
    DAEMON_SET,
    DEPLOYMENT,
    STATEFUL_SET,
    Json,
    Kind,
    Namespace,
    ObjectName,
    Ref,
    permission,
)
from runbookd.model.action import Permission

_KINDS: Mapping[str, Kind] = {
    "deployment": DEPLOYMENT,
    "statefulset": STATEFUL_SET,
    "daemonset": DAEMON_SET,
}
_OWNERS = {
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "argocd.argoproj.io/instance": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
}
"""Labels and annotations by which a GitOps controller marks what it would put back.

https://argo-cd.readthedocs.io/en/stable/user-guide/resource_tracking/ and
https://fluxcd.io/flux/components/kustomize/kustomizations/#controller-labels
"""


class OneWorkload(BaseParams):
    """One workload that has a number of replicas: a Deployment or a StatefulSet."""

    cluster: ClusterName = None
    namespace: Namespace
    deployment: ObjectName | None = Field(default=None, description="The Deployment. null: another kind.")
    statefulset: ObjectName | None = Field(default=None, description="The StatefulSet. null: another kind.")

    @model_validator(mode="after")
    def _one(self) -> OneWorkload:
        if len(self._named()) != 1:
            known = ", ".join(field for field in _KINDS if field in type(self).model_fields)
            message = f"give exactly one of {known}"
            raise ValueError(message)
        return self

    @property
    def ref(self) -> Ref:
        """The workload."""
        ((field, name),) = self._named().items()
        return _KINDS[field].at(self.namespace, name)

    def _named(self) -> dict[str, str]:
        return {field: name for field in _KINDS if (name := getattr(self, field, None)) is not None}


class OneTemplate(OneWorkload):
    """One workload that has a pod template: a Deployment, a StatefulSet or a DaemonSet."""

    daemonset: ObjectName | None = Field(default=None, description="The DaemonSet. null: another kind.")


def rights(params: type[OneWorkload], *verbs: str) -> tuple[Permission, ...]:
    """The right to these verbs on each kind of workload, each only where the step names one of that kind."""
    return tuple(
        when(field, permission(kind, *verbs))
        for field, kind in _KINDS.items()
        if field in params.model_fields
    )


def when(parameter: str, needed: Permission) -> Permission:
    """A right that is needed only by a step that gives this parameter (and not as null)."""
    return replace(needed, rule={**needed.rule, "when": parameter})


def check_gitops(obj: Json, ref: Ref, *, allowed: bool) -> None:
    """Raise Rejected (`refused`) when a GitOps controller owns the object: it would put back what is changed here."""
    metadata = obj.get("metadata", {})
    marks = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
    owner = next((name for mark, name in _OWNERS.items() if mark in marks), None)
    if owner is not None and not allowed:
        message = (
            f"{ref} is managed by {owner}, which would put it back; change it in Git, "
            "pause its sync, or set `allow_gitops: true` if it leaves this field alone"
        )
        raise Rejected(message, kind="refused")


def check_running(obj: Json, ref: Ref, *, allowed: bool = False) -> None:
    """Raise Rejected (`refused`) when the rollout of a Deployment is paused: nothing would come of a new template."""
    if obj["spec"].get("paused") and not allowed:
        message = f"the rollout of {ref} is paused; resume it first (`kubectl rollout resume`)"
        raise Rejected(message, kind="refused")


def container_named(obj: Json, ref: Ref, name: str | None) -> str:
    """The name of the template's container: the one that is asked for, or the only one.

    Raises Rejected: `not_found` when there is none of that name, `invalid` when one has to be chosen.
    """
    names = [str(one["name"]) for one in obj["spec"]["template"]["spec"]["containers"]]
    if name is None and len(names) == 1:
        return names[0]
    if name is None:
        raise Rejected(f"{ref} has the containers {', '.join(names)}; name a `container`", kind="invalid")
    if name not in names:
        raise Rejected(f"{ref} has no container {name!r}, only {', '.join(names)}", kind="not_found")
    return name
