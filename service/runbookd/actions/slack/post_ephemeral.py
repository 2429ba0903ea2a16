"""`slack.post_ephemeral`: tell one person something in a channel, so that nobody else sees it.

Changes Slack: a message only that person sees, until they load Slack anew; Slack does not promise that it is shown.
Not undone, because it vanishes by itself. Seen twice it does no harm, so it may be repeated.
https://docs.slack.dev/reference/methods/chat.postEphemeral
"""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from runbookd.actions.base import Action, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.actions.slack.blocks import Text, message
from runbookd.actions.slack.channels import Timestamp, UserId
from runbookd.actions.slack.client import ask, text_of
from runbookd.model.action import Permission, Repeat, Spec
from runbookd.model.people import SlackPlace


class Params(BaseParams):
    """Whom to tell, where, and what."""

    channel: SlackPlace = Field(description="`#name` or the id of a channel the person is in.")
    user: UserId = Field(description="The id of the person.")
    text: Text
    thread_ts: Timestamp | None = Field(
        default=None, description="The `ts` of the thread it is shown in. null: in the channel."
    )


class Result(BaseResult):
    """The message."""

    ts: str = Field(description="Its `ts`; it cannot be edited by it.")


SPEC = Spec(
    name="slack.post_ephemeral",
    summary="Tell one person something in a Slack channel, unseen by the others.",
    mutates=True,
    repeat=Repeat.SAFE,
    undo="Not undone: it vanishes by itself.",
    timeout=timedelta(seconds=15),
    permissions=(Permission(system="slack", rule={"scopes": ["chat:write"]}),),
    example={"channel": "#critical-alerts", "user": "U012AB3CD", "text": "Somebody else was faster."},
)


async def run(params: Params, context: Context) -> Result:
    """Post it. Raises RefusedBySlack when the person is not in the channel, or Slack does not take it."""
    made = message(None, params.text)
    what = f"Slack chat.postEphemeral to {params.user} in {params.channel}"
    answer = await ask(
        context,
        what,
        lambda slack: slack.chat_postEphemeral(
            channel=params.channel,
            user=params.user,
            text=made.text,
            blocks=made.blocks,
            thread_ts=params.thread_ts,
            parse="none",
            link_names=False,
        ),
    )
    return Result(ts=text_of(answer, what, "message_ts"))


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run)
