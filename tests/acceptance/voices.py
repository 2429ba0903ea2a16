"""Channels for tests: a performer that keeps what it is asked to send, and when, and fails as told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from runbookd.model.action import Call, Failure, Outcome, OutcomeState, Probed, Repeat, Spec
from runbookd.ports import Clock


@dataclass(slots=True)
class Voices:
    """`ports.Performer` of the channels' actions. `failing` has, by the start of an action's name, the failures to come."""

    clock: Clock | None = None
    sent: list[tuple[datetime | None, Call]] = field(default_factory=list)
    failing: dict[str, list[Failure]] = field(default_factory=dict)

    def spec(self, action: str) -> Spec | None:
        """Any action is known."""
        return Spec(
            name=action,
            summary="",
            mutates=True,
            repeat=Repeat.SAFE,
            undo="",
            timeout=timedelta(seconds=5),
            example={},
        )

    def mutates(self, action: str, params: Mapping[str, object]) -> bool:
        """Each changes something."""
        return True

    def repeat(self, action: str, params: Mapping[str, object]) -> Repeat:
        """Each may be sent again."""
        return Repeat.SAFE

    async def perform(self, call: Call) -> Outcome:
        """Keep it, or fail as told."""
        for begins, failures in self.failing.items():
            if call.action.startswith(begins) and failures:
                return Outcome(state=OutcomeState.FAILED, failure=failures.pop(0))
        self.sent.append((self.clock.now() if self.clock is not None else None, call))
        return Outcome(
            state=OutcomeState.SUCCEEDED, output={"ts": f"{len(self.sent)}.0", "channel": "C1", "name": "incident-x"}
        )

    async def probe(self, call: Call) -> tuple[Probed, Outcome | None]:
        """Nobody asks."""
        return Probed.NOT_DONE, None

    async def undo(self, call: Call, output: Mapping[str, object]) -> Outcome:
        """Nobody asks."""
        raise NotImplementedError
