"""`slack.post_message`: post a message, or a reply in a thread.

Changes Slack: a message, signed by the app, that bears the key of the call in its metadata. Not undone, because people
have been told; edit it with `slack.update_message`. Slack posts a message again when it is asked again, so after a
doubt its key is looked for in the channel; for that the app has to be a member of it.
https://docs.slack.dev/reference/methods/chat.postMessage
"""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from runbookd.actions.base import Action, Change, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.actions.slack.blocks import Buttons, Text, Title, message
from runbookd.actions.slack.channels import Timestamp, find_channel, find_message, metadata
from runbookd.actions.slack.client import ask, text_of
from runbookd.model.action import Permission, Probed, Repeat, Spec
from runbookd.model.people import SlackPlace


class Params(BaseParams):
    """What to say, and where."""

    channel: SlackPlace = Field(
        description="`#name`, or the id of a channel or a person; a person gets a direct message."
    )
    text: Text = ""
    title: Title = None
    buttons: Buttons = Field(default_factory=list)
    thread_ts: Timestamp | None = Field(
        default=None, description="The `ts` of the message it answers. null: it begins a thread of its own."
    )
    key: str | None = Field(
        default=None,
        min_length=1,
        max_length=4000,
        description="What tells this message from every other when it is looked for. null: the call's own key.",
    )


class Result(BaseResult):
    """Where the message is."""

    channel: str = Field(description="The id of the channel; a direct message has one of its own.")
    ts: str = Field(description="What names the message within the channel, for edits and replies.")


SPEC = Spec(
    name="slack.post_message",
    summary="Post a message to a channel or a person in Slack.",
    mutates=True,
    repeat=Repeat.PROBE,
    undo="Not undone: people have read it; edit it with slack.update_message.",
    timeout=timedelta(seconds=15),
    permissions=(
        Permission(system="slack", rule={"scopes": ["chat:write"]}),
        Permission(
            system="slack",
            rule={"scopes": ["channels:read", "channels:history"], "for": "looking for a message in doubt"},
        ),
        Permission(
            system="slack",
            rule={"scopes": ["groups:read", "groups:history"], "for": "the same in private channels"},
        ),
        Permission(
            system="slack", rule={"scopes": ["im:read", "im:history"], "for": "the same in direct messages"}
        ),
    ),
    example={
        "channel": "#critical-alerts",
        "title": "P1: rollout of backend is stuck",
        "text": "It is being rolled back.",
        "buttons": [{"id": "acknowledge", "label": "Acknowledge", "value": "inc-1", "style": "primary"}],
    },
)


async def run(params: Params, context: Context) -> Result:
    """Post it. Raises RefusedBySlack, its message telling what to do, when Slack does not take it."""
    made = message(params.title, params.text, params.buttons)
    what = f"Slack chat.postMessage to {params.channel}"
    answer = await ask(
        context,
        what,
        lambda slack: slack.chat_postMessage(
            channel=params.channel,
            text=made.text,
            blocks=made.blocks,
            thread_ts=params.thread_ts,
            metadata=metadata(_key(params, context)),
            parse="none",
            link_names=False,
            unfurl_links=False,
            unfurl_media=False,
        ),
    )
    posted = {name: text_of(answer, what, name) for name in ("channel", "ts")}
    return Result(**posted, change=Change(before=None, after=posted))


async def probe(params: Params, context: Context) -> tuple[Probed, Result | None]:
    """Look for a message with the key where it would be."""
    channel = await find_channel(context, params.channel)
    if channel is None:
        return Probed.NOT_DONE, None
    ts = await find_message(context, channel, params.thread_ts, _key(params, context))
    return (Probed.NOT_DONE, None) if ts is None else (Probed.DONE, Result(channel=channel, ts=ts))


def _key(params: Params, context: Context) -> str:
    return params.key or context.call.key


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run, probe=probe)
