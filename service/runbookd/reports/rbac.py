"""The rights on Kubernetes that loaded rules and playbooks need, and no more.

What each action needs stands in its SPEC; which objects it is about, in the parameters of each call. A right is given
for one namespace, and for named objects, where these are known before a run; else for all of them, and it is said why.
https://kubernetes.io/docs/reference/access-authn-authz/rbac/#role-and-clusterrole
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runbookd.actions.kubernetes.kinds import kind_of
from runbookd.errors import ActionError
from runbookd.model.library import Library
from runbookd.ports import Catalogue
from runbookd.reports.possible_calls import PossibleCall, possible_calls

SYSTEM = "kubernetes"
_BY_NAME = frozenset({"get", "watch", "patch", "update", "delete"})
"""Verbs of one object. `list` and `create` are about none yet; the watches of this service name their object."""
_OWN_NAMESPACE = ("velero_namespace", "namespace", "namespaces")
"""The parameters that say where an action acts; the first that it has counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """One rule of a Role or ClusterRole. `names` is empty for all objects.

    `because` are the calls that need it, as `playbook: action`; `unknown` tells that it is wider than one call needs,
    because the namespace is only known when that is made.
    """

    group: str
    resource: str
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()
    because: tuple[str, ...] = ()
    unknown: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What is needed: by namespace, and in the whole cluster. `undecided` are calls whose rights cannot be told yet."""

    namespaces: Mapping[str, tuple[Right, ...]] = field(default_factory=dict)
    cluster: tuple[Right, ...] = ()
    undecided: tuple[str, ...] = ()


_Given = tuple[str | None, str, str, str | None, str]
"""A place, a group, a resource, an object's name, and a verb."""


@dataclass(frozen=True, slots=True)
class _Need:
    """One verb on one resource. `place` is a namespace, None the whole cluster; `name` an object, None all."""

    place: str | None
    group: str
    resource: str
    name: str | None
    verb: str
    because: str
    unknown: bool

    @property
    def right(self) -> _Given:
        """What is needed, whoever needs it."""
        return self.place, self.group, self.resource, self.name, self.verb

    def wider(self) -> Iterator[_Given]:
        """What would do as well, and allows more."""
        for place in {self.place, None}:
            for name in {self.name, None}:
                if (place, name) != (self.place, self.name):
                    yield place, self.group, self.resource, name, self.verb


def rights(
    library: Library,
    catalogue: Catalogue,
    clusters: Collection[str | None] | None = None,
    *,
    cluster_wide: bool = True,
) -> Rights:
    """The rights on one cluster; the same for the same content.

    `clusters` are the names by which calls choose it, None among them when calls that name none do; without it, every
    call counts. Without `cluster_wide`, a right in a namespace is kept although one in the whole cluster covers it.
    """
    needs: set[_Need] = set()
    undecided: set[str] = set()
    for call in possible_calls(library):
        if clusters is not None and "cluster" not in call.open and call.known.get("cluster") not in clusters:
            continue
        because = f"{call.playbook}: {call.action}"
        parameters = _Parameters.of(call, catalogue)
        for rule in _rules(catalogue, call.action):
            needs.update(_needs(parameters, rule, because))
            if rule.get("kindFrom") in parameters.open:
                undecided.add(f"{because} on a kind that is only known when it is called")
    given = {need.right for need in needs if cluster_wide or need.place is not None}
    kept = [need for need in needs if not any(wider in given for wider in need.wider())]
    places = sorted({need.place for need in kept if need.place is not None})
    return Rights(
        namespaces={place: _folded(need for need in kept if need.place == place) for place in places},
        cluster=_folded(need for need in kept if need.place is None),
        undecided=tuple(sorted(undecided)),
    )


def _rules(catalogue: Catalogue, action: str) -> Sequence[Mapping[str, Any]]:
    """The rules of the action's permissions on Kubernetes."""
    spec = catalogue.spec(action)
    permissions = spec.permissions if spec is not None else ()
    return [permission.rule for permission in permissions if permission.system == SYSTEM]


@dataclass(frozen=True, slots=True)
class _Parameters:
    """The parameters of a call, defaults among them; None of a `known` value is a null, not a gap."""

    known: Mapping[str, object]
    open: Collection[str]

    @classmethod
    def of(cls, call: PossibleCall, catalogue: Catalogue) -> _Parameters:
        """Those of a possible call."""
        fields = catalogue.params(call.action).model_fields
        defaults: dict[str, Any] = {
            name: info.get_default(call_default_factory=True)
            for name, info in fields.items()
            if not info.is_required() and name not in call.open
        }
        return cls({**defaults, **call.known}, call.open)

    def has(self, name: str) -> bool:
        """Whether there is such a parameter."""
        return name in self.known or name in self.open

    def wants(self, rule: Mapping[str, object]) -> bool:
        """Whether a right applies: some only do when a parameter is given."""
        given = rule.get("when")
        return given is None or given in self.open or self.known.get(str(given)) is not None

    def texts(self, name: str) -> list[str] | None:
        """The text, or texts, a parameter is known to have; None when that is not known, or nothing."""
        value = self.known.get(name)
        if isinstance(value, str):
            return [value]
        return [str(each) for each in value] if isinstance(value, Sequence) else None


def _needs(parameters: _Parameters, rule: Mapping[str, Any], because: str) -> Iterator[_Need]:
    """What one of an action's permissions comes to for one call."""
    if not parameters.wants(rule):
        return
    own = next((name for name in _OWN_NAMESPACE if parameters.has(name)), None)
    namespaces = parameters.texts(own) if own is not None else None
    for group, resource, namespaced, name in _resources(parameters, rule):
        places: Sequence[str | None] = namespaces if namespaced and namespaces is not None else [None]
        for verb in rule["verbs"]:
            by_name = name if verb in _BY_NAME or "/" in resource else None
            for place in places:
                unknown = namespaced and place is None and own in parameters.open
                yield _Need(place, group, resource, by_name, verb, because, unknown)


def _resources(
    parameters: _Parameters, rule: Mapping[str, Any]
) -> Iterator[tuple[str, str, bool, str | None]]:
    """The resources a permission is about: group, resource, whether they are in namespaces, and the object's name."""
    if "kindFrom" not in rule:
        names = rule.get("resourceNames") or [None]
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for name in names:
                    yield group, resource, rule["namespaced"], name or _name(parameters, resource)
        return
    one = parameters.texts("name")
    for text in parameters.texts(rule["kindFrom"]) or ():
        try:
            kind = kind_of(text, namespaced=any(parameters.texts(each) for each in _OWN_NAMESPACE))
        except ActionError:  # the call fails before it asks for anything
            continue
        yield kind.group, kind.plural, kind.namespaced, one[0] if one else None


def _name(parameters: _Parameters, resource: str) -> str | None:
    """The object's name, when a parameter that is called like the resource holds it: `deployment`, `cron_job`."""
    plural = resource.partition("/")[0]
    for parameter in parameters.known:
        word = parameter.replace("_", "")
        if plural in {f"{word}s", f"{word}es"} and (found := parameters.texts(parameter)):
            return found[0] if len(found) == 1 else None
    return None


def _folded(needs: Iterable[_Need]) -> tuple[Right, ...]:
    """The rules of one role: a resource's verbs together, and the names of objects with the same verbs."""
    objects: dict[tuple[str, str, str | None], list[_Need]] = defaultdict(list)
    for need in needs:
        objects[need.group, need.resource, need.name].append(need)
    alike: dict[tuple[str, str, bool, tuple[str, ...]], list[_Need]] = defaultdict(list)
    for (group, resource, name), each in objects.items():
        alike[group, resource, name is None, tuple(sorted({need.verb for need in each}))] += each
    return tuple(
        Right(
            group=group,
            resource=resource,
            verbs=verbs,
            names=tuple(sorted({need.name for need in each if need.name is not None})),
            because=tuple(sorted({need.because for need in each})),
            unknown=any(need.unknown for need in each),
        )
        for (group, resource, _, verbs), each in sorted(alike.items())
    )
