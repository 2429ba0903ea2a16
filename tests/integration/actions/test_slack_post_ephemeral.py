"""`slack.post_ephemeral` against a Slack on loopback: one person sees it, and nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from runbookd.actions.performer import CataloguePerformer
from runbookd.model.action import OutcomeState
from tests.contract.actions.hands import SetClock, call, failed, performing, succeeded
from tests.fakes.slack import TOKEN, Fault, Slack, slack_server
from tests.fakes.slack_workspace import User

ACTION = "slack.post_ephemeral"


@pytest.fixture
async def slack() -> AsyncIterator[Slack]:
    """A workspace with the channel #ops."""
    async with slack_server(SetClock().now) as server:
        server.workspace.add_channel("ops")
        yield server


@pytest.fixture
def ann(slack: Slack) -> User:
    """Somebody in #ops."""
    user = slack.workspace.add_user("ann", "ann@example.com")
    slack.workspace.channels[0].members.add(user.id)
    return user


@pytest.fixture
async def performer(slack: Slack) -> AsyncIterator[CataloguePerformer]:
    """A performer that signs in there."""
    async with performing(slack.config(), slack_bot_token=TOKEN) as made:
        yield made


async def test_one_person_is_told(slack: Slack, performer: CataloguePerformer, ann: User) -> None:
    """The message is for that person only, and what a label holds notifies nobody."""
    params = {"channel": "#ops", "user": ann.id, "text": "@channel &lt;!here&gt; \ud83d you are not mapped"}
    told = succeeded(await performer.perform(call(ACTION, params)))
    (message,) = slack.workspace.channels[0].messages
    assert told == {"ts": message.ts}
    assert (message.seen_by, message.mentions) == (ann.id, [])
    assert message.sections == ["@channel &lt;!here&gt; \ufffd you are not mapped"]


async def test_who_cannot_be_told_is_told(slack: Slack, performer: CataloguePerformer, ann: User) -> None:
    """A person who is not in the channel, or not in the workspace, is a permanent failure with advice."""
    slack.workspace.channels[0].members.remove(ann.id)
    params = {"channel": "#ops", "user": ann.id, "text": "a"}
    assert "invite them" in failed(await performer.perform(call(ACTION, params)), "not_found")
    params["user"] = "U0NOBODY00"
    assert "check the id" in failed(await performer.perform(call(ACTION, params)), "not_found")
    params["user"] = "ann"
    assert "user" in failed(await performer.perform(call(ACTION, params)), "invalid")


async def test_a_lost_answer_is_a_doubt_that_may_be_repeated(
    slack: Slack, performer: CataloguePerformer, ann: User
) -> None:
    """Nobody can look whether it was shown; shown twice it does no harm."""
    made = call(ACTION, {"channel": "#ops", "user": ann.id, "text": "a"})
    slack.fail("chat.postEphemeral", Fault(drop=True, after=True))
    failed(await performer.perform(made), "connection_lost", OutcomeState.IN_DOUBT)
    assert performer.repeat(made.action, made.params).value == "safe"
    succeeded(await performer.perform(made))
