"""What the inside asks of the world: a clock, ids, secrets, and someone who carries out actions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from pydantic import BaseModel

    from runbookd.model.action import Call, Outcome, Probed, Repeat, Spec


Trouble: TypeAlias = "Callable[[str | None], None]"
"""Is told what is wrong; None when nothing is."""


class Clock(Protocol):
    """Time. The only source of `now`; in tests it is set."""

    def now(self) -> datetime:
        """Return the time as an aware UTC datetime."""
        ...


class Ids(Protocol):
    """Names for new things."""

    def new(self, prefix: str) -> str:
        """Return `prefix-` and 26 characters that sort by time of making and never repeat (a ULID)."""
        ...


class Secrets(Protocol):
    """Where `${secret.NAME}` comes from."""

    def get(self, name: str) -> str:
        """Return the secret. Raises NotFound when it is not set; the message holds the name, never a value."""
        ...


class Performer(Protocol):
    """Carries out calls of actions. Never raises for a fault of an action: that is an Outcome."""

    def spec(self, action: str) -> Spec | None:
        """What the action declares; None when there is no such action."""
        ...

    def mutates(self, action: str, params: Mapping[str, object]) -> bool:
        """Whether this call changes anything; unknown is yes."""
        ...

    def repeat(self, action: str, params: Mapping[str, object]) -> Repeat:
        """What a crash between this call and its answer allows; unknown is never."""
        ...

    async def perform(self, call: Call) -> Outcome:
        """Make one attempt."""
        ...

    async def probe(self, call: Call) -> tuple[Probed, Outcome | None]:
        """Ask whether a call in doubt took effect; the outcome it would have had when it did and that is known."""
        ...

    async def undo(self, call: Call, output: Mapping[str, object]) -> Outcome:
        """Reverse a call that succeeded with this output. `call.path` and `call.key` are those of the undo itself."""
        ...


class Catalogue(Protocol):
    """The actions there are, for those who check content or show it."""

    def names(self) -> Sequence[str]:
        """Every action's name, sorted."""
        ...

    def spec(self, action: str) -> Spec | None:
        """What the action declares; None when there is no such action."""
        ...

    def params(self, action: str) -> type[BaseModel]:
        """The model of its `with:`. Raises NotFound."""
        ...

    def result(self, action: str) -> type[BaseModel]:
        """The model of its result. Raises NotFound."""
        ...

    def mutates(self, action: str, params: Mapping[str, object]) -> bool:
        """Whether this call changes anything; unknown is yes."""
        ...
