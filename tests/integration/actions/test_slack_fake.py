"""The Slack on loopback itself: it refuses what the real one refuses, and presses buttons as people do."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import aiohttp
import pytest
from aiohttp import web
from slack_sdk.errors import SlackApiError
from slack_sdk.signature import SignatureVerifier
from slack_sdk.web.async_client import AsyncWebClient

from tests.contract.actions.hands import SetClock, serving
from tests.fakes import slack_presses
from tests.fakes.slack import SIGNING_SECRET, TOKEN, Slack, slack_server
from tests.fakes.slack_blocks import faults_of
from tests.fakes.slack_workspace import Channel, Message, User

BUTTON: dict[str, Any] = {
    "type": "button",
    "action_id": "acknowledge",
    "text": {"type": "plain_text", "text": "Acknowledge"},
    "value": "inc-1",
}
WORDS: dict[str, Any] = {"type": "section", "text": {"type": "mrkdwn", "text": "a"}}
ROW: dict[str, Any] = {"type": "actions", "elements": [BUTTON]}


@pytest.fixture
def clock() -> SetClock:
    """The time of the workspace."""
    return SetClock()


@pytest.fixture
async def slack(clock: SetClock) -> AsyncIterator[Slack]:
    """A workspace with the channel #ops and somebody in it."""
    async with slack_server(clock.now) as server:
        ops = server.workspace.add_channel("ops")
        ops.members.add(server.workspace.add_user("ann", "ann@example.com").id)
        yield server


@pytest.fixture
def client(slack: Slack) -> AsyncWebClient:
    """The SDK, signed in there."""
    return AsyncWebClient(token=TOKEN, base_url=f"{slack.url}/api/", retry_handlers=[])


async def place(slack: Slack, client: AsyncWebClient) -> tuple[Channel, Message, User]:
    """A message with a button, its channel, and who may press it."""
    await client.chat_postMessage(channel="#ops", text="a", blocks=[WORDS, ROW])
    (channel,) = slack.workspace.channels
    return channel, channel.messages[-1], slack.workspace.users[-1]


async def refused(call: Any) -> str:
    """The word a call is refused with."""
    with pytest.raises(SlackApiError) as error:
        await call
    return str(error.value.response["error"])


async def test_a_press_is_signed_and_says_who_pressed_what(slack: Slack, client: AsyncWebClient) -> None:
    """It comes as a form with one field, signed so that Slack's own verifier takes it, and names button and person."""
    got: dict[str, Any] = {}

    async def app(request: web.Request) -> web.Response:
        got.update(body=await request.text(), headers=dict(request.headers))
        return web.Response(text="thanks")

    channel, message, ann = await place(slack, client)
    async with serving(app) as url:
        pressed = await slack.press(f"{url}/v1/hooks/slack", channel, message, "acknowledge", ann)
    assert (pressed.status, pressed.body) == (200, "thanks")
    stamp, signature = (got["headers"][f"X-Slack-{name}"] for name in ("Request-Timestamp", "Signature"))
    verifier = SignatureVerifier(SIGNING_SECRET)
    assert verifier.generate_signature(timestamp=stamp, body=got["body"]) == signature
    payload = json.loads(parse_qs(got["body"])["payload"][0])
    (action,) = payload["actions"]
    assert (payload["type"], payload["user"]["id"], payload["channel"]["id"], payload["message"]["ts"]) == (
        "block_actions",
        ann.id,
        channel.id,
        message.ts,
    )
    assert (action["action_id"], action["value"]) == ("acknowledge", "inc-1")


async def test_an_app_that_is_late_or_gone_is_told_apart(
    slack: Slack, client: AsyncWebClient, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who presses sees an error when the app does not answer in time, or is not there."""
    monkeypatch.setattr(slack_presses, "ANSWER_WITHIN", 0.2)
    channel, message, ann = await place(slack, client)

    async def late(_request: web.Request) -> web.Response:
        await slack.ended()
        return web.Response()

    async with serving(late) as url:
        assert (await slack.press(url, channel, message, "acknowledge", ann)).status is None
    address = f"http://127.0.0.1:{free_port}"
    assert (await slack.press(address, channel, message, "acknowledge", ann)).status is None


async def test_a_response_url_works_five_times_for_half_an_hour(
    slack: Slack, client: AsyncWebClient, clock: SetClock
) -> None:
    """The app can answer a press to who pressed, to all, or by an edit; not too often, and not too late."""
    channel, message, ann = await place(slack, client)
    used, expired = (slack.payload(channel, message, "acknowledge", ann)["response_url"] for _ in range(2))
    async with aiohttp.ClientSession() as session:

        async def respond(url: str, **body: object) -> str | None:
            async with session.post(url, json=body) as answer:
                found: dict[str, Any] = await answer.json()
                return found.get("error")

        assert await respond(used, text="only for you") is None
        assert await respond(used, text="for all", response_type="in_channel") is None
        assert await respond(used, text="acknowledged", replace_original=True) is None
        assert (message.text, message.buttons) == ("acknowledged", {})
        assert [one.seen_by for one in channel.messages] == [None, ann.id, None]
        assert await respond(used, delete_original=True) is None
        assert message not in channel.messages
        assert await respond(used, text="fifth") is None
        assert await respond(used, text="sixth") == "used_url"
        clock.at += timedelta(minutes=31)
        assert await respond(expired, text="late") == "expired_url"


@pytest.mark.parametrize(
    "blocks",
    [
        {},
        [],
        [WORDS] * 51,
        [{"type": "section"}],
        [{"type": "table"}],
        [{**WORDS, "colour": "red"}],
        [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}],
        [{"type": "section", "text": {"type": "mrkdwn", "text": " "}}],
        [{"type": "section", "text": {"type": "mrkdwn", "text": "a", "emoji": True}}],
        [{"type": "section", "text": "a"}],
        [{"type": "header", "text": {"type": "mrkdwn", "text": "a"}}],
        [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}],
        [{"type": "context", "elements": [WORDS["text"]] * 11}],
        [{"type": "actions", "elements": []}],
        [{"type": "actions", "elements": [BUTTON, BUTTON]}],
        [{"type": "actions", "elements": [{**BUTTON, "action_id": str(n)} for n in range(26)]}],
        [{"type": "actions", "elements": [{"type": "datepicker"}]}],
        [{"type": "actions", "elements": [{**BUTTON, "text": {"type": "plain_text", "text": "x" * 76}}]}],
        [{"type": "actions", "elements": [{**BUTTON, "value": "x" * 2001}]}],
        [{"type": "actions", "elements": [{**BUTTON, "value": 7}]}],
        [{"type": "actions", "elements": [{**BUTTON, "style": "green"}]}],
        [{"type": "actions", "elements": [{**BUTTON, "confirm": "sure?"}]}],
    ],
    ids=lambda blocks: str(blocks)[:60],
)
def test_blocks_out_of_form_are_refused(blocks: object) -> None:
    """Each limit of Block Kit, and each unknown field, is a fault."""
    assert faults_of(blocks)


def test_blocks_in_form_are_taken() -> None:
    """Blocks at their limits are no fault."""
    longest = {"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3000, "verbatim": True}}
    context = {"type": "context", "elements": [WORDS["text"]]}
    assert faults_of([longest, {"type": "divider"}, context, ROW, *[WORDS] * 46]) == []


async def test_messages_are_refused_as_slack_does(
    slack: Slack, client: AsyncWebClient, clock: SetClock
) -> None:
    """No text, blocks out of form, too much of them, metadata that is none, and half a character are refused."""

    def post(**more: Any) -> Any:
        return client.chat_postMessage(channel="ops", **{"text": "a"} | more)

    assert await refused(post(blocks=[{}])) == "invalid_blocks"
    long = {"type": "section", "text": {"type": "mrkdwn", "text": "x" * 2900}}
    assert await refused(post(blocks=[long] * 5)) == "msg_blocks_too_long"
    assert await refused(post(text="x" * 40_001)) == "msg_too_long"
    assert await refused(post(metadata={"event_type": "a"})) == "invalid_metadata_format"
    huge = {"event_type": "a", "event_payload": {"x": "x" * 20_000}}
    assert await refused(post(metadata=huge)) == "metadata_too_large"
    assert await refused(post(text="half \ud83d")) == "invalid_json"
    assert await refused(post(thread_ts="1.000001")) == "thread_not_found"
    assert await refused(client.api_call("chat.postMessage", json={"channel": "ops"})) == "no_text"
    assert await refused(client.api_call("chat.shout")) == "unknown_method"
    await post()
    assert await refused(post()) == "ratelimited"
    clock.at += timedelta(seconds=1)
    await post()
    assert slack.counts["chat.postMessage"] == 11


async def test_metadata_is_shown_when_asked_for(slack: Slack, client: AsyncWebClient) -> None:
    """History shows metadata only with `include_all_metadata`, and no replies."""
    metadata = {"event_type": "a", "event_payload": {"key": "b"}}
    posted = await client.chat_postMessage(channel="ops", text="a", metadata=metadata)
    slack.burst = 2
    await client.chat_postMessage(channel="ops", text="reply", thread_ts=posted["ts"])
    ops = slack.workspace.channels[0].id
    (plain,) = (await client.conversations_history(channel=ops))["messages"]
    (full,) = (await client.conversations_history(channel=ops, include_all_metadata=True))["messages"]
    assert "metadata" not in plain
    assert full["metadata"] == metadata
    thread = (await client.conversations_replies(channel=ops, ts=posted["ts"]))["messages"]
    assert [one["text"] for one in thread] == ["a", "reply"]


async def test_channels_are_refused_as_slack_does(slack: Slack, client: AsyncWebClient) -> None:
    """Names, members, archives and kinds of channels count as in Slack."""
    create = client.conversations_create
    names = {"": "required", "x" * 81: "maxlength", "Ops": "specials", "a b": "specials", "--": "punctuation"}
    for name, reason in names.items():
        assert await refused(create(name=name)) == f"invalid_name_{reason}"
    assert await refused(create(name="ops")) == "name_taken"
    assert await refused(create(name="secret", is_private=True)) == "missing_scope"
    strange = slack.workspace.add_channel("strange", member=False)
    assert await refused(client.conversations_setTopic(channel=strange.id, topic="a")) == "not_in_channel"
    assert await refused(client.conversations_history(channel=strange.id)) == "not_in_channel"
    await client.conversations_join(channel=strange.id)
    assert await refused(client.conversations_setTopic(channel=strange.id, topic="x" * 251)) == "too_long"
    assert await refused(client.conversations_history(channel="strange")) == "channel_not_found"
    assert await refused(client.conversations_list(types="all")) == "invalid_types"
    assert await refused(client.conversations_list(limit=1001)) == "invalid_limit"
    assert await refused(client.conversations_list(cursor="x")) == "invalid_cursor"
    ann, bot = slack.workspace.users[-1].id, slack.workspace.bot.id
    assert await refused(client.conversations_invite(channel=strange.id, users="")) == "no_user"
    assert await refused(client.conversations_invite(channel=strange.id, users=[ann, bot])) == (
        "cant_invite_self"
    )
    assert ann not in strange.members
    strange.archived = True
    assert await refused(client.conversations_join(channel=strange.id)) == "is_archived"
    assert len((await client.conversations_list(exclude_archived=True))["channels"]) == 1


async def test_people_are_found_by_address(slack: Slack, client: AsyncWebClient) -> None:
    """`users.lookupByEmail` knows who is there, `auth.test` who we are."""
    found = await client.users_lookupByEmail(email="ann@example.com")
    assert found["user"]["id"] == slack.workspace.users[-1].id
    assert await refused(client.users_lookupByEmail(email="")) == "users_not_found"
    assert (await client.auth_test())["user_id"] == slack.workspace.bot.id
    client.token = None
    assert await refused(client.auth_test()) == "not_authed"
