"""The rights on Kubernetes as a manifest for `kubectl apply`: a ServiceAccount, its roles, and what binds them.

https://kubernetes.io/docs/reference/access-authn-authz/rbac/#rolebinding-and-clusterrolebinding
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from runbookd.reports.rbac import Right, Rights

_API = "rbac.authorization.k8s.io"
_WIDE = "which one is only known when it is called"


@dataclass(frozen=True, slots=True)
class Account:
    """The ServiceAccount runbookd signs in as."""

    namespace: str
    name: str


def manifest(rights: Rights, account: Account, *, cluster_wide: bool = True) -> str:
    """The YAML, one document an object. Without `cluster_wide`, what needs the whole cluster is a comment only."""
    documents = [_account(account)]
    for namespace, rules in rights.namespaces.items():
        documents += _role("Role", rules, account, namespace)
    left_out: list[str] = []
    if cluster_wide and rights.cluster:
        documents += _role("ClusterRole", rights.cluster, account)
    elif rights.cluster:
        left_out = ["Left out, because it needs the whole cluster:"]
        left_out += [f"  {line.strip()}" for right in rights.cluster for line in _rule(right)]
    if rights.undecided:
        left_out += ["Not among these rights, add them by hand:", *(f"  {one}" for one in rights.undecided)]
    tail = "".join(f"# {line.removeprefix('# ')}\n" for line in left_out)
    return "---\n".join(documents) + tail


def _account(account: Account) -> str:
    return "apiVersion: v1\nkind: ServiceAccount\n" + _metadata(account.name, account.namespace)


def _role(kind: str, rules: Sequence[Right], account: Account, namespace: str | None = None) -> Iterator[str]:
    """A role with these rules, and the binding of the account to it."""
    head = f"apiVersion: {_API}/v1\nkind: {kind}\n{_metadata(account.name, namespace)}"
    yield head + "rules:\n" + "".join(f"{line}\n" for right in rules for line in _rule(right))
    reference = {"apiGroup": _API, "kind": kind, "name": account.name}
    subject = {"kind": "ServiceAccount", "name": account.name, "namespace": account.namespace}
    yield (
        f"apiVersion: {_API}/v1\nkind: {kind}Binding\n{_metadata(account.name, namespace)}"
        f"roleRef: {_flow(reference)}\nsubjects:\n  - {_flow(subject)}\n"
    )


def _metadata(name: str, namespace: str | None) -> str:
    return f"metadata: {_flow({'name': name} | ({'namespace': namespace} if namespace else {}))}\n"


def _rule(right: Right) -> Iterator[str]:
    """One rule, under a comment that says who needs it."""
    if right.unknown:
        yield f"  # in every namespace, as {_WIDE}:"
    for playbook, calls in groupby(right.because, key=lambda text: text.partition(": ")[0]):
        actions = ", ".join(call.partition(": ")[2] for call in calls)
        yield f"  # {playbook}: {actions}"
    rule = {"apiGroups": [right.group], "resources": [right.resource], "verbs": list(right.verbs)}
    yield f"  - {_flow(rule | ({'resourceNames': list(right.names)} if right.names else {}))}"


def _flow(value: Mapping[str, object]) -> str:
    """A map on one line; JSON texts and lists are YAML as well (https://yaml.org/spec/1.2.2/, section 1.3)."""
    return "{" + ", ".join(f"{name}: {json.dumps(each)}" for name, each in value.items()) + "}"
