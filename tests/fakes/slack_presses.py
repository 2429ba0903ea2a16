"""A press of a button in the Slack of `tests/fakes/slack.py`, and what an app may answer to it later.

https://docs.slack.dev/interactivity/handling-user-interaction and
https://docs.slack.dev/authentication/verifying-requests-from-slack. The app has three seconds to answer; `response_url`
works five times, for half an hour.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import aiohttp

from tests.fakes.slack_workspace import APP, TEAM, Channel, Message, User

ANSWER_WITHIN = 3.0
MAX_RESPONSES = 5
RESPONSES_FOR = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Pressed:
    """What the app answered; `status` is None when it did not within three seconds, or could not be reached."""

    status: int | None
    body: str


@dataclass(slots=True)
class ResponseUrl:
    """Where the app may answer a press later, and what it sent there."""

    channel: Channel
    message: Message
    user: str
    opened: datetime
    received: list[Mapping[str, Any]] = field(default_factory=list)

    def refusal(self, now: datetime) -> str | None:
        """Why it takes nothing more; None while it does."""
        if now - self.opened > RESPONSES_FOR:
            return "expired_url"
        return "used_url" if len(self.received) >= MAX_RESPONSES else None


def signed(body: bytes, secret: str, at: datetime) -> dict[str, str]:
    """The headers of a request that Slack signed at that time."""
    stamp = str(int(at.timestamp()))
    digest = hmac.new(secret.encode(), b"v0:" + stamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": f"v0={digest}",
    }


def form(payload: Mapping[str, Any]) -> bytes:
    """An interaction as it is posted."""
    return urlencode({"payload": json.dumps(payload)}).encode()


def press_payload(
    place: tuple[Channel, Message], action_id: str, user: User, response_url: str, ids: Callable[[], str]
) -> dict[str, Any]:
    """What a press of a button sends; AssertionError when the message has no such button."""
    channel, message = place
    assert action_id in message.buttons, (
        f"the message has the buttons {list(message.buttons)}, not {action_id!r}"
    )
    button = message.buttons[action_id]
    action = {name: button[name] for name in ("action_id", "text", "value", "style") if name in button}
    return {
        "type": "block_actions",
        "user": {"id": user.id, "username": user.name, "name": user.name, "team_id": TEAM},
        "api_app_id": APP,
        "token": "a-verification-token-nobody-may-rely-on",
        "container": {
            "type": "message",
            "message_ts": message.ts,
            "channel_id": channel.id,
            "is_ephemeral": False,
        },
        "trigger_id": f"{ids()}.{TEAM}",
        "team": {"id": TEAM, "domain": "shop"},
        "enterprise": None,
        "is_enterprise_install": False,
        "channel": {"id": channel.id, "name": channel.name or "directmessage"},
        "message": message.shown(),
        "state": {"values": {}},
        "response_url": response_url,
        "actions": [{**action, "type": "button", "block_id": "b1", "action_ts": ids()}],
    }


async def post(address: str, body: bytes, headers: Mapping[str, str]) -> Pressed:
    """Send an interaction to the app; it is sent once, whatever becomes of it."""
    patience = aiohttp.ClientTimeout(total=ANSWER_WITHIN)
    try:
        async with (
            aiohttp.ClientSession(timeout=patience) as session,
            session.post(address, data=body, headers=headers) as answer,
        ):
            return Pressed(answer.status, await answer.text())
    except (TimeoutError, aiohttp.ClientError):
        return Pressed(None, "")
