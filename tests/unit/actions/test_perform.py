"""The boundary in `actions/base.py`: whatever an action does, an Outcome comes out, and no secret with it."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import ssl
from collections.abc import Mapping
from datetime import timedelta

import pytest
from pydantic import Field

from runbookd.actions import base
from runbookd.actions.base import Action, AnyAction, Change, Context, Params, Result, Shared
from runbookd.actions.failures import CheckFailed, Rejected, Unavailable
from runbookd.errors import PermanentFailure, TemporaryFailure
from runbookd.language.values import SecretRef, SecretText
from runbookd.model.action import Mode, Outcome, OutcomeState, Probed, Repeat, Spec
from tests.contract.actions.hands import call, context_of

FAILED, IN_DOUBT, SKIPPED = OutcomeState.FAILED, OutcomeState.IN_DOUBT, OutcomeState.SKIPPED


class Told(Params):
    """A parameter."""

    text: str = Field(default="x", max_length=200, alias="with-text")


class Seen(Result):
    """A result."""

    text: str = ""
    length: timedelta = timedelta(0)


def action(*, mutating: bool = True, **parts: object) -> AnyAction:
    """An action that gives its parameter back, unless told otherwise."""

    async def run(params: Told, context: Context) -> Seen:
        return Seen(text=params.text, length=timedelta(seconds=3))

    spec = Spec(
        name="test.act",
        summary="Act.",
        mutates=mutating,
        repeat=Repeat.NEVER,
        undo="by hand only",
        timeout=timedelta(seconds=1),
        example={},
    )
    given = {"run": run, **parts}
    return Action(spec=spec, params=Told, result=Seen, **given)  # type: ignore[arg-type] # the point of **parts


def raising(error: BaseException, *, sent: bool | None = None, mutating: bool = True) -> AnyAction:
    """An action that fails so."""

    async def run(_params: Told, context: Context) -> Seen:
        context.sent = sent
        raise error

    return action(mutating=mutating, run=run)


async def outcome_of(what: AnyAction, params: Mapping[str, object] | None = None, **secrets: str) -> Outcome:
    """One attempt in act mode."""
    return await base.perform(what, context_of(call("test.act", params, timeout=5), None, **secrets))


async def test_a_result_comes_out_as_a_plain_tree() -> None:
    """The output holds plain values, durations kept, and the change stands beside it."""

    async def run(_params: Told, _context: Context) -> Seen:
        return Seen(text="a", length=timedelta(seconds=3), change=Change(before=1, after={"to": 2}))

    outcome = await outcome_of(action(run=run))
    assert outcome.state is OutcomeState.SUCCEEDED
    assert outcome.output == {"text": "a", "length": timedelta(seconds=3)}
    assert outcome.change == {"before": 1, "after": {"to": 2}}


async def test_wrong_parameters_are_named() -> None:
    """Every parameter that does not fit is named, as the playbook writes it, and nothing is run."""
    outcome = await outcome_of(action(), {"with-text": 7, "other": 1})
    assert outcome.failure is not None
    assert (outcome.state, outcome.failure.kind, outcome.failure.temporary) == (FAILED, "invalid", False)
    assert "`with-text`" in outcome.failure.message
    assert "`other`" in outcome.failure.message


@pytest.mark.parametrize(
    ("error", "kind", "temporary", "state"),
    [
        (PermanentFailure("no"), "failed", False, FAILED),
        (Rejected("no", kind="denied"), "denied", False, FAILED),
        (TemporaryFailure("later", retry_after=3), "temporary", True, FAILED),
        (TemporaryFailure("later", in_doubt=True), "temporary", True, IN_DOUBT),
        (Unavailable("later", kind="rate_limited"), "rate_limited", True, FAILED),
        (TimeoutError(), "timeout", True, IN_DOUBT),
        (ConnectionRefusedError("refused"), "unreachable", True, FAILED),
        (socket.gaierror("no such name"), "unreachable", True, FAILED),
        (ConnectionResetError("reset"), "connection_lost", True, IN_DOUBT),
        (ssl.SSLError("no trust"), "tls", False, FAILED),
        (UnicodeError("a label of a name is too long"), "invalid", False, FAILED),
        (KeyError("bug"), "internal", False, IN_DOUBT),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
async def test_every_exception_has_its_outcome(
    error: Exception,
    kind: str,
    temporary: bool,  # noqa: FBT001 - a row of the table
    state: OutcomeState,
) -> None:
    """An exception becomes the outcome its kind calls for; only a mutating call is ever in doubt."""
    outcome = await outcome_of(raising(error))
    assert outcome.failure is not None
    assert (outcome.state, outcome.failure.kind, outcome.failure.temporary) == (state, kind, temporary)
    assert (await outcome_of(raising(error, mutating=False))).state is FAILED
    assert (await outcome_of(raising(error, sent=False))).state is FAILED
    assert (await outcome_of(raising(error, sent=True))).state is state


async def test_a_wait_asked_for_is_kept() -> None:
    """The seconds a target asks to wait reach the outcome."""
    outcome = await outcome_of(raising(TemporaryFailure("later", retry_after=3)))
    assert outcome.failure is not None
    assert outcome.failure.retry_after == 3


async def test_a_bug_leaves_its_traceback_as_evidence() -> None:
    """An exception nobody expects is told as a bug of the action, with the traceback kept."""
    outcome = await outcome_of(raising(KeyError("bug")))
    assert outcome.failure is not None
    assert "a bug in the action" in outcome.failure.message
    assert [piece.name for piece in outcome.evidence] == ["traceback"]
    assert b"KeyError" in outcome.evidence[0].content


async def test_a_failed_check_keeps_what_was_seen() -> None:
    """What a check saw stays the output of its failure."""
    outcome = await outcome_of(raising(CheckFailed("not so", Seen(text="seen")), mutating=False))
    assert outcome.output["text"] == "seen"
    assert outcome.failure is not None
    assert outcome.failure.kind == "check_failed"


async def test_an_attempt_ends_when_its_time_is_up() -> None:
    """An action that does not come back is left after the call's timeout."""

    async def run(_params: Told, _context: Context) -> Seen:
        await asyncio.Event().wait()
        return Seen()

    outcome = await base.perform(action(run=run), context_of(call("test.act", timeout=0.02)))
    assert outcome.failure is not None
    assert (outcome.state, outcome.failure.kind) == (IN_DOUBT, "timeout")


async def test_a_doubt_and_a_bug_name_what_the_call_was_about() -> None:
    """What has no words of an action's own is told with the action and its object."""
    late = await outcome_of(raising(TimeoutError()), {"with-text": "shop"})
    bug = await outcome_of(raising(KeyError("bug")), {"with-text": "shop"})
    assert late.failure is not None
    assert late.failure.message == "test.act of with-text=shop: no answer in time"
    assert bug.failure is not None
    assert bug.failure.message.startswith(
        "test.act of with-text=shop broke; this is a bug in the action: KeyError"
    )


async def test_a_cancellation_passes() -> None:
    """Whoever cancels the work cancels the action: that is no outcome."""
    started = asyncio.Event()

    async def run(_params: Told, _context: Context) -> Seen:
        started.set()
        await asyncio.Event().wait()
        return Seen()

    task = asyncio.create_task(outcome_of(action(run=run)))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


SECRET = 'p"ä/s+w d'
SPELLINGS = [
    SECRET,
    json.dumps(SECRET),
    "p%22%C3%A4%2Fs%2Bw%20d",
    "p%22%C3%A4%2Fs%2Bw+d",
    base64.b64encode(SECRET.encode()).decode(),
]


async def test_secrets_go_in_at_the_last_moment() -> None:
    """References to secrets, alone and inside a text, reach the action resolved."""
    given: list[str] = []

    async def run(params: Told, _context: Context) -> Seen:
        given.append(params.text)
        return Seen()

    await outcome_of(action(run=run), {"with-text": SecretRef("pw")}, pw=SECRET)
    await outcome_of(action(run=run), {"with-text": SecretText(("Bearer ", SecretRef("pw")))}, pw=SECRET)
    assert given == [SECRET, f"Bearer {SECRET}"]


@pytest.mark.parametrize("spelled", SPELLINGS)
async def test_secrets_come_out_of_nothing(spelled: str) -> None:
    """However a secret is spelled, it is wiped from output, change, evidence and messages, keys and names too."""

    async def run(_params: Told, context: Context) -> Seen:
        context.attach(f"log {spelled}", "text/plain", f"saw {spelled} here")
        return Seen(text=f"<{spelled}>", change=Change(before=[{spelled: spelled}], after=spelled))

    given = {"with-text": SecretRef("pw")}
    told = [await outcome_of(action(run=run), given, pw=SECRET)]

    async def fail(_params: Told, context: Context) -> Seen:
        context.attach("log", "text/plain", spelled)
        raise ValueError(spelled)

    told.append(await outcome_of(action(run=fail), given, pw=SECRET))
    for outcome in told:
        written = repr(outcome)
        for spelling in SPELLINGS:
            assert spelling not in written
            assert repr(spelling)[1:-1] not in written
            assert repr(spelling.encode())[2:-1] not in written
    assert told[0].output["text"] in {"<***>", '<"***">'}


async def test_a_longer_secret_is_wiped_before_its_part() -> None:
    """A secret that contains another leaves no rest behind."""

    async def run(_params: Told, context: Context) -> Seen:
        context.secret("short")
        return Seen(text=context.secret("long"))

    outcome = await outcome_of(action(run=run), short="abc", long="abcdef")
    assert outcome.output["text"] == "***"


async def test_an_empty_secret_hides_nothing() -> None:
    """A secret that is set but empty does not turn every text into stars."""
    outcome = await outcome_of(action(), {"with-text": SecretText(("a", SecretRef("none")))}, none="")
    assert outcome.output["text"] == "a"


async def test_a_secret_that_is_not_set_is_named() -> None:
    """A missing secret fails the call with its name, and nothing is run."""
    outcome = await outcome_of(action(), {"with-text": SecretRef("pw")})
    assert outcome.failure is not None
    assert (outcome.state, outcome.failure.kind) == (FAILED, "secret_missing")
    assert "'pw'" in outcome.failure.message


async def test_a_refused_secret_is_not_repeated_in_the_refusal() -> None:
    """A parameter that does not validate is told without its value."""
    secret = "s" * 300
    outcome = await outcome_of(action(), {"with-text": SecretRef("pw")}, pw=secret)
    assert outcome.failure is not None
    assert outcome.failure.kind == "invalid"
    assert "sss" not in outcome.failure.message


async def test_observe_mode_makes_no_mutating_call() -> None:
    """In observe mode a mutating call is skipped as observed, a reading one is made."""
    observing = context_of(call("test.act", mode=Mode.OBSERVE))
    outcome = await base.perform(raising(AssertionError("was called")), observing)
    assert outcome.failure is not None
    assert (outcome.state, outcome.failure.kind, outcome.dry_run) == (SKIPPED, "observed", False)
    assert (await base.perform(action(mutating=False), observing)).state is OutcomeState.SUCCEEDED


async def test_observe_mode_takes_the_dry_run() -> None:
    """An action with a dry run gives its result in observe mode; a dry run is never in doubt."""

    async def dry(_params: Told, context: Context) -> Seen:
        assert context.mode is Mode.OBSERVE
        return Seen(text="would")

    async def broken(_params: Told, _context: Context) -> Seen:
        raise TimeoutError

    observing = context_of(call("test.act", mode=Mode.OBSERVE))
    outcome = await base.perform(action(observe=dry), observing)
    assert (outcome.output["text"], outcome.dry_run) == ("would", True)
    failing = await base.perform(action(observe=broken), observing)
    assert (failing.state, failing.dry_run) == (FAILED, True)
    acting = await base.perform(action(observe=dry), context_of(call("test.act")))
    assert acting.dry_run is False


async def test_a_probe_answers() -> None:
    """A probe's word and what it knows come out; without a probe nobody can tell."""

    async def done(_params: Told, _context: Context) -> tuple[Probed, Seen | None]:
        return Probed.DONE, Seen(text="made")

    async def not_done(_params: Told, _context: Context) -> tuple[Probed, Seen | None]:
        return Probed.NOT_DONE, None

    made = context_of(call("test.act"))
    answer, outcome = await base.probe(action(probe=done), made)
    assert outcome is not None
    assert (answer, outcome.output["text"]) == (Probed.DONE, "made")
    assert await base.probe(action(probe=not_done), made) == (Probed.NOT_DONE, None)
    assert await base.probe(action(), made) == (Probed.UNKNOWN, None)


async def test_a_probe_that_fails_tells_nothing_but_why() -> None:
    """A probe that breaks is UNKNOWN, whatever it raised, and says why."""

    async def broken(_params: Told, _context: Context) -> tuple[Probed, Seen | None]:
        raise TimeoutError

    answer, outcome = await base.probe(action(probe=broken), context_of(call("test.act")))
    assert outcome is not None
    assert outcome.failure is not None
    assert (answer, outcome.state, outcome.failure.kind) == (Probed.UNKNOWN, FAILED, "timeout")


async def test_an_undo_gets_the_result_back() -> None:
    """An undo sees the result its call gave, without what the playbook's `outputs` added to it."""
    seen: list[Seen] = []

    async def undo(_params: Told, result: Seen, _context: Context) -> Seen | None:
        seen.append(result)
        return None

    output = {"text": "a", "length": timedelta(seconds=3), "added_by_outputs": 1}
    outcome = await base.undo(action(undo=undo), context_of(call("test.act")), output)
    assert outcome.state is OutcomeState.SUCCEEDED
    assert seen == [Seen(text="a", length=timedelta(seconds=3))]


async def test_an_undo_may_fail_or_be_in_doubt() -> None:
    """What an undo raises is an outcome as well, and it is a mutating call."""

    async def undo(_params: Told, _result: Seen, _context: Context) -> Seen | None:
        raise TimeoutError

    made = context_of(call("test.act"))
    assert (await base.undo(action(undo=undo), made, {})).state is IN_DOUBT
    bad = await base.undo(action(undo=undo), made, {"length": "x"})
    assert bad.failure is not None
    assert (bad.failure.kind, "output `length`" in bad.failure.message) == ("invalid", True)


async def test_what_cannot_be_undone_is_skipped() -> None:
    """Without an undo, and in observe mode, nothing is undone, and the reason is told."""

    async def undo(_params: Told, _result: Seen, _context: Context) -> Seen | None:
        raise AssertionError("was called")

    without = await base.undo(action(), context_of(call("test.act")), {})
    observed = await base.undo(action(undo=undo), context_of(call("test.act", mode=Mode.OBSERVE)), {})
    kinds = [outcome.failure and outcome.failure.kind for outcome in (without, observed)]
    assert (without.state, observed.state) == (SKIPPED, SKIPPED)
    assert kinds == ["not_undoable", "observed"]


async def test_shared_clients_are_made_once_and_closed() -> None:
    """What calls share is made at first use, once, and left when the performer closes."""
    events: list[str] = []

    class Client:
        async def __aenter__(self) -> str:
            events.append("made")
            return "client"

        async def __aexit__(self, *_error: object) -> None:
            events.append("closed")

    shared = Shared()
    assert list(await asyncio.gather(shared.get("x", Client), shared.get("x", Client))) == ["client"] * 2
    await shared.close()
    assert events == ["made", "closed"]
    await shared.get("x", Client)
    await shared.close()
    assert events == ["made", "closed", "made", "closed"]
