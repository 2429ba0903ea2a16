"""What `runbookd check` holds against the settings: what they name, and what the content needs of them."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from runbookd.errors import Problem

if TYPE_CHECKING:
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
    """Return what the content means and the settings do not have, or what the settings leave to a file not there."""
    from runbookd.reports.unmet import unmet
    from runbookd.runtime.surroundings import kubeconfig

    return unmet(library, shared.catalogue(), shared.settings().actions, kubeconfig())


def wanting_here(shared: Shared, library: Library) -> list[Problem]:
    """Return what messages and remedies want and is not here, if settings are; the content may be run elsewhere."""
    from runbookd.reports.wanting import Here, wanting
    from runbookd.runtime.secrets import FilesAndEnvironment
    from runbookd.runtime.surroundings import kubeconfig

    settings = shared.settings()
    if shared.config is None and "actions" not in settings.model_fields_set:
        return []
    secrets = FilesAndEnvironment(settings.secrets_folder)
    return wanting(library, settings.actions, Here(kubeconfig=kubeconfig(), secrets=secrets))


def missing_extras(library: Library) -> list[Problem]:
    """Return the extras that actions or roles need and that are not installed here, each with the first who needs it.

    Where the content is checked is not always where it is run.
    """
    from runbookd.reports.addressed import contacts
    from runbookd.reports.possible_calls import possible_calls

    needed: dict[str, tuple[str, str]] = {}
    for call in possible_calls(library):
        needed.setdefault(call.action.partition(".")[0], (f"playbook:{call.playbook}", call.action))
    for name, contact in contacts(library):
        for way in ("pagerduty", "slack"):
            if getattr(contact, way) is not None:
                needed.setdefault(way, (f"role:{name}", f"role {name}"))
    told: dict[str, Problem] = {}
    for way, (place, who) in needed.items():
        extra, package = _EXTRAS.get(way, ("", ""))
        if extra and extra not in told and find_spec(package) is None:
            message = f"{who} needs the extra `{extra}`, which is not installed here: pip install 'runbookd[{extra}]'"
            told[extra] = library.problem(place, message)
    return list(told.values())
