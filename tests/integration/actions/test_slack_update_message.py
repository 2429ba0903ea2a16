"""`slack.update_message` against a Slack on loopback: edited in place, as often as one likes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from runbookd.actions.performer import CataloguePerformer
from runbookd.model.action import OutcomeState
from tests.contract.actions.hands import SetClock, call, failed, performing, succeeded
from tests.fakes.slack import TOKEN, Fault, Slack, slack_server

BUTTON = {"id": "acknowledge", "label": "Acknowledge", "value": "inc-1:1"}


@pytest.fixture
async def slack() -> AsyncIterator[Slack]:
    """A workspace with the channel #ops."""
    async with slack_server(SetClock().now) as server:
        server.workspace.add_channel("ops")
        yield server


@pytest.fixture
async def performer(slack: Slack) -> AsyncIterator[CataloguePerformer]:
    """A performer that signs in there."""
    async with performing(slack.config(), slack_bot_token=TOKEN) as made:
        yield made


async def test_a_message_is_edited_in_place(slack: Slack, performer: CataloguePerformer) -> None:
    """Text, title and buttons are replaced, and gone where they are not given; done twice it is the same."""
    params = {"channel": "#ops", "title": "P1", "text": "It is being rolled back.", "buttons": [BUTTON]}
    posted = succeeded(await performer.perform(call("slack.post_message", params)))
    edit = call("slack.update_message", {**posted, "text": "Acknowledged by ann."})
    for edits in (1, 2):
        assert succeeded(await performer.perform(edit)) == posted
        (message,) = slack.workspace.channels[0].messages
        assert (message.sections, message.buttons, message.edits) == (["Acknowledged by ann."], {}, edits)
        assert message.text == "Acknowledged by ann."


async def test_a_label_in_an_edit_notifies_nobody(slack: Slack, performer: CataloguePerformer) -> None:
    """Slack reads an edit's plain words for mentions unless told not to, unlike a post's; it is told."""
    posted = succeeded(await performer.perform(call("slack.post_message", {"channel": "#ops", "text": "a"})))
    hostile = {**posted, "title": "@channel &lt;!here&gt;", "text": "@everyone &lt;!channel&gt; \ud83d"}
    succeeded(await performer.perform(call("slack.update_message", hostile)))
    (message,) = slack.workspace.channels[0].messages
    assert message.mentions == []
    assert message.sections == ["@everyone &lt;!channel&gt; \ufffd"]


async def test_what_cannot_be_edited_is_told(slack: Slack, performer: CataloguePerformer) -> None:
    """A message that is gone, somebody else's, or in an archived channel is a permanent failure with advice."""
    ops = slack.workspace.channels[0]
    theirs = {"channel": ops.id, "ts": slack.workspace.say(ops, "hello").ts, "text": "b"}
    assert "only edit what it posted itself" in failed(
        await performer.perform(call("slack.update_message", theirs)), "conflict"
    )
    gone = theirs | {"ts": "1.000001"}
    assert "gone" in failed(await performer.perform(call("slack.update_message", gone)), "not_found")
    named = theirs | {"channel": "#ops"}
    assert "channel" in failed(await performer.perform(call("slack.update_message", named)), "invalid")
    ours = succeeded(await performer.perform(call("slack.post_message", {"channel": "#ops", "text": "a"})))
    ops.archived = True
    outcome = await performer.perform(call("slack.update_message", {**ours, "text": "b"}))
    assert "archived" in failed(outcome, "conflict")


async def test_an_edit_whose_answer_was_lost_is_in_doubt(slack: Slack, performer: CataloguePerformer) -> None:
    """An edit that was made and not answered is in doubt, and may be made again."""
    posted = succeeded(await performer.perform(call("slack.post_message", {"channel": "#ops", "text": "a"})))
    edit = call("slack.update_message", {**posted, "text": "b"})
    slack.fail("chat.update", Fault(drop=True, after=True))
    failed(await performer.perform(edit), "connection_lost", OutcomeState.IN_DOUBT)
    assert performer.repeat(edit.action, edit.params).value == "safe"
    succeeded(await performer.perform(edit))
    assert slack.workspace.channels[0].messages[0].sections == ["b"]


async def test_too_many_edits_a_minute_are_held_back(slack: Slack, performer: CataloguePerformer) -> None:
    """The fifty-first edit of a minute is told how long to wait."""
    posted = succeeded(await performer.perform(call("slack.post_message", {"channel": "#ops", "text": "a"})))
    edit = call("slack.update_message", {**posted, "text": "b"})
    for _ in range(50):
        succeeded(await performer.perform(edit))
    outcome = await performer.perform(edit)
    failed(outcome, "rate_limited")
    assert outcome.failure is not None
    assert outcome.failure.retry_after == 60.0
