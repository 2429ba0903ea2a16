"""`slack.update_message`: replace what a message of ours says, in place.

Changes Slack: the text, title and buttons of one message; what is not given is gone. Not undone by itself: the next
update says what is true then. Done twice it is the same, so it may be repeated.
https://docs.slack.dev/reference/methods/chat.update
"""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from runbookd.actions.base import Action, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.actions.slack.blocks import Buttons, Text, Title, message
from runbookd.actions.slack.channels import ChannelId, Timestamp
from runbookd.actions.slack.client import ask, text_of
from runbookd.model.action import Permission, Repeat, Spec


class Params(BaseParams):
    """Which message, and what it says from now on."""

    channel: ChannelId = Field(description="The id of its channel, as `slack.post_message` gives it.")
    ts: Timestamp = Field(description="Its `ts`, as `slack.post_message` gives it.")
    text: Text = ""
    title: Title = None
    buttons: Buttons = Field(default_factory=list)


class Result(BaseResult):
    """The message."""

    channel: str = Field(description="The id of its channel.")
    ts: str = Field(description="Its `ts`, which an edit does not change.")


SPEC = Spec(
    name="slack.update_message",
    summary="Edit a message in Slack in place.",
    mutates=True,
    repeat=Repeat.SAFE,
    undo="Not undone: Slack does not keep what it said before; update it again.",
    timeout=timedelta(seconds=15),
    permissions=(Permission(system="slack", rule={"scopes": ["chat:write"]}),),
    example={
        "channel": "C012AB3CD",
        "ts": "1772600767.000123",
        "text": "The rollout was rolled back.",
    },
)


async def run(params: Params, context: Context) -> Result:
    """Edit it. Raises RefusedBySlack when it is gone, or not ours."""
    made = message(params.title, params.text, params.buttons)
    what = f"Slack chat.update in {params.channel}"
    answer = await ask(
        context,
        what,
        # Without `parse` an edit, unlike a post, reads a plain @channel as a mention.
        lambda slack: slack.chat_update(
            channel=params.channel,
            ts=params.ts,
            text=made.text,
            blocks=made.blocks,
            parse="none",
            link_names=False,
        ),
    )
    return Result(channel=text_of(answer, what, "channel"), ts=text_of(answer, what, "ts"))


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run)
