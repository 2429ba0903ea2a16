"""The actions there are: the shipped providers, and packages that register more under `runbookd.actions`.

A third party's entry point in that group names one Action or a sequence of them. Two actions of one name, or a
package that does not import, stop the service at its start.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import cached_property
from importlib.metadata import entry_points
from typing import Any

from pydantic import BaseModel

from runbookd.actions import base
from runbookd.actions.base import Action, AnyAction
from runbookd.actions.config import ActionsConfig
from runbookd.errors import NotFound, SettingsError
from runbookd.language.fuzzy import did_you_mean
from runbookd.model.action import Repeat, Spec

ENTRY_POINTS = "runbookd.actions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """One action as the reference page and `runbookd actions` show it.

    `mutates` and `repeat` are `depends` where the parameters decide. `about` is the text of the action's file: what
    changes in the world, how it is undone, the vendor's page. `params` and `result` are JSON Schemas (2020-12).
    """

    name: str
    summary: str
    about: str
    mutates: str
    repeat: str
    undo: str
    undoable: bool
    timeout: timedelta
    permissions: tuple[Mapping[str, object], ...]
    example: Mapping[str, object]
    params: Mapping[str, Any]
    result: Mapping[str, Any]


class ActionCatalogue:
    """`ports.Catalogue` over the shipped and the registered actions; nothing is imported before it is first asked."""

    def __init__(self, config: ActionsConfig | None = None) -> None:
        self.config = ActionsConfig() if config is None else config

    @cached_property
    def actions(self) -> Mapping[str, AnyAction]:
        """Every action by name, sorted; raises SettingsError when two share one."""
        return collect((*_shipped(), *_registered()))

    def find(self, action: str) -> AnyAction | None:
        """The action, or None when there is none by that name."""
        return self.actions.get(action)

    def names(self) -> Sequence[str]:
        """Every action's name, sorted."""
        return tuple(self.actions)

    def spec(self, action: str) -> Spec | None:
        """What the action declares; None when there is no such action."""
        found = self.find(action)
        return found.spec if found else None

    def params(self, action: str) -> type[BaseModel]:
        """The model of its `with:`. Raises NotFound."""
        return self._get(action).params

    def result(self, action: str) -> type[BaseModel]:
        """The model of its result. Raises NotFound."""
        return self._get(action).result

    def mutates(self, action: str, params: Mapping[str, object]) -> bool:
        """Whether this call, its parameters rendered or not, changes anything; unknown is yes."""
        found = self.find(action)
        return found is None or base.mutates(found, params, self.config)

    def repeat(self, action: str, params: Mapping[str, object]) -> Repeat:
        """What a crash between this call and its answer allows; unknown is never."""
        found = self.find(action)
        return Repeat.NEVER if found is None else base.repeats(found, params, self.config)

    def describe(self) -> Sequence[Description]:
        """Every action, sorted by name, as data for people and for the reference page."""
        return tuple(_described(action) for action in self.actions.values())

    def _get(self, action: str) -> AnyAction:
        found = self.find(action)
        if found is None:
            raise NotFound(unknown(action, self.actions))
        return found


def unknown(action: str, known: Iterable[str]) -> str:
    """What to tell somebody who names an action that is not there."""
    return f"there is no action {action!r}.{did_you_mean(action, known)} `runbookd actions` lists all"


def collect(actions: Iterable[AnyAction]) -> Mapping[str, AnyAction]:
    """The actions by name, sorted; raises SettingsError when two share one."""
    found: dict[str, AnyAction] = {}
    for action in actions:
        name = action.spec.name
        if name in found:
            places = " and ".join(sorted({found[name].run.__module__, action.run.__module__}))
            raise SettingsError(f"two actions are named {name!r} (in {places}); remove or rename one")
        found[name] = action
    return dict(sorted(found.items()))


def _shipped() -> Sequence[AnyAction]:
    """The actions of the providers in this folder."""
    from runbookd.actions import (
        alertmanager,
        certmanager,
        command,
        email,
        evidence,
        flow,
        http,
        kubernetes,
        pagerduty,
        prometheus,
        slack,
        statuspage,
        tls,
        velero,
        webhook,
    )

    return (
        *alertmanager.ACTIONS,
        *certmanager.ACTIONS,
        *command.ACTIONS,
        *email.ACTIONS,
        *evidence.ACTIONS,
        *flow.ACTIONS,
        *http.ACTIONS,
        *kubernetes.ACTIONS,
        *pagerduty.ACTIONS,
        *prometheus.ACTIONS,
        *slack.ACTIONS,
        *statuspage.ACTIONS,
        *tls.ACTIONS,
        *velero.ACTIONS,
        *webhook.ACTIONS,
    )


def _registered() -> Iterable[AnyAction]:
    """The actions of installed third-party packages."""
    for entry in entry_points(group=ENTRY_POINTS):
        try:
            offered = entry.load()
        except (ImportError, AttributeError) as error:
            message = f"the actions of {entry.value!r} (entry point {entry.name!r}) do not import: {error}"
            raise SettingsError(message) from error
        yield from (offered,) if isinstance(offered, Action) else offered


def _described(action: AnyAction) -> Description:
    spec = action.spec
    return Description(
        name=spec.name,
        summary=spec.summary,
        about=sys.modules[action.run.__module__].__doc__ or "",
        mutates="depends" if action.mutates else "yes" if spec.mutates else "no",
        repeat="depends" if action.repeats else spec.repeat.value,
        undo=spec.undo,
        undoable=spec.undoable,
        timeout=spec.timeout,
        permissions=tuple(asdict(permission) for permission in spec.permissions),
        example=spec.example,
        params=action.params.model_json_schema(),
        result=action.result.model_json_schema(mode="serialization"),
    )
