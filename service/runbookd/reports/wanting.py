"""What messages and remedies want that neither the settings nor this machine have: each would be refused.

Told once for each thing that is missing, with the first who wants it. Of remedies only those count that rules in act
mode and schedules run, without their evidence: what those cannot have keeps no help from anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from runbookd.actions.config import ActionsConfig
from runbookd.actions.failures import Rejected
from runbookd.actions.kubernetes.kubeconfig import fault_of_none
from runbookd.actions.servers import choose
from runbookd.errors import NotFound, Problem
from runbookd.language.render import compile_template
from runbookd.model.library import Library
from runbookd.model.people import Contact
from runbookd.ports import Secrets
from runbookd.reports.addressed import contacts, reaches
from runbookd.reports.possible_calls import PossibleCall, remedial_calls


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """What this machine has. `kubeconfig` is what `$KUBECONFIG` holds, "" for nothing."""

    kubeconfig: str
    secrets: Secrets


Fault = str | None
"""Why something would be refused, and what to do; None when it would not."""


def wanting(library: Library, settings: ActionsConfig, here: Here) -> list[Problem]:
    """Return what is missing, each at the first place in the content that wants it."""
    found: dict[str, list[tuple[str, str]]] = {}
    for place, who, fault in (*_messages(library, settings, here), *_calls(library, settings, here)):
        if fault is not None and (place, who) not in found.setdefault(fault, []):
            found[fault].append((place, who))
    return [
        library.problem(wants[0][0], f"{wants[0][1]} would be refused{_more(wants)}: {fault}")
        for fault, wants in found.items()
    ]


def _more(wants: list[tuple[str, str]]) -> str:
    return f" (and {len(wants) - 1} more)" if len(wants) > 1 else ""


def _messages(library: Library, settings: ActionsConfig, here: Here) -> Iterator[tuple[str, str, Fault]]:
    """Yield every way to people: the place that names it, who would be told, and why they would not."""
    ways: dict[str, Fault] = {name: fault(settings, here) for name, fault in _WAYS.items()}
    for name, contact in contacts(library):
        for fault in _of_contact(contact, ways, here):
            yield f"role:{name}", f"a message to role {name}", fault
    for place, reach in reaches(library):
        yield place, f"a message to {reach}", ways.get(reach.partition(":")[0] if ":" in reach else "")
    for name, priority in library.priorities.items():
        if priority.channel:
            yield f"priority:{name}", f"the channel of an incident of {name}", ways["slack"]


def _of_contact(contact: Contact, ways: Mapping[str, Fault], here: Here) -> Iterator[Fault]:
    if contact.slack is not None:
        yield ways["slack"]
    if contact.email is not None:
        yield ways["email"]
    if contact.pagerduty is not None and contact.pagerduty.schedule is not None:
        yield ways["email"] or ways["schedule"]
    if contact.pagerduty is not None and contact.pagerduty.service_key is not None:
        for word, *name in sorted(compile_template(contact.pagerduty.service_key).references):
            if word == "secret" and name:
                yield _secret(name[0], here)


def _calls(library: Library, settings: ActionsConfig, here: Here) -> Iterator[tuple[str, str, Fault]]:
    """Yield every call of a remedy whose action needs something of the settings."""
    for call in remedial_calls(library):
        fault = _NEEDS.get(call.action.partition(".")[0])
        if fault is not None:
            place = f"playbook:{call.playbook}"
            yield place, f"playbook {call.playbook}: {call.action}", fault(call, settings, here)


def _secret(name: str | None, here: Here) -> Fault:
    try:
        if name is not None:
            here.secrets.get(name)
    except NotFound as error:
        return str(error)
    return None


def _mail(settings: ActionsConfig, here: Here) -> Fault:
    if settings.email is None:
        return "the settings have no mail server; set `actions.email`"
    return _secret(settings.email.password_secret, here)


def _slack(settings: ActionsConfig, here: Here) -> Fault:
    return _secret(settings.slack.token_secret, here)


def _schedule(settings: ActionsConfig, here: Here) -> Fault:
    if settings.pagerduty.token_secret is None:
        return "who is on call cannot be asked; set `actions.pagerduty.token_secret` to the secret with a REST API key"
    return _secret(settings.pagerduty.token_secret, here)


_WAYS: Mapping[str, Callable[[ActionsConfig, Here], Fault]] = {
    "email": _mail,
    "schedule": _schedule,
    "slack": _slack,
}
"""By the way to somebody: why nobody is reached by it. The status page needs nothing: it is this service's as well."""


def _server(setting: str) -> Callable[[PossibleCall, ActionsConfig, Here], Fault]:
    """Look for the server that a call names, among those of a setting."""

    def fault(call: PossibleCall, settings: ActionsConfig, here: Here) -> Fault:
        del here
        servers = getattr(settings, setting)
        name = call.known.get("server")
        if "server" in call.open and servers:
            return None
        try:
            choose(servers, None if name is None else str(name), f"actions.{setting}")
        except Rejected as error:
            return str(error)
        return None

    return fault


def _cluster(call: PossibleCall, settings: ActionsConfig, here: Here) -> Fault:
    del call
    return fault_of_none(settings.kubernetes, here.kubeconfig)


_NEEDS: Mapping[str, Callable[[PossibleCall, ActionsConfig, Here], Fault]] = {
    "alertmanager": _server("alertmanagers"),
    "certmanager": _cluster,
    "email": lambda _, settings, here: _mail(settings, here),
    "kubernetes": _cluster,
    "prometheus": _server("prometheus"),
    "slack": lambda _, settings, here: _slack(settings, here),
    "velero": _cluster,
}
"""By the first word of an action: why its call would be refused."""
