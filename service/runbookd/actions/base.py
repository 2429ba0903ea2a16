"""What an action is, what it is given, and the one place where its exceptions become an Outcome.

An action is one file: docstring, `Params`, `Result`, `SPEC`, `run`, then `probe` if its repeat is probe and `undo`
if it has one, and `ACTION = Action(...)`. Its author knows two words, `TemporaryFailure` and `PermanentFailure`
(in `runbookd.actions.failures` they also exist with a `kind`); everything else that is raised is told apart here.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema

from runbookd.actions.config import ActionsConfig
from runbookd.actions.failures import NOT_UNDOABLE, CheckFailed, Rejected, Unavailable, failure_of_error
from runbookd.actions.secrecy import Disclosed
from runbookd.errors import ActionError, TemporaryFailure
from runbookd.model.action import Call, Failure, Mode, Outcome, OutcomeState, Piece, Probed, Repeat, Spec
from runbookd.ports import Clock, Secrets
from runbookd.stages.doubt import about

T = TypeVar("T")

AnyValue = Annotated[
    Any,
    WithJsonSchema({"type": ["null", "boolean", "number", "string", "array", "object"]}),
]
"""Any value of the language: what JSON knows, durations and timestamps."""


class Params(BaseModel):
    """Base of every action's `with:`; an unknown parameter is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True)


class Change(BaseModel):
    """The state of the target before and after a mutating call; None where it is not known."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    before: AnyValue = None
    after: AnyValue = None


class Result(BaseModel):
    """Base of every action's result. `change` is kept beside the output, not in it."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True)

    change: Change | None = Field(default=None, exclude=True)


P = TypeVar("P", bound=Params)
R = TypeVar("R", bound=Result)


class Shared:
    """What calls share and one performer owns: HTTP sessions and SDK clients, made at first use."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._made: dict[str, object] = {}
        self._lock = asyncio.Lock()

    async def get(self, key: str, make: Callable[[], AbstractAsyncContextManager[T]]) -> T:
        """The thing under this key; the first asker enters what `make` returns, `close` leaves it."""
        async with self._lock:
            if key not in self._made:
                self._made[key] = await self._stack.enter_async_context(make())
            return cast("T", self._made[key])

    async def close(self) -> None:
        """Leave everything that was entered, last first."""
        self._made.clear()
        await self._stack.aclose()


class Context:
    """What one call of an action may use besides its parameters.

    `sent` says whether a request that changes something has left: None as long as the action does not tell, in
    which case a break is taken for a doubt. `runbookd.actions.fetch` keeps it for everything that speaks HTTP.
    """

    def __init__(
        self, call: Call, config: ActionsConfig, clock: Clock, shared: Shared, secrets: Secrets
    ) -> None:
        self.call = call
        self.config = config
        self.sent: bool | None = None
        self.disclosed = Disclosed(secrets)
        self.pieces: list[Piece] = []
        self._clock = clock
        self._shared = shared
        self._begun = asyncio.get_running_loop().time()

    def patience(self) -> asyncio.Timeout:
        """Bound a wait so that a tenth of the attempt's time is left to tell how far it came."""
        return asyncio.timeout_at(self._begun + self.call.timeout.total_seconds() * 0.9)

    @property
    def mode(self) -> Mode:
        """Whether this call may change anything."""
        return self.call.mode

    def now(self) -> datetime:
        """The time, as an aware UTC datetime."""
        return self._clock.now()

    def secret(self, name: str) -> str:
        """A secret by name, wiped from all this call returns. Raises Rejected when it is not set."""
        return self.disclosed.get(name)

    def hide(self, text: str) -> None:
        """Wipe this text, made from a secret, from all this call returns."""
        self.disclosed.hide(text)

    def attach(self, name: str, media_type: str, content: bytes | str) -> None:
        """Keep evidence with the outcome, also when the call fails; text is written as UTF-8."""
        raw = content.encode("utf-8", "replace") if isinstance(content, str) else content
        self.pieces.append(Piece(name=name, media_type=media_type, content=raw))

    async def shared(self, key: str, make: Callable[[], AbstractAsyncContextManager[T]]) -> T:
        """A client all calls share (an SDK's, say), made at first use and closed with the performer."""
        return await self._shared.get(key, make)


@dataclass(frozen=True, slots=True, kw_only=True)
class Action(Generic[P, R]):
    """One thing runbookd can do.

    `run` does it. `probe` tells whether an earlier attempt at this call took effect, with the result it would have had
    if that is known. `undo` reverses a call that gave this result; it returns None when there is nothing to tell.
    `observe` is a dry run in place of `run` in observe mode; without it a mutating call is not made there.

    `mutates`, `repeats` decide for actions whose parameters do, and overrule SPEC. They see the parameters as
    written, perhaps with `${...}` still inside, and must take what they do not understand for the worse.
    """

    spec: Spec
    params: type[P]
    result: type[R]
    run: Callable[[P, Context], Awaitable[R]]
    probe: Callable[[P, Context], Awaitable[tuple[Probed, R | None]]] | None = None
    undo: Callable[[P, R, Context], Awaitable[R | None]] | None = None
    observe: Callable[[P, Context], Awaitable[R]] | None = None
    mutates: Callable[[Mapping[str, object], ActionsConfig], bool] | None = None
    repeats: Callable[[Mapping[str, object], ActionsConfig], Repeat] | None = None


AnyAction = Action[Any, Any]


def mutates(action: AnyAction, params: Mapping[str, object], config: ActionsConfig) -> bool:
    """Whether a call with these parameters, rendered or not, changes anything."""
    return action.spec.mutates if action.mutates is None else action.mutates(params, config)


def repeats(action: AnyAction, params: Mapping[str, object], config: ActionsConfig) -> Repeat:
    """What a crash between such a call and its answer allows."""
    return action.spec.repeat if action.repeats is None else action.repeats(params, config)


async def perform(action: AnyAction, context: Context) -> Outcome:
    """Run the action once, or its dry run in observe mode. Never raises but for cancellation."""
    changes = mutates(action, context.call.params, context.config)
    observing = changes and context.mode is Mode.OBSERVE
    if observing and action.observe is None:
        what = about(action.spec.name, action.spec, context.call.params)
        return _skipped(f"{what} was not called: observe mode changes nothing", "observed")
    work = action.observe if observing and action.observe is not None else action.run

    async def attempt() -> Outcome:
        return _succeeded(await work(_params(action, context), context))

    outcome = await _guarded(action, context, attempt, changes=changes and not observing)
    return replace(outcome, dry_run=observing)


async def probe(action: AnyAction, context: Context) -> tuple[Probed, Outcome | None]:
    """Ask whether the call took effect. A probe that fails itself is UNKNOWN, with its failure as the outcome."""
    if action.probe is None:
        return Probed.UNKNOWN, None
    ask, answer, known = action.probe, Probed.UNKNOWN, False

    async def attempt() -> Outcome:
        nonlocal answer, known
        answer, result = await ask(_params(action, context), context)
        known = result is not None
        return _succeeded(result)

    outcome = await _guarded(action, context, attempt, changes=False)
    if outcome.failure is not None:
        return Probed.UNKNOWN, outcome
    return answer, outcome if known else None


async def undo(action: AnyAction, context: Context, output: Mapping[str, object]) -> Outcome:
    """Reverse a call that succeeded with this output. Without an undo, or in observe mode, it is skipped."""
    if action.undo is None:
        return _skipped(f"{action.spec.name} cannot be undone: {action.spec.undo}", NOT_UNDOABLE)
    if context.mode is Mode.OBSERVE:
        return _skipped(f"{action.spec.name} was not undone: observe mode changes nothing", "observed")
    reverse = action.undo

    async def attempt() -> Outcome:
        # A step's `outputs:` are stored beside the result's own fields.
        own = {name: value for name, value in output.items() if name in _keys(action.result)}
        result = await reverse(_params(action, context), _validated(action.result, own, "output"), context)
        return _succeeded(result)

    outcome = await _guarded(action, context, attempt, changes=True)
    if outcome.failure is not None and outcome.failure.kind == NOT_UNDOABLE:
        return replace(outcome, state=OutcomeState.SKIPPED)
    return outcome


async def _guarded(
    action: AnyAction, context: Context, attempt: Callable[[], Awaitable[Outcome]], *, changes: bool
) -> Outcome:
    """Bound the attempt in time, turn what it raises into an Outcome, add its evidence and wipe the secrets."""
    try:
        async with asyncio.timeout(context.call.timeout.total_seconds()):
            outcome = await attempt()
    except Exception as error:  # noqa: BLE001 - the boundary: a fault of an action is an Outcome, whatever it is
        outcome = _failed(error, action, context, changes=changes)
    return _told(outcome, context)


def _failed(error: Exception, action: AnyAction, context: Context, *, changes: bool) -> Outcome:
    """The Outcome of an exception. A mutating call that may have been sent and has no clear answer is in doubt."""
    what = about(context.call.action, action.spec, context.call.params)
    failure = failure_of_error(error, what)
    if failure is None:
        context.attach("traceback", "text/plain", "".join(traceback.format_exception(error)))
        failure = Unavailable(
            f"{what} broke; this is a bug in the action: {type(error).__name__}: {error}",
            kind="internal",
            in_doubt=True,
        )
    output = _tree(failure.result) if isinstance(failure, CheckFailed) else {}
    kind = _kind(failure)
    if not isinstance(failure, TemporaryFailure):
        told = Failure(kind=kind, message=str(failure))
        return Outcome(state=OutcomeState.FAILED, output=output, failure=told)
    doubtful = changes and context.sent is not False and failure.in_doubt
    return Outcome(
        state=OutcomeState.IN_DOUBT if doubtful else OutcomeState.FAILED,
        failure=Failure(
            kind=kind,
            message=str(failure),
            temporary=kind != "internal",
            retry_after=failure.retry_after,
        ),
    )


def _kind(failure: ActionError) -> str:
    if isinstance(failure, Unavailable | Rejected):
        return failure.kind
    return "temporary" if isinstance(failure, TemporaryFailure) else "failed"


def _told(outcome: Outcome, context: Context) -> Outcome:
    """The outcome as it may leave: with its evidence, without a secret."""
    wipe, failure = context.disclosed.wipe, outcome.failure
    return replace(
        outcome,
        output=wipe(outcome.output),
        failure=None if failure is None else replace(failure, message=wipe(failure.message)),
        change=wipe(outcome.change),
        evidence=tuple(
            replace(piece, name=wipe(piece.name), content=context.disclosed.wipe_bytes(piece.content))
            for piece in context.pieces
        ),
    )


def _params(action: AnyAction, context: Context) -> Any:
    """The call's parameters, secrets put in, as the action's own model."""
    return _validated(action.params, context.disclosed.fill(context.call.params), "parameter")


def _validated(model: type[BaseModel], values: Mapping[str, object], noun: str) -> Any:
    """The values as this model; raises Rejected (`invalid`) naming every field that does not fit."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = (
            f"{noun} `{'.'.join(str(part) for part in problem['loc']) or 'all'}`: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False)
        )
        raise Rejected("; ".join(problems), kind="invalid") from None


def _keys(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def _tree(result: BaseModel) -> dict[str, object]:
    """The result as plain maps and lists; durations and timestamps keep their types."""
    return result.model_dump(mode="python", by_alias=True)


def _succeeded(result: Result | None) -> Outcome:
    if result is None:
        return Outcome(state=OutcomeState.SUCCEEDED)
    change = None if result.change is None else result.change.model_dump(mode="python")
    return Outcome(state=OutcomeState.SUCCEEDED, output=_tree(result), change=change)


def _skipped(message: str, kind: str) -> Outcome:
    return Outcome(state=OutcomeState.SKIPPED, failure=Failure(kind=kind, message=message))
