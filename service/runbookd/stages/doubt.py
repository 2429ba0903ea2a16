"""A call in doubt, told to the person who has to look: what it was about, and what to do now.

What a call is about is read from its parameters, and for objects of Kubernetes from the rights its action declares:
the right to change something names the resource, a parameter called like the resource the object.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from runbookd.language.values import SecretText
from runbookd.model.reasons import StepReason
from runbookd.model.run import StepRecord, StepState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runbookd.model.action import Spec

_CHANGES = frozenset({"create", "update", "patch", "delete"})
"""The verbs of RBAC that change something."""
_HIDDEN = "***"
_LONGEST = 200
"""Characters told of one parameter."""


def about(action: str, spec: Spec | None, params: Mapping[str, object]) -> str:
    """Name a call and its object: `kubernetes.scale of deployments/shop/backend in cluster 'blue'`.

    Only the action's name where its parameters tell nothing. `spec` is None for an unknown action.
    """
    found = subject(spec, params)
    return f"{action} of {found}" if found else action


def subject(spec: Spec | None, params: Mapping[str, object]) -> str:
    """Name what a call with these rendered parameters is about; "" when they do not tell.

    An object of Kubernetes as `deployments/shop/backend`, a URL without what may be secret in it (user, password,
    query), a command by its name, anything else by its short parameters.
    """
    found = _object(spec, params)
    if found:
        cluster = _text(params.get("cluster"))
        return f"{found} in cluster {cluster!r}" if cluster else found
    if url := _text(params.get("url")):
        return _without_secrets(url)
    if command := _text(params.get("command")):
        return f"the command {command!r}"
    return ", ".join(f"{name}={text}" for name, value in params.items() if (text := _text(value)))[:_LONGEST]


def cut_off(row: StepRecord, spec: Spec | None) -> StepRecord:
    """Return an intent of an older claim as what it is: a call whose answer nobody heard."""
    message = f"{about(row.action or row.path, spec, row.params)}: cut off before an answer"
    return replace(row, state=StepState.IN_DOUBT, reason=StepReason.INTERRUPTED, message=message)


def left_to_a_person(row: StepRecord, why: str, spec: Spec | None, playbook: str) -> str:
    """Say of a call that may have happened why it is left, where a person looks, and what to do then."""
    place = subject(spec, row.params) or f"what {row.action} changes"
    if row.path.startswith("undo/"):
        then = "if the undo did not happen, undo it by hand"
    else:
        again = f"`runbookd run {playbook}` with the same inputs does it anew"
        then = f"if it took effect, go on from there by hand; if not, {again}"
    return f"{row.message or 'no answer'}; {why}. Look at {place}: {then}"


def _object(spec: Spec | None, params: Mapping[str, object]) -> str:
    """The object of Kubernetes a call changes, else one it reads; "" when there is none."""
    rules = (
        [each.rule for each in spec.permissions if each.system == "kubernetes"] if spec is not None else []
    )
    changing = [rule for rule in rules if _CHANGES & set(_texts(rule.get("verbs")))]
    for rule in (*changing, *rules):
        when = rule.get("when")
        if when is not None and params.get(str(when)) is None:
            continue
        kinds = (
            [_text(params.get(str(rule["kindFrom"])))]
            if "kindFrom" in rule
            else _texts(rule.get("resources"))
        )
        for kind in kinds:
            if found := _named(kind.partition("/")[0].partition(".")[0], params):
                return found
    return ""


def _named(kind: str, params: Mapping[str, object]) -> str:
    """The object, or objects, of a kind (its plural) that the parameters name; "" when they name none."""
    namespace = _text(params.get("velero_namespace")) or _text(params.get("namespace"))
    own = next((name for name in params if _is_called_like(name, kind)), "name")
    if name := _text(params.get(own)):
        return "/".join(part for part in (kind, namespace, name) if part)
    if selector := _text(params.get("selector")):
        return f"{kind} in {namespace or 'all namespaces'} with {selector}"
    return ""


def _is_called_like(parameter: str, kind: str) -> bool:
    """Whether a parameter is the singular of a kind's plural: `deployment`, `ingress`, `cron_job`."""
    word = parameter.replace("_", "")
    return kind in {f"{word}s", f"{word}es"}


def _without_secrets(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"[:_LONGEST] if host else ""


def _text(value: object) -> str:
    """A parameter as text, secrets hidden; "" for what has no short one."""
    if isinstance(value, SecretText):
        return "".join(part if isinstance(part, str) else _HIDDEN for part in value.parts)[:_LONGEST]
    if isinstance(value, bool | int | float):
        return str(value)
    return value[:_LONGEST] if isinstance(value, str) else ""


def _texts(value: object) -> Sequence[str]:
    return [str(each) for each in value] if isinstance(value, list | tuple) else []
