"""Channels and messages that are there already, looked up page by page.

https://docs.slack.dev/apis/web-api/pagination. Slack has no way to ask for one channel by name, or one message by its
metadata.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Annotated, Any

from pydantic import StringConstraints

from runbookd.actions.base import Context
from runbookd.actions.failures import Rejected
from runbookd.actions.slack.answers import RefusedBySlack
from runbookd.actions.slack.client import Call, Json, ask

EVENT_TYPE = "message_of_runbookd"
"""The type of the metadata our messages bear; its payload holds the key of the call that posted them.

Not `runbookd_...`, which is how metrics are called.
"""
_CHANNELS_A_PAGE = 1000
_MESSAGES_A_PAGE = 200
_MAX_PAGES = 20
_SKEW = timedelta(minutes=5)
"""How far Slack's clock and ours may differ."""

ChannelId = Annotated[str, StringConstraints(pattern=r"^[CDG][A-Z0-9]{6,20}$")]
"""A channel or conversation by its id."""
UserId = Annotated[str, StringConstraints(pattern=r"^[UW][A-Z0-9]{6,20}$")]
"""A person by their id."""
Timestamp = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,15}\.[0-9]{6}$")]
"""A message's `ts`, which names it within its channel."""


async def list_channels(context: Context, types: str) -> AsyncIterator[Json]:
    """Every conversation of these types that the app can see, archived ones too; raises as `ask`."""

    def page(cursor: str | None) -> Call:
        return lambda slack: slack.conversations_list(types=types, limit=_CHANNELS_A_PAGE, cursor=cursor)

    async for channel in _all(context, "Slack conversations.list", page, "channels"):
        yield channel


async def find_channel(context: Context, place: str) -> str | None:
    """The id of what a message to `#name`, a person or a channel goes to; None when there is none. Raises as `ask`."""
    if place[0] in "CDG":
        return place
    kinds = ("public_channel", "private_channel") if place[0] == "#" else ("im",)
    for types in kinds:
        async for channel in list_channels(context, types):
            if place in {f"#{channel.get('name')}", channel.get("user")}:
                return str(channel["id"])
    return None


async def find_message(context: Context, channel: str, thread_ts: str | None, key: str) -> str | None:
    """The `ts` of the message posted with this key, since the call was intended; None when there is none.

    Raises as `ask`, and Rejected (`too_large`) when there are too many messages to look through.
    """
    intended = context.call.intended_at
    oldest = None if intended is None else f"{(intended - _SKEW).timestamp():.6f}"

    def page(cursor: str | None) -> Call:
        where: dict[str, Any] = {
            "channel": channel,
            "oldest": oldest,
            "limit": _MESSAGES_A_PAGE,
            "cursor": cursor,
            "include_all_metadata": True,
        }
        if thread_ts is None:
            return lambda slack: slack.conversations_history(**where)
        return lambda slack: slack.conversations_replies(ts=thread_ts, **where)

    method = "conversations.history" if thread_ts is None else "conversations.replies"
    wanted = metadata(key)
    try:
        async for message in _all(context, f"Slack {method} of {channel}", page, "messages"):
            found = message.get("metadata") or {}
            if {name: found.get(name) for name in wanted} == wanted:
                return str(message["ts"])
    except RefusedBySlack as refused:
        if refused.word != "thread_not_found":
            raise
    return None


def metadata(key: str) -> dict[str, Any]:
    """What a message bears so that it is found again: https://docs.slack.dev/messaging/message-metadata."""
    return {"event_type": EVENT_TYPE, "event_payload": {"key": key}}


async def _all(
    context: Context, what: str, page: Callable[[str | None], Call], field: str
) -> AsyncIterator[Json]:
    """What stands in this field of every page; raises Rejected (`too_large`) after twenty of them."""
    cursor: str | None = None
    for _ in range(_MAX_PAGES):
        answer = await ask(context, what, page(cursor), reads=True)
        for one in answer.get(field) or ():
            yield one
        cursor = (answer.get("response_metadata") or {}).get("next_cursor")
        if not cursor:
            return
    raise Rejected(f"{what}: more than {_MAX_PAGES} pages of {field}; look by hand", kind="too_large")
