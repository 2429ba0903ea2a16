"""Which objects a write may touch: protected ones never, and no more than were agreed on.

A selector is resolved once, to a frozen list; what is created afterwards is not touched. Protecting a Deployment
does not protect its pods: name them too (`pods/shop/ledger-*`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from runbookd.actions.config import KubernetesAccess
from runbookd.actions.failures import Rejected
from runbookd.actions.kubernetes.cluster import Cluster
from runbookd.actions.kubernetes.kinds import NAMESPACE, Json, Kind, Ref


@dataclass(frozen=True, slots=True)
class Target:
    """One object as it was found: `uid` tells it from a later one of its name, `version` from a later state."""

    ref: Ref
    uid: str
    version: str


def check_protected(access: KubernetesAccess, ref: Ref) -> None:
    """Raise Rejected (`refused`) when the settings protect this object, or the namespace it is in."""
    namespace = ref.name if ref.kind == NAMESPACE else ref.namespace
    if namespace and _fits(namespace, access.protected_namespaces):
        message = f"{ref} is in a protected namespace (`actions.kubernetes.protected_namespaces`); nothing was changed"
        raise Rejected(message, kind="refused")
    written = "/".join(part for part in (ref.kind.plural, ref.namespace, ref.name) if part)
    if _fits(written, access.protected):
        message = f"{written} is protected (`actions.kubernetes.protected`); nothing was changed"
        raise Rejected(message, kind="refused")


async def resolve(
    where: Cluster,
    kind: Kind,
    namespace: str | None = None,
    *,
    name: str | None = None,
    selector: str | None = None,
    most: int | None = None,
) -> tuple[Target, ...]:
    """The objects a write is about, by name or by selector, sorted by name; None of `most`: the settings' limit.

    Raises Rejected: `invalid` unless exactly one of name and selector is given, `not_found` for none, `refused`
    for too many and for protected ones.
    """
    if (name is None) == (selector is None):
        raise Rejected("give either a name or a `selector`", kind="invalid")
    if name is not None:
        ref = kind.at(namespace, name)
        check_protected(where.access, ref)
        return (_target(ref, await where.get(ref)),)
    limit = min(most or where.access.max_targets, where.access.max_targets)
    targets: list[Target] = []
    async for item in where.each(kind, namespace, labels=selector):
        metadata = item["metadata"]
        targets.append(_target(kind.at(metadata.get("namespace"), metadata["name"]), item))
        if len(targets) > limit:
            break
    _check_count(targets, limit, f"{kind.at(namespace)} with {selector!r}")
    for target in targets:
        check_protected(where.access, target.ref)
    return tuple(sorted(targets, key=lambda one: (one.ref.namespace or "", one.ref.name or "")))


def _check_count(targets: Sequence[Target], limit: int, what: str) -> None:
    if not targets:
        raise Rejected(f"there are no {what}; nothing was changed", kind="not_found")
    if len(targets) > limit:
        message = (
            f"there are more than {limit} {what}; nothing was changed. "
            "Choose fewer, or raise `actions.kubernetes.max_targets`"
        )
        raise Rejected(message, kind="refused")


def _target(ref: Ref, found: Json) -> Target:
    metadata = found["metadata"]
    return Target(ref, metadata.get("uid", ""), metadata.get("resourceVersion", ""))


def _fits(text: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)
