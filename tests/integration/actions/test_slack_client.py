"""What every action of Slack makes of a Slack, or of something else, that misbehaves; and who it signs in as."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from aiohttp import web

from runbookd.actions.performer import CataloguePerformer
from runbookd.model.action import OutcomeState
from tests.contract.actions.hands import (
    SetClock,
    call,
    deaf_server,
    failed,
    perform,
    performing,
    serving,
    succeeded,
)
from tests.fakes.slack import TOKEN, Fault, Slack, slack_server

FAILED, IN_DOUBT = OutcomeState.FAILED, OutcomeState.IN_DOUBT
CALLS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "chat.postMessage": ("slack.post_message", {"channel": "#ops", "text": "private words"}),
    "chat.update": (
        "slack.update_message",
        {"channel": "C0000001", "ts": "1.000001", "text": "private words"},
    ),
    "chat.postEphemeral": (
        "slack.post_ephemeral",
        {"channel": "#ops", "user": "U0000001", "text": "private words"},
    ),
    "conversations.create": ("slack.create_channel", {"name": "incident-1", "topic": "private words"}),
}
STATUSES = [
    (400, "invalid", FAILED),
    (401, "denied", FAILED),
    (403, "denied", FAILED),
    (404, "not_found", FAILED),
    (408, "timeout", IN_DOUBT),
    (429, "rate_limited", FAILED),
    (500, "server_error", IN_DOUBT),
    (502, "server_error", IN_DOUBT),
    (503, "unavailable", FAILED),
    (504, "server_error", IN_DOUBT),
]
WORDS = [
    ("not_authed", "denied", "the secret 'slack_bot_token'"),
    ("invalid_auth", "denied", "the secret 'slack_bot_token'"),
    ("account_inactive", "denied", "bot token of an installed app"),
    ("token_revoked", "denied", "bot token of an installed app"),
    ("token_expired", "denied", "bot token of an installed app"),
    ("missing_scope", "denied", "the app lacks the scope it needs"),
    ("not_in_channel", "denied", "invite it there"),
    ("restricted_action", "denied", "administrator"),
    ("channel_not_found", "not_found", "check the name"),
    ("is_archived", "conflict", "unarchive it"),
    ("msg_too_long", "invalid", "msg_too_long"),
    ("a_word_of_tomorrow", "invalid", "a_word_of_tomorrow"),
]
PASSING = [
    ("ratelimited", "rate_limited", FAILED),
    ("rate_limited", "rate_limited", FAILED),
    ("service_unavailable", "unavailable", FAILED),
    ("request_timeout", "timeout", FAILED),
    ("internal_error", "server_error", IN_DOUBT),
    ("fatal_error", "server_error", IN_DOUBT),
]

each_call = pytest.mark.parametrize("method", list(CALLS))


@pytest.fixture
async def slack() -> AsyncIterator[Slack]:
    """An empty workspace."""
    async with slack_server(SetClock().now) as server:
        yield server


@pytest.fixture
async def performer(slack: Slack) -> AsyncIterator[CataloguePerformer]:
    """A performer that signs in there."""
    async with performing(slack.config(), slack_bot_token=TOKEN) as made:
        yield made


async def outcome_of(performer: CataloguePerformer, method: str, within: float = 10.0) -> Any:
    """What the action that calls this method comes to, after a look that neither token nor words are in it."""
    action, params = CALLS[method]
    outcome = await performer.perform(call(action, params, timeout=within))
    assert TOKEN not in repr(outcome)
    assert "private words" not in repr(outcome)
    return outcome


@each_call
@pytest.mark.parametrize(("status", "kind", "state"), STATUSES, ids=[str(row[0]) for row in STATUSES])
async def test_a_status_has_one_meaning(
    slack: Slack, performer: CataloguePerformer, method: str, status: int, kind: str, state: OutcomeState
) -> None:
    """Every status means what it means everywhere, and is told with the method and the object."""
    slack.fail(method, Fault(status=status, headers={"Retry-After": "7"}))
    outcome = await outcome_of(performer, method)
    message = failed(outcome, kind, state)
    assert message.startswith(f"Slack {method} ")
    assert str(status) in message
    assert outcome.failure.retry_after == (7.0 if outcome.failure.temporary else None)
    assert slack.counts[method] == 1


@pytest.mark.parametrize(("word", "kind", "advice"), WORDS, ids=[row[0] for row in WORDS])
async def test_a_refusal_says_what_to_do(
    slack: Slack, performer: CataloguePerformer, word: str, kind: str, advice: str
) -> None:
    """Each word Slack refuses with is a permanent failure, with the word, and what an operator can do."""
    slack.fail("chat.postMessage", Fault.word(word))
    outcome = await outcome_of(performer, "chat.postMessage")
    message = failed(outcome, kind)
    assert word in message
    assert advice in message
    assert not outcome.failure.temporary


@pytest.mark.parametrize(("word", "kind", "state"), PASSING, ids=[row[0] for row in PASSING])
async def test_a_refusal_that_may_pass_is_temporary(
    slack: Slack, performer: CataloguePerformer, word: str, kind: str, state: OutcomeState
) -> None:
    """Words of trouble on Slack's side are temporary; where some of the call may have been done, a doubt."""
    slack.fail("chat.postMessage", Fault.word(word))
    outcome = await outcome_of(performer, "chat.postMessage")
    assert word in failed(outcome, kind, state)
    assert outcome.failure.temporary


async def test_the_scopes_that_are_missing_are_named(slack: Slack, performer: CataloguePerformer) -> None:
    """`missing_scope` is told with the scope Slack names, and where to add it."""
    slack.scopes.remove("chat:write")
    message = failed(await outcome_of(performer, "chat.postMessage"), "denied")
    assert "the app lacks the scope `chat:write`; add it under OAuth & Permissions" in message
    slack.fail("chat.postMessage", Fault.word("missing_scope", needed="a:read,b:read"))
    assert "`a:read` or `b:read`" in failed(await outcome_of(performer, "chat.postMessage"), "denied")


async def test_what_slack_finds_wrong_is_repeated(slack: Slack, performer: CataloguePerformer) -> None:
    """Slack's own words on invalid blocks are in the message, on one line and not endless."""
    said = ["[ERROR] must be less than\n3001 characters", "x" * 1000]
    slack.fail("chat.postMessage", Fault.word("invalid_blocks", response_metadata={"messages": said}))
    message = failed(await outcome_of(performer, "chat.postMessage"), "invalid")
    assert "must be less than 3001 characters" in message
    assert len(message) < 500


@pytest.mark.parametrize("token", ["", " ", "two words", "line\nbreak", "tökén", "nul\x00"], ids=ascii)
async def test_what_is_no_token_is_not_sent(slack: Slack, token: str) -> None:
    """A secret that cannot be a token is told by its name, never shown, and never sent."""
    async with performing(slack.config(), slack_bot_token=token) as performer:
        outcome = await performer.perform(call(*CALLS["chat.postMessage"]))
    message = failed(outcome, "denied")
    assert "'slack_bot_token'" in message
    assert not token.strip() or token not in repr(outcome)
    assert slack.asked == []


async def test_a_wrong_token_is_never_told(slack: Slack) -> None:
    """A token Slack does not take is told by the name of its secret."""
    wrong = "xoxb-canary-wrong-9876"
    async with performing(slack.config(token_secret="other_app"), other_app=f" {wrong}\n") as performer:
        outcome = await performer.perform(call(*CALLS["chat.postMessage"]))
    assert "'other_app'" in failed(outcome, "denied")
    assert wrong not in repr(outcome)
    assert [one.token for one in slack.asked] == [wrong]


async def test_a_token_slack_gives_back_is_wiped(slack: Slack, performer: CataloguePerformer) -> None:
    """A server that repeats the token in its answer does not bring it into an outcome."""
    slack.fail("chat.postMessage", Fault.word(f"denied to {TOKEN}"))
    assert "denied to ***" in failed(await outcome_of(performer, "chat.postMessage"), "invalid")


async def test_a_missing_secret_is_named(slack: Slack) -> None:
    """Without the token nothing is sent."""
    assert "slack_bot_token" in failed(
        await perform(*CALLS["chat.postMessage"], slack.config()), "secret_missing"
    )


@each_call
async def test_a_refused_connection_was_never_sent(method: str, free_port: int) -> None:
    """Nobody listening is a temporary failure, and never a doubt."""
    config = {"slack": {"url": f"http://127.0.0.1:{free_port}/api"}}
    async with performing(config, slack_bot_token=TOKEN) as performer:
        outcome = await outcome_of(performer, method)
    failed(outcome, "unreachable")
    assert outcome.failure.temporary


@each_call
async def test_a_dropped_connection_is_a_doubt(
    slack: Slack, performer: CataloguePerformer, method: str
) -> None:
    """A connection that breaks once the request is out leaves the call in doubt; it is sent once."""
    slack.fail(method, Fault(drop=True))
    failed(await outcome_of(performer, method), "connection_lost", IN_DOUBT)
    assert slack.counts[method] == 1


@each_call
async def test_a_hung_server_is_left(slack: Slack, performer: CataloguePerformer, method: str) -> None:
    """A server that takes the request and never answers is left when time is up, in doubt."""
    failed(await outcome_of(performer, "chat.update"), "not_found")
    slack.fail(method, Fault(hang=True))
    failed(await outcome_of(performer, method, within=1.0), "timeout", IN_DOUBT)


async def test_a_hung_handshake_was_never_sent(slack: Slack) -> None:
    """A server that hangs before TLS is up has seen no message: failed, no doubt."""
    async with deaf_server() as port:
        config = {"slack": {"url": f"https://127.0.0.1:{port}/api/"}}
        async with performing(config, slack_bot_token=TOKEN) as performer:
            failed(await outcome_of(performer, "chat.postMessage", within=1.0), "timeout")


async def test_no_tls_is_told_apart(slack: Slack) -> None:
    """TLS to a server that speaks plain HTTP is a permanent failure of the kind `tls`."""
    config = {"slack": {"url": slack.url.replace("http:", "https:")}}
    async with performing(config, slack_bot_token=TOKEN) as performer:
        failed(await outcome_of(performer, "chat.postMessage"), "tls")


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]"])
async def test_metadata_addresses_are_never_called(host: str) -> None:
    """The token is not taken to where a cloud keeps the machine's credentials."""
    async with performing({"slack": {"url": f"http://{host}/api/"}}, slack_bot_token=TOKEN) as performer:
        assert "never called" in failed(await outcome_of(performer, "chat.postMessage"), "refused")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(slack: Slack, status: int) -> None:
    """A message is not posted again at another address, and the token is not taken there."""

    async def away(_request: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": f"{slack.url}/api/chat.postMessage"})

    async with (
        serving(away) as url,
        performing({"slack": {"url": url}}, slack_bot_token=TOKEN) as performer,
    ):
        message = failed(await outcome_of(performer, "chat.postMessage"), "unexpected_status")
    assert "redirected" in message
    assert slack.asked == []


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/html", "<html>Sign in to the network</html>"),
        ("text/plain", "ok"),
        ("application/json", "<html>"),
        ("application/json", "[1]"),
        ("application/json", '"ok"'),
        ("application/json", "null"),
        ("application/json", ""),
        ("application/json", "{}"),
        ("application/json", '{"ok": false}'),
        ("application/json", '{"ok": false, "error": {"a": 1}}'),
        ("application/json", '{"ok": true}'),
        ("application/json", '{"ok": true, "channel": null, "ts": 1}'),
        ("application/json", "[" * 100_000),
        ("application/json", "\ud83d"),
        ("application/gzip", "zipped"),
    ],
    ids=lambda value: str(value)[:30],
)
@each_call
async def test_what_is_not_slacks_answer_is_a_doubt(method: str, content_type: str, body: str) -> None:
    """An answer that makes no sense leaves open whether the call was made; it is no bug of ours."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=body.encode("utf-8", "surrogatepass"), content_type=content_type)

    async with (
        serving(answer) as url,
        performing({"slack": {"url": url}}, slack_bot_token=TOKEN) as performer,
    ):
        outcome = await outcome_of(performer, method)
    assert "not Slack's" in failed(outcome, "unexpected_status", IN_DOUBT)
    assert outcome.evidence == ()


async def test_a_missing_sdk_is_told(slack: Slack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service installed without the extra says how to install it."""
    monkeypatch.setitem(sys.modules, "slack_sdk.errors", None)
    async with performing(slack.config(), slack_bot_token=TOKEN) as performer:
        message = failed(await outcome_of(performer, "chat.postMessage"), "unsupported")
    assert "pip install 'runbookd[slack]'" in message


async def test_the_environments_proxy_is_not_used(
    slack: Slack, performer: CataloguePerformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the token goes stands in the settings, not in the environment."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    slack.workspace.add_channel("ops")
    succeeded(await outcome_of(performer, "chat.postMessage"))


async def test_messages_are_not_in_the_debug_log(
    slack: Slack, performer: CataloguePerformer, caplog: pytest.LogCaptureFixture
) -> None:
    """With every logger at its most talkative, neither token nor words are logged."""
    slack.workspace.add_channel("ops")
    with caplog.at_level(logging.DEBUG):
        succeeded(await outcome_of(performer, "chat.postMessage"))
    assert "private words" not in caplog.text
    assert TOKEN not in caplog.text
