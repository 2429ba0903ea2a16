"""What loaded rules and playbooks mean and the settings do not have: each such call or message would fail.

`runbookd check` takes it for a problem; the service says it as a warning and begins, as everything else works.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from runbookd.actions.catalogue import ActionCatalogue
from runbookd.actions.config import ActionsConfig
from runbookd.actions.kubernetes.kubeconfig import fault_of_default
from runbookd.actions.kubernetes.naming import fault_of_name
from runbookd.errors import Problem
from runbookd.language.fuzzy import did_you_mean
from runbookd.model.library import Library
from runbookd.reports.addressed import contacts, reaches
from runbookd.reports.possible_calls import possible_calls

_CLUSTERED = frozenset({"certmanager", "kubernetes", "velero"})
"""The first words of actions that ask a cluster."""


def unmet(
    library: Library, catalogue: ActionCatalogue, settings: ActionsConfig, kubeconfig: str
) -> list[Problem]:
    """Return the clusters and webhooks that are meant and not there, each at its place in the content.

    `kubeconfig` is what `$KUBECONFIG` holds: if that leads to no file, the first call that would sign in by it.
    """
    return [
        *_clusters(library, catalogue, settings.kubernetes.clusters),
        *_webhooks(library, settings.webhooks),
        *_default_kubeconfig(library, fault_of_default(settings.kubernetes, kubeconfig)),
    ]


def _default_kubeconfig(library: Library, fault: str | None) -> Iterator[Problem]:
    calls = possible_calls(library) if fault is not None else ()
    for call in calls:
        if call.action.partition(".")[0] in _CLUSTERED:
            message = f"playbook {call.playbook}: {call.action} would be refused: $KUBECONFIG: {fault}"
            yield library.problem(f"playbook:{call.playbook}", message)
            return


def _clusters(library: Library, catalogue: ActionCatalogue, names: Collection[str]) -> list[Problem]:
    """Return the playbooks whose calls mean no cluster of the settings."""
    found: dict[str, Problem] = {}
    for call in possible_calls(library):
        if "cluster" in call.open or "cluster" not in catalogue.params(call.action).model_fields:
            continue
        name = call.known.get("cluster")
        fault = fault_of_name(names, None if name is None else str(name))
        if fault is not None and call.playbook not in found:
            message = f"playbook {call.playbook}: {call.action} would be refused: {fault}"
            found[call.playbook] = library.problem(f"playbook:{call.playbook}", message)
    return list(found.values())


def _webhooks(library: Library, known: Collection[str]) -> Iterator[Problem]:
    """Yield the roles, levels and announcements that name a webhook the settings do not have."""
    for place, name in _webhooks_named(library):
        if name not in known:
            message = f"there is no webhook {name!r} in `actions.webhooks` of the settings.{did_you_mean(name, known)}"
            yield library.problem(place, message)


def _webhooks_named(library: Library) -> Iterator[tuple[str, str]]:
    for name, contact in contacts(library):
        if contact.webhook is not None:
            yield f"role:{name}", contact.webhook
    for place, reach in reaches(library):
        kind, _, webhook = reach.partition(":")
        if kind == "webhook":
            yield place, webhook
