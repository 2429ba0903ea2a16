"""A catalogue of a few actions, enough to check content against without the real providers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from runbookd.errors import NotFound
from runbookd.model.action import Repeat, Spec
from runbookd.model.base import Duration


class Strict(BaseModel):
    """What takes no key it does not know."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Workload(Strict):
    """A Deployment."""

    namespace: str
    deployment: str
    to_revision: int | None = None


class Logs(Strict):
    """Whose logs, and how many."""

    namespace: str
    selector: str
    tail: int = Field(default=100, ge=1, le=10_000)


class Expectation(Strict):
    """What an answer must be."""

    status: int | str = 200
    json_: dict[str, Any] = Field(default_factory=dict, alias="json")


class Http(Strict):
    """One request."""

    method: Literal["GET", "POST"] = "GET"
    url: str = Field(pattern="^https?://")
    expect_status: int | str = 200
    every: Duration | None = None
    probe: Expectation | None = None


class History(BaseModel):
    """The revisions of a Deployment."""

    changed_ago: Duration
    last_good: int | None = None


class Answer(BaseModel):
    """An answer."""

    status: int
    json_: dict[str, Any] = Field(alias="json")


class Nothing(BaseModel):
    """No result."""


class Anything(BaseModel):
    """A result with any fields."""

    model_config = ConfigDict(extra="allow")


ACTIONS: Mapping[str, tuple[type[BaseModel], type[BaseModel], bool, bool]] = {
    "flow.log": (create_model("Log", __base__=Strict, message=(str, ...)), Nothing, False, False),
    "http.check": (Http, Answer, False, False),
    "http.request": (Http, Answer, True, False),
    "kubernetes.list": (create_model("List", __base__=Strict, namespace=(str, ...)), Anything, False, False),
    "kubernetes.logs": (Logs, Nothing, False, False),
    "kubernetes.rollout_history": (Workload, History, False, False),
    "kubernetes.rollout_restart": (Workload, Nothing, True, False),
    "kubernetes.rollout_status": (Workload, Nothing, False, False),
    "kubernetes.rollout_undo": (Workload, Nothing, True, True),
}
"""Parameters, result, whether it changes anything, whether it can be undone."""


class FakeCatalogue:
    """`ports.Catalogue` over ACTIONS."""

    def names(self) -> Sequence[str]:
        """Every name."""
        return tuple(ACTIONS)

    def spec(self, action: str) -> Spec | None:
        """What it declares."""
        if action not in ACTIONS:
            return None
        return Spec(
            name=action,
            summary=action,
            mutates=ACTIONS[action][2],
            repeat=Repeat.SAFE,
            undo="",
            timeout=timedelta(seconds=30),
            example={},
            undoable=ACTIONS[action][3],
        )

    def params(self, action: str) -> type[BaseModel]:
        """Its `with`."""
        return self._get(action)[0]

    def result(self, action: str) -> type[BaseModel]:
        """Its result."""
        return self._get(action)[1]

    def mutates(self, action: str, params: Mapping[str, object]) -> bool:
        """By name, but for a request, whose method decides."""
        if action == "http.request":
            return params.get("method", "GET") != "GET"
        return action not in ACTIONS or ACTIONS[action][2]

    def repeat(self, action: str, params: Mapping[str, object]) -> Repeat:
        """Everything may be repeated."""
        return Repeat.SAFE

    def _get(self, action: str) -> tuple[type[BaseModel], type[BaseModel], bool, bool]:
        if action not in ACTIONS:
            raise NotFound(action)
        return ACTIONS[action]
