"""Hands for tests: a performer of made-up actions whose outcomes are told beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from runbookd.model.action import (
    Call,
    Failure,
    Mode,
    Outcome,
    OutcomeState,
    Probed,
    Repeat,
    Spec,
)

Word = Literal["ok", "failed", "temporary", "doubt"]
WORDS: tuple[Word, ...] = ("ok", "failed", "temporary", "doubt")
PROBES = tuple(Probed)


def _spec(name: str, *, mutates: bool, repeat: Repeat, undoable: bool = False) -> Spec:
    return Spec(
        name=name,
        summary="",
        mutates=mutates,
        repeat=repeat,
        undo="",
        timeout=timedelta(seconds=10),
        example={},
        undoable=undoable,
    )


SPECS = {
    spec.name: spec
    for spec in (
        _spec("hand.look", mutates=False, repeat=Repeat.SAFE),
        _spec("hand.set", mutates=True, repeat=Repeat.SAFE, undoable=True),
        _spec("hand.turn", mutates=True, repeat=Repeat.PROBE),
        _spec("hand.throw", mutates=True, repeat=Repeat.NEVER),
    )
}


@dataclass(slots=True)
class Hands:
    """`ports.Performer` whose calls come to what `words` and `probes` say, in their order, and then to good ends."""

    words: Iterator[Word]
    probes: Iterator[Probed]
    calls: list[Call] = field(default_factory=list)

    def spec(self, action: str) -> Spec | None:
        """What the action declares."""
        return SPECS.get(action)

    def mutates(self, action: str, params: Mapping[str, object]) -> bool:
        """Whether this call changes anything; unknown is yes."""
        return action not in SPECS or SPECS[action].mutates

    def repeat(self, action: str, params: Mapping[str, object]) -> Repeat:
        """What a crash allows; unknown is never."""
        return SPECS[action].repeat if action in SPECS else Repeat.NEVER

    async def perform(self, call: Call) -> Outcome:
        """Come to the next outcome; in observe mode nothing is changed."""
        self.calls.append(call)
        if call.mode is Mode.OBSERVE and self.mutates(call.action, call.params):
            told = Failure(kind="observed", message="observe mode changes nothing")
            return Outcome(state=OutcomeState.SKIPPED, failure=told)
        return self._next(call)

    async def probe(self, call: Call) -> tuple[Probed, Outcome | None]:
        """Answer as told."""
        return next(self.probes, Probed.DONE), None

    async def undo(self, call: Call, output: Mapping[str, object]) -> Outcome:
        """Come to the next outcome."""
        self.calls.append(call)
        return self._next(call)

    def _next(self, call: Call) -> Outcome:
        word = next(self.words, "ok")
        if word == "ok":
            return Outcome(state=OutcomeState.SUCCEEDED, output={"value": 1})
        temporary = word != "failed"
        doubtful = word == "doubt" and self.mutates(call.action, call.params)
        return Outcome(
            state=OutcomeState.IN_DOUBT if doubtful else OutcomeState.FAILED,
            failure=Failure(kind=word, message=f"told to be {word}", temporary=temporary),
        )
