"""What `runbookd check` holds against the settings: what they name, and what the content needs of them."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from runbookd.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runbookd.cli.shared import Shared
    from runbookd.model.library import Library

_EXTRAS = {
    "certmanager": ("kubernetes", "kubernetes_asyncio"),
    "kubernetes": ("kubernetes", "kubernetes_asyncio"),
    "pagerduty": ("pagerduty", "pagerduty"),
    "slack": ("slack", "slack_sdk"),
    "velero": ("kubernetes", "kubernetes_asyncio"),
}
"""By the first word of an action: the extra it needs, and the package that it brings."""


def faults_of_settings(shared: Shared) -> list[Problem]:
    """Return what is wrong with the files the settings name; the service would not start with them."""
    from runbookd.actions.kubernetes.kubeconfig import faults

    where = str(shared.config or "environment")
    access = shared.settings().actions.kubernetes
    return [Problem(where, None, None, fault) for fault in faults(access)]


def unmet_by_settings(shared: Shared, library: Library) -> list[Problem]:
    """Return what the content means and the settings do not have; each such call or message would fail."""
    return [*_clusters(shared, library), *_webhooks(shared, library)]


def missing_extras(library: Library) -> list[Problem]:
    """Return the extras that actions or roles need and that are not installed here, each with the first who needs it.

    Where the content is checked is not always where it is run.
    """
    from runbookd.reports.possible_calls import possible_calls

    needed: dict[str, tuple[str, str]] = {}
    for call in possible_calls(library):
        needed.setdefault(call.action.partition(".")[0], (f"playbook:{call.playbook}", call.action))
    for name, role in library.roles.items():
        for contact in (role.primary, role.secondary):
            for way in ("pagerduty", "slack"):
                if contact is not None and getattr(contact, way) is not None:
                    needed.setdefault(way, (f"role:{name}", f"role {name}"))
    told: dict[str, Problem] = {}
    for way, (place, who) in needed.items():
        extra, package = _EXTRAS.get(way, ("", ""))
        if extra and extra not in told and find_spec(package) is None:
            message = f"{who} needs the extra `{extra}`, which is not installed here: pip install 'runbookd[{extra}]'"
            told[extra] = _at(library, place, message)
    return list(told.values())


def _clusters(shared: Shared, library: Library) -> list[Problem]:
    """Return the playbooks whose calls mean no cluster of the settings."""
    from runbookd.actions.kubernetes.naming import fault_of_name
    from runbookd.reports.possible_calls import possible_calls

    catalogue, names = shared.catalogue(), shared.settings().actions.kubernetes.clusters
    found: dict[str, Problem] = {}
    for call in possible_calls(library):
        if "cluster" in call.open or "cluster" not in catalogue.params(call.action).model_fields:
            continue
        name = call.known.get("cluster")
        fault = fault_of_name(names, None if name is None else str(name))
        if fault is not None and call.playbook not in found:
            message = f"playbook {call.playbook}: {call.action} would be refused: {fault}"
            found[call.playbook] = _at(library, f"playbook:{call.playbook}", message)
    return list(found.values())


def _webhooks(shared: Shared, library: Library) -> Iterator[Problem]:
    """Yield the roles, levels and announcements that name a webhook the settings do not have."""
    from runbookd.language.fuzzy import did_you_mean

    known = shared.settings().actions.webhooks
    for place, name in _webhooks_named(library):
        if name not in known:
            message = f"there is no webhook {name!r} in `actions.webhooks` of the settings.{did_you_mean(name, known)}"
            yield _at(library, place, message)


def _webhooks_named(library: Library) -> Iterator[tuple[str, str]]:
    for name, role in library.roles.items():
        for contact in (role.primary, role.secondary):
            if contact is not None and contact.webhook is not None:
                yield f"role:{name}", contact.webhook
    reaches = [(f"priority:{name}", priority.announce) for name, priority in library.priorities.items()]
    for name, policy in library.escalations.items():
        reaches += [(f"escalation:{name}", [*level.page, *level.notify]) for level in policy.root]
    for place, named in reaches:
        for reach in named:
            kind, _, webhook = reach.partition(":")
            if kind == "webhook":
                yield place, webhook


def _at(library: Library, place: str, message: str) -> Problem:
    file, _, line = library.places[place].rpartition(":")
    return Problem(file, int(line), None, message)
