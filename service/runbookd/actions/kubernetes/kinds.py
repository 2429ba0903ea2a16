"""What the Kubernetes API calls things: kinds, the paths of objects, and the rights a call needs.

https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris and
https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb. Names are held to
what the API allows before they become part of a path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from runbookd.actions.failures import Rejected
from runbookd.language.fuzzy import did_you_mean
from runbookd.model.action import Permission

Json = dict[str, Any]
"""An object as the API gives and takes it."""

NAMESPACE_PATTERN = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
NAME_PATTERN = r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"
SELECTOR_PATTERN = r"^[-A-Za-z0-9_./=!,() ]{1,1000}$"

Namespace = Annotated[
    str,
    StringConstraints(pattern=NAMESPACE_PATTERN),
    Field(description="The namespace."),
]
ObjectName = Annotated[
    str,
    StringConstraints(pattern=NAME_PATTERN),
    Field(description="The object's name."),
]
KindName = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z][a-z0-9-]{0,62}(\.v[0-9][a-z0-9]{0,20}(\.[a-z0-9][-a-z0-9.]{0,200})?)?$"
    ),
    Field(
        description="A kind by its plural, such as `deployments`; one not built in as `plural.version.group`, such as "
        "`certificates.v1.cert-manager.io`."
    ),
]
Selector = Annotated[
    str,
    StringConstraints(pattern=SELECTOR_PATTERN),
    Field(description="Label selector, such as `app=shop,tier!=cache`."),
]


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource of the API; `group` is "" for the core group, `plural` the word in the path."""

    group: str
    version: str
    plural: str
    name: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`apps/v1`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def at(self, namespace: str | None = None, name: str | None = None, sub: str | None = None) -> Ref:
        """One object of this kind, or all of them in a namespace (None: in every one)."""
        return Ref(self, namespace if self.namespaced else None, name, sub)


@dataclass(frozen=True, slots=True)
class Ref:
    """What a request is about: an object, its subresource, or (without a name) the list of a kind."""

    kind: Kind
    namespace: str | None
    name: str | None
    sub: str | None = None

    @property
    def path(self) -> str:
        """The path below the server's address."""
        root = f"/apis/{self.kind.group}" if self.kind.group else "/api"
        parts = [root, self.kind.version]
        if self.namespace is not None:
            parts += ["namespaces", self.namespace]
        return "/".join([*parts, self.kind.plural, *(part for part in (self.name, self.sub) if part)])

    @property
    def resource(self) -> str:
        """The resource as RBAC names it: `pods`, `pods/log`."""
        return f"{self.kind.plural}/{self.sub}" if self.sub else self.kind.plural

    def verb(self, method: str) -> str:
        """The RBAC verb of an HTTP method on this."""
        if method == "GET":
            return "get" if self.name else "list"
        return {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}[method]

    def of(self, sub: str) -> Ref:
        """A subresource of this object."""
        return replace(self, sub=sub)

    def __str__(self) -> str:
        owner = f"{self.namespace}/" if self.namespace else ""
        place = f"{owner}{self.name}" if self.name else f"in {self.namespace or 'all namespaces'}"
        return f"{self.resource} {place}"


def permission(
    kind: Kind, *verbs: str, sub: str | None = None, names: Sequence[str] | None = None
) -> Permission:
    """The right to these verbs, as one rule of a Role, or of a ClusterRole where `namespaced` is False.

    https://kubernetes.io/docs/reference/access-authn-authz/rbac/#role-and-clusterrole
    """
    rule: dict[str, object] = {
        "apiGroups": [kind.group],
        "resources": [f"{kind.plural}/{sub}" if sub else kind.plural],
        "verbs": list(verbs),
        "namespaced": kind.namespaced,
    }
    if names is not None:
        rule["resourceNames"] = list(names)
    return Permission(system="kubernetes", rule=rule)


def permission_of(parameter: str, *verbs: str) -> Permission:
    """The right to these verbs on whatever kind, or kinds, the parameter of this name gives (`kind_of` reads them)."""
    return Permission(system="kubernetes", rule={"kindFrom": parameter, "verbs": list(verbs)})


POD = Kind("", "v1", "pods", "Pod")
NODE = Kind("", "v1", "nodes", "Node", namespaced=False)
EVENT = Kind("", "v1", "events", "Event")
SECRET = Kind("", "v1", "secrets", "Secret")
CONFIG_MAP = Kind("", "v1", "configmaps", "ConfigMap")
SERVICE = Kind("", "v1", "services", "Service")
SERVICE_ACCOUNT = Kind("", "v1", "serviceaccounts", "ServiceAccount")
NAMESPACE = Kind("", "v1", "namespaces", "Namespace", namespaced=False)
CLAIM = Kind("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
VOLUME = Kind("", "v1", "persistentvolumes", "PersistentVolume", namespaced=False)
DEPLOYMENT = Kind("apps", "v1", "deployments", "Deployment")
REPLICA_SET = Kind("apps", "v1", "replicasets", "ReplicaSet")
STATEFUL_SET = Kind("apps", "v1", "statefulsets", "StatefulSet")
DAEMON_SET = Kind("apps", "v1", "daemonsets", "DaemonSet")
CONTROLLER_REVISION = Kind("apps", "v1", "controllerrevisions", "ControllerRevision")
JOB = Kind("batch", "v1", "jobs", "Job")
CRON_JOB = Kind("batch", "v1", "cronjobs", "CronJob")
AUTOSCALER = Kind("autoscaling", "v1", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
SCALED_OBJECT = Kind("keda.sh", "v1alpha1", "scaledobjects", "ScaledObject")
DISRUPTION_BUDGET = Kind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
INGRESS = Kind("networking.k8s.io", "v1", "ingresses", "Ingress")
NETWORK_POLICY = Kind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
ROLE = Kind("rbac.authorization.k8s.io", "v1", "roles", "Role")
ROLE_BINDING = Kind("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
POD_METRICS = Kind("metrics.k8s.io", "v1beta1", "pods", "PodMetrics")
NODE_METRICS = Kind("metrics.k8s.io", "v1beta1", "nodes", "NodeMetrics", namespaced=False)

KINDS: tuple[Kind, ...] = (
    POD,
    NODE,
    EVENT,
    SECRET,
    CONFIG_MAP,
    SERVICE,
    SERVICE_ACCOUNT,
    NAMESPACE,
    CLAIM,
    VOLUME,
    DEPLOYMENT,
    REPLICA_SET,
    STATEFUL_SET,
    DAEMON_SET,
    CONTROLLER_REVISION,
    JOB,
    CRON_JOB,
    AUTOSCALER,
    SCALED_OBJECT,
    DISRUPTION_BUDGET,
    INGRESS,
    NETWORK_POLICY,
    ROLE,
    ROLE_BINDING,
)
"""The kinds that can be named by their plural alone; any other is given as `plural.version.group`."""


def kind_of(text: str, *, namespaced: bool = True) -> Kind:
    """The kind of this name; `namespaced` is for those written as `plural.version.group`. Raises Rejected."""
    plural, _, place = text.partition(".")
    known = {kind.plural: kind for kind in KINDS}
    if not place:
        if plural in known:
            return known[plural]
        message = (
            f"there is no built-in kind {text!r}.{did_you_mean(plural, known)} Others: `plural.version.group`"
        )
        raise Rejected(message, kind="invalid")
    version, _, group = place.partition(".")
    return Kind(group, version, plural, plural, namespaced)
