"""Channels for tests: a performer that keeps what it is asked to send, and when, and fails as told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from runbookd.language.values import canonical_json, encode
from runbookd.model.action import Call, Failure, Outcome, OutcomeState, Probed, Repeat, Spec
from runbookd.ports import Clock

DEAF = Failure(kind="not_found", message="nobody is there")
BUSY = Failure(kind="unavailable", message="not now", temporary=True)
NOT_NOW = Outcome(state=OutcomeState.FAILED, failure=BUSY)
DOUBT = Outcome(
    state=OutcomeState.IN_DOUBT,
    failure=Failure(kind="timeout", message="no answer came", temporary=True),
)


class Killed(BaseException):
    """The process dies in the middle of a call."""


@dataclass(slots=True)
class Voices:
    """`ports.Performer` of the channels' actions.

    `sent` is what got through, `tried` every call. `failing` has, by the start of an action's name, the failures to
    come; `coming` has outcomes of whatever is called next, and Killed for a crash after the call got through. Whoever
    an address in `deaf` belongs to is never reached. `meanwhile` happens while a call is under way.
    """

    clock: Clock | None = None
    sent: list[tuple[datetime | None, Call]] = field(default_factory=list)
    failing: dict[str, list[Failure]] = field(default_factory=dict)
    coming: list[Outcome | type[Killed] | None] = field(default_factory=list)
    deaf: set[str] = field(default_factory=set)
    meanwhile: Callable[[Call], Awaitable[None]] | None = None
    repeats: Repeat = Repeat.SAFE
    probed: Probed = Probed.NOT_DONE
    tried: list[Call] = field(default_factory=list)
    probes: list[Call] = field(default_factory=list)

    def spec(self, action: str) -> Spec | None:
        """Any action is known."""
        return Spec(
            name=action,
            summary="",
            mutates=True,
            repeat=self.repeats,
            undo="",
            timeout=timedelta(seconds=5),
            example={},
        )

    def mutates(self, action: str, params: Mapping[str, object]) -> bool:
        """Each changes something."""
        return True

    def repeat(self, action: str, params: Mapping[str, object]) -> Repeat:
        """Each may be sent again, unless told otherwise."""
        return self.repeats

    async def perform(self, call: Call) -> Outcome:
        """Keep it, or fail as told."""
        self.tried.append(call)
        if self.meanwhile is not None:
            await self.meanwhile(call)
        coming = self.coming.pop(0) if self.coming else None
        if isinstance(coming, Outcome):
            return coming
        if any(each in canonical_json(encode(call.params)) for each in self.deaf):
            return Outcome(state=OutcomeState.FAILED, failure=DEAF)
        for begins, failures in self.failing.items():
            if call.action.startswith(begins) and failures:
                return Outcome(state=OutcomeState.FAILED, failure=failures.pop(0))
        self.sent.append((self.clock.now() if self.clock is not None else None, call))
        if coming is not None:
            raise coming
        return self._well()

    async def probe(self, call: Call) -> tuple[Probed, Outcome | None]:
        """Answer as told."""
        self.probes.append(call)
        return self.probed, self._well() if self.probed is Probed.DONE else None

    async def undo(self, call: Call, output: Mapping[str, object]) -> Outcome:
        """Nobody asks."""
        raise NotImplementedError

    def _well(self) -> Outcome:
        return Outcome(
            state=OutcomeState.SUCCEEDED,
            output={"ts": f"{len(self.sent)}.0", "channel": "C1", "name": "incident-x"},
        )
