"""`webhook.send` against a receiver that checks every signature: what it takes, and what its answers mean."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runbookd.actions.webhook.signing import read_keys, signed_headers
from runbookd.model.action import Mode, Outcome, OutcomeState, Repeat
from tests.contract.actions.hands import NOW, SetClock, call, every_action, failed, performing, succeeded
from tests.fakes.webhooks import Fault, Receiver, Reply, receiver

KEY = "whsec_" + base64.b64encode(b"canary key of twenty-four bytes").decode()
NEXT = "whsec_" + base64.b64encode(b"canary key that comes after it").decode()
MESSAGE = {
    "name": "ticketing",
    "kind": "incident.opened",
    "data": {"incident": "01JX", "priority": "P1", "within": timedelta(minutes=90)},
    "key": "01JX-opened",
    "at": datetime(2026, 3, 4, 5, 0, tzinfo=UTC),
}


def settings(url: str) -> Mapping[str, Any]:
    """The settings that lead to a receiver."""
    return {"webhooks": {"ticketing": {"url": url, "signing_secret": "ticketing_key"}}}


@asynccontextmanager
async def listening(*keys: str) -> AsyncIterator[Receiver]:
    """A receiver that knows these keys, and whose clock stands at the tests' now."""
    async with receiver(*keys) as there:
        there.now = lambda: NOW
        yield there


async def send(
    there: Receiver,
    message: Mapping[str, object] | None = None,
    *,
    secret: str = KEY,
    clock: SetClock | None = None,
    within: float = 10.0,
) -> Outcome:
    """One message."""
    async with performing(settings(there.url), clock=clock, ticketing_key=secret) as performer:
        made = call("webhook.send", {**MESSAGE, **(message or {})}, timeout=within)
        return await performer.perform(made)


async def test_a_message_is_signed_and_taken() -> None:
    """The receiver's own check takes the message; it says what happened, when, and what there is to know."""
    async with listening(KEY) as there:
        output = succeeded(await send(there))
    assert there.messages == {
        "01JX-opened": {
            "type": "incident.opened",
            "timestamp": "2026-03-04T05:00:00Z",
            "data": {"incident": "01JX", "priority": "P1", "within": "1h30m"},
        }
    }
    assert output == {"webhook_id": "01JX-opened", "status": 204}
    assert there.refused == []


def test_the_signature_is_the_one_of_the_specification() -> None:
    """The published example of the specification's libraries gives the published signature."""
    keys = read_keys("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    at = datetime.fromtimestamp(1614265330, UTC)
    headers = signed_headers(keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_a_repeat_is_the_same_message() -> None:
    """Sent again later under its key, it is signed anew for the new time, and taken once; it may be repeated."""
    async with listening(KEY) as there:
        for hour in range(3):
            clock = SetClock(NOW + timedelta(hours=hour))
            there.now = clock.now
            succeeded(await send(there, clock=clock))
    assert there.deliveries == {"01JX-opened": 3}
    assert len(there.messages) == 1
    assert every_action()["webhook.send"].spec.repeat is Repeat.SAFE


async def test_a_key_is_replaced_without_a_gap() -> None:
    """While the secret holds two keys, a receiver that knows either takes the message."""
    for known in (KEY, NEXT):
        async with listening(known) as there:
            succeeded(await send(there, secret=f"{NEXT} {KEY}"))
            assert there.refused == []


async def test_a_wrong_key_is_told() -> None:
    """A receiver that does not know the key denies it, and the key is in no message."""
    async with listening(NEXT) as there:
        message = failed(await send(there), "denied")
    assert "no signature of mine" in message
    assert there.messages == {}


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("", "empty"),
        ("canary", "does not begin with whsec_"),
        ("whsec_canary!", "not base64"),
        ("whsec_" + base64.b64encode(b"canary").decode(), "24 to 64 bytes, not 6"),
        (f"{KEY} canary", "does not begin with whsec_"),
    ],
)
async def test_a_secret_that_is_no_key_is_told_and_not_shown(secret: str, said: str) -> None:
    """What is wrong with the signing secret is told by its name; nothing is sent, and nothing of it is shown."""
    async with listening(KEY) as there:
        message = failed(await send(there, secret=secret), "refused")
    assert said in message
    assert "'ticketing_key'" in message
    assert "canary" not in message
    assert there.paths == []


@pytest.mark.parametrize(
    ("status", "kind", "temporary", "state"),
    [
        (400, "invalid", False, OutcomeState.FAILED),
        (401, "denied", False, OutcomeState.FAILED),
        (403, "denied", False, OutcomeState.FAILED),
        (404, "not_found", False, OutcomeState.FAILED),
        (408, "timeout", True, OutcomeState.IN_DOUBT),
        (409, "conflict", False, OutcomeState.FAILED),
        (410, "not_found", False, OutcomeState.FAILED),
        (422, "invalid", False, OutcomeState.FAILED),
        (429, "rate_limited", True, OutcomeState.FAILED),
        (500, "server_error", True, OutcomeState.IN_DOUBT),
        (502, "server_error", True, OutcomeState.IN_DOUBT),
        (503, "unavailable", True, OutcomeState.FAILED),
        (504, "server_error", True, OutcomeState.IN_DOUBT),
    ],
)
async def test_a_status_has_one_meaning(
    status: int,
    kind: str,
    temporary: bool,  # noqa: FBT001 - a row
    state: OutcomeState,
) -> None:
    """Every status but 2xx is a failure, with the receiver's reason; the next attempt is taken."""
    async with listening(KEY) as there:
        there.script = [Reply(status, {"Retry-After": "7"})]
        outcome = await send(there)
        message = failed(outcome, kind, state)
        assert outcome.failure is not None
        assert outcome.failure.temporary is temporary
        assert outcome.failure.retry_after == (7.0 if temporary else None)
        assert f"the webhook 'ticketing' answered {status}" in message
        assert "the receiver's reason" in message
        succeeded(await send(there))
    assert len(there.messages) == 1


async def test_gone_says_what_to_do() -> None:
    """A receiver that is gone for good is not asked again, and the message says which settings to change."""
    async with listening(KEY) as there:
        there.script = [Reply(410)]
        outcome = await send(there)
    assert "take 'ticketing' out of `actions.webhooks`" in failed(outcome, "not_found")
    assert outcome.failure is not None
    assert not outcome.failure.temporary


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    """A redirect, on the same server too, is a failure that says so; the message goes nowhere else."""
    async with listening(KEY) as there:
        there.script = [Reply(status, {"Location": "/elsewhere"})]
        message = failed(await send(there), "unexpected_status")
    assert "redirect" in message
    assert there.paths == ["/hooks/runbookd"]


@pytest.mark.parametrize(("fault", "kind"), [(Fault.DROP, "connection_lost"), (Fault.HANG, "timeout")])
async def test_an_answer_that_never_comes_is_in_doubt_and_safe_to_repeat(fault: Fault, kind: str) -> None:
    """A message that was taken without an answer is in doubt; sent again, the receiver still has it once."""
    async with listening(KEY) as there:
        there.script = [fault]
        failed(await send(there, within=1.0 if fault is Fault.HANG else 10.0), kind, OutcomeState.IN_DOUBT)
        succeeded(await send(there))
    assert there.deliveries == {"01JX-opened": 2}
    assert len(there.messages) == 1


async def test_nobody_listening_was_never_sent(free_port: int) -> None:
    """A refused connection is a temporary failure, and never a doubt."""
    outcome = await send(Receiver(keys=[KEY], url=f"http://127.0.0.1:{free_port}/"))
    failed(outcome, "unreachable")


async def test_an_unknown_name_is_refused() -> None:
    """Only the addresses of the settings can be told; a name that is nearly one is suggested."""
    async with listening(KEY) as there:
        message = failed(await send(there, {"name": "tickting"}), "refused")
    assert "Did you mean 'ticketing'?" in message
    assert there.paths == []


@pytest.mark.parametrize(
    "kind", ["", "incident opened", "incident.", ".incident", "a\r\nb", "a/b", "incident.opened\n"]
)
async def test_a_kind_is_a_path_of_words(kind: str) -> None:
    """An event's type is words joined by full stops, and nothing else."""
    async with listening(KEY) as there:
        assert "`kind`" in failed(await send(there, {"kind": kind}), "invalid")


async def test_hostile_data_stays_data() -> None:
    """Whatever labels hold arrives as text of JSON: markup, line breaks, emoji, ten kilobytes, half a surrogate."""
    hostile = {
        "channel": "<!channel> </p><script>alert(1)</script>",
        "lines": 'a\r\nwebhook-id: x\r\n"},{"',
        "emoji": "😀",
        "half": "a\ud83db",
        "long": "x" * 10_000,
        "nan": [float("nan"), float("inf"), 1.5],
        "key\n\ud83d": {"deep": [{"at": NOW, "for": timedelta(seconds=90)}]},
        "none": None,
    }
    async with listening(KEY) as there:
        succeeded(await send(there, {"data": hostile}))
    assert there.messages["01JX-opened"]["data"] == {
        **{name: hostile[name] for name in ("channel", "lines", "emoji", "long", "none")},
        "half": "a?b",
        "nan": [None, None, 1.5],
        "key\n?": {"deep": [{"at": "2026-03-04T05:06:07Z", "for": "1m30s"}]},
    }


@pytest.mark.parametrize("key", ["a.b", "run-1/steps/act", "a\r\nb", "é", "k" * 500])
async def test_a_hostile_key_makes_a_plain_id(key: str) -> None:
    """A key with a full stop, a line break or anything else an id must not hold becomes a hash, the same each time."""
    async with listening(KEY) as there:
        ids = {succeeded(await send(there, {"key": key}))["webhook_id"] for _ in range(2)}
    assert len(ids) == 1
    assert len(there.messages) == 1
    assert there.deliveries.total() == 2


async def test_without_a_time_it_is_now() -> None:
    """A message that does not say when it happened says now."""
    async with listening(KEY) as there:
        succeeded(await send(there, {"at": None}))
    assert there.messages["01JX-opened"]["timestamp"] == "2026-03-04T05:06:07Z"


async def test_observe_mode_sends_nothing() -> None:
    """In observe mode nobody is told."""
    async with listening(KEY) as there, performing(settings(there.url), ticketing_key=KEY) as performer:
        outcome = await performer.perform(call("webhook.send", MESSAGE, mode=Mode.OBSERVE))
    assert outcome.state is OutcomeState.SKIPPED
    assert there.paths == []
