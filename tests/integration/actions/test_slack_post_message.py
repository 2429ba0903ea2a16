"""`slack.post_message` against a Slack on loopback: posted once, found again after a doubt, and harmless."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from runbookd.actions.performer import CataloguePerformer
from runbookd.model.action import Call, Mode, OutcomeState, Probed
from tests.contract.actions.hands import KEY, SetClock, call, failed, performing, succeeded
from tests.fakes.slack import TOKEN, Fault, Slack, slack_server

ACTION = "slack.post_message"
BUTTON = {"id": "acknowledge", "label": "Acknowledge", "value": "inc-1:1", "style": "primary"}
FAILED, IN_DOUBT = OutcomeState.FAILED, OutcomeState.IN_DOUBT


@pytest.fixture
def clock() -> SetClock:
    """The time, for Slack and for us."""
    return SetClock()


@pytest.fixture
async def slack(clock: SetClock) -> AsyncIterator[Slack]:
    """A workspace with the channel #ops."""
    async with slack_server(clock.now) as server:
        server.workspace.add_channel("ops")
        yield server


@pytest.fixture
async def performer(slack: Slack, clock: SetClock) -> AsyncIterator[CataloguePerformer]:
    """A performer that signs in there."""
    async with performing(slack.config(), clock=clock, slack_bot_token=TOKEN) as made:
        yield made


def posting(call_key: str = KEY, timeout: float = 10.0, **params: object) -> Call:
    """A call that posts to #ops; `timeout` in seconds."""
    said = {"channel": "#ops", "text": "It is being rolled back."}
    return call(ACTION, said | params, timeout=timeout, key=call_key)


async def test_a_message_is_posted(slack: Slack, performer: CataloguePerformer) -> None:
    """Title, text and buttons arrive in the channel, with the key of the call, and the result says where."""
    outcome = await performer.perform(posting(title="P1: rollout is stuck", buttons=[BUTTON]))
    posted = succeeded(outcome)
    (channel,) = slack.workspace.channels
    (message,) = channel.messages
    assert posted == {"channel": channel.id, "ts": message.ts}
    assert outcome.change == {"before": None, "after": posted}
    assert message.sections == ["It is being rolled back."]
    assert message.buttons["acknowledge"]["value"] == "inc-1:1"
    assert message.text == "P1: rollout is stuck\nIt is being rolled back."
    assert message.metadata == {"event_type": "message_of_runbookd", "event_payload": {"key": KEY}}
    (asked,) = slack.asked
    assert (asked.arguments["unfurl_links"], asked.arguments["unfurl_media"]) == (False, False)


async def test_a_channel_goes_by_name_or_id_and_a_person_by_id(
    slack: Slack, performer: CataloguePerformer
) -> None:
    """A message to a person is a direct message, whose channel the result names."""
    somebody = slack.workspace.add_user("ann", "ann@example.com")
    ops = slack.workspace.channels[0]
    assert succeeded(await performer.perform(posting(channel=ops.id)))["channel"] == ops.id
    assert (await performer.probe(posting(channel=ops.id)))[0] is Probed.DONE
    assert slack.counts["conversations.list"] == 0
    direct = succeeded(await performer.perform(posting(channel=somebody.id)))["channel"]
    assert direct == slack.workspace.direct(somebody.id).id


async def test_a_reply_stands_in_its_thread(
    slack: Slack, performer: CataloguePerformer, clock: SetClock
) -> None:
    """With `thread_ts` a message is a reply, and is looked for in that thread."""
    first = succeeded(await performer.perform(posting("first")))
    clock.at += timedelta(seconds=1)
    reply = posting("reply", thread_ts=first["ts"])
    assert (await performer.probe(reply))[0] is Probed.NOT_DONE
    second = succeeded(await performer.perform(reply))
    parent, answer = slack.workspace.channels[0].messages
    assert (answer.thread_ts, answer.ts) == (parent.ts, second["ts"])
    answered, known = await performer.probe(reply)
    assert answered is Probed.DONE
    assert known is not None
    assert known.output == second
    assert slack.counts["conversations.replies"] == 2
    assert slack.counts["conversations.history"] == 0


async def test_one_message_a_second_is_the_limit_of_a_channel(
    slack: Slack, performer: CataloguePerformer, clock: SetClock
) -> None:
    """A second message within the second is held back for as long as Slack says; another channel is not."""
    slack.workspace.add_channel("other")
    succeeded(await performer.perform(posting()))
    succeeded(await performer.perform(posting(channel="#other")))
    outcome = await performer.perform(posting())
    failed(outcome, "rate_limited")
    assert outcome.failure is not None
    assert (outcome.failure.temporary, outcome.failure.retry_after) == (True, 1.0)
    clock.at += timedelta(seconds=1)
    succeeded(await performer.perform(posting()))
    assert len(slack.workspace.channels[0].messages) == 2


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(hang=True, after=True), "timeout"),
        (Fault(drop=True, after=True), "connection_lost"),
        (Fault(status=502, after=True, body="<html>Bad gateway</html>"), "server_error"),
        (Fault(status=200, after=True, body="<html>Sign in to the network</html>"), "unexpected_status"),
        (replace(Fault.word("internal_error"), after=True), "server_error"),
        (replace(Fault.word("fatal_error"), after=True), "server_error"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_message_in_doubt_is_found_again(
    slack: Slack, performer: CataloguePerformer, fault: Fault, kind: str
) -> None:
    """A message that was posted and whose answer was lost is in doubt, and found by its key; it is not posted twice."""
    assert (await performer.probe(posting()))[0] is Probed.NOT_DONE
    slack.fail("chat.postMessage", fault)
    made = posting(timeout=1.0)
    message = failed(await performer.perform(made), kind, IN_DOUBT)
    assert message.startswith("Slack chat.postMessage to #ops: ")
    answer, known = await performer.probe(replace(made, timeout=timedelta(seconds=10)))
    assert answer is Probed.DONE
    assert known is not None
    (posted,) = slack.workspace.channels[0].messages
    assert known.output == {"channel": slack.workspace.channels[0].id, "ts": posted.ts}
    assert slack.counts["chat.postMessage"] == 1


@pytest.mark.parametrize(
    "fault", [Fault(hang=True), Fault(drop=True), Fault(status=500)], ids=["hang", "drop", "500"]
)
async def test_a_message_that_never_arrived_is_not_found(
    slack: Slack, performer: CataloguePerformer, fault: Fault
) -> None:
    """A call that broke off before anything was posted is in doubt too, and then known not to be done."""
    assert (await performer.probe(posting()))[0] is Probed.NOT_DONE
    slack.fail("chat.postMessage", fault)
    made = posting(timeout=1.0)
    assert (await performer.perform(made)).state is IN_DOUBT
    made = replace(made, timeout=timedelta(seconds=10))
    assert await performer.probe(made) == (Probed.NOT_DONE, None)
    succeeded(await performer.perform(made))
    assert len(slack.workspace.channels[0].messages) == 1


async def test_only_the_own_key_is_found(slack: Slack, performer: CataloguePerformer) -> None:
    """A message with another key, or of a person who writes the same words, is not taken for it."""
    succeeded(await performer.perform(posting("another")))
    slack.workspace.say(slack.workspace.channels[0], "It is being rolled back.")
    assert (await performer.probe(posting()))[0] is Probed.NOT_DONE


async def test_a_key_of_its_own_goes_before_the_calls(slack: Slack, performer: CataloguePerformer) -> None:
    """With `key` a message is known by that, whichever call posts it or looks for it."""
    succeeded(await performer.perform(posting("a call", key="msg-7")))
    assert (await performer.probe(posting("another call", key="msg-7")))[0] is Probed.DONE
    assert (await performer.probe(posting("a call")))[0] is Probed.NOT_DONE


async def test_an_edited_message_is_still_found(slack: Slack, performer: CataloguePerformer) -> None:
    """An edit keeps the key."""
    posted = succeeded(await performer.perform(posting()))
    succeeded(await performer.perform(call("slack.update_message", {**posted, "text": "Done."})))
    assert (await performer.probe(posting()))[0] is Probed.DONE


async def test_a_message_is_found_on_a_later_page(slack: Slack, performer: CataloguePerformer) -> None:
    """Channels and messages are looked through page by page."""
    for number in range(5):
        slack.workspace.add_channel(f"c{number}")
    late = slack.workspace.add_channel("late")
    succeeded(await performer.perform(posting(channel="#late")))
    for number in range(5):
        slack.workspace.say(late, f"What now? {number}")
    slack.page_size = 2
    assert (await performer.probe(posting(channel="#late")))[0] is Probed.DONE
    assert slack.counts["conversations.list"] == 4
    assert slack.counts["conversations.history"] == 3


async def test_too_much_to_look_through_is_told(slack: Slack, performer: CataloguePerformer) -> None:
    """Where there is no end of messages it is not known whether one is there, and a person has to look."""
    for number in range(21):
        slack.workspace.say(slack.workspace.channels[0], f"What now? {number}")
    slack.page_size = 1
    answer, outcome = await performer.probe(posting())
    assert answer is Probed.UNKNOWN
    assert outcome is not None
    assert "look by hand" in failed(outcome, "too_large")


async def test_what_was_written_long_before_is_not_looked_through(
    slack: Slack, performer: CataloguePerformer, clock: SetClock
) -> None:
    """Only what came since the call was intended is looked at, and a little before: clocks differ."""
    succeeded(await performer.perform(posting()))
    intended = clock.at
    later = replace(posting(), intended_at=intended + timedelta(minutes=4))
    much_later = replace(posting(), intended_at=intended + timedelta(minutes=6))
    whenever = replace(posting(), intended_at=None)
    assert [(await performer.probe(one))[0] for one in (later, much_later, whenever)] == [
        Probed.DONE,
        Probed.NOT_DONE,
        Probed.DONE,
    ]


async def test_a_direct_message_is_found(slack: Slack, performer: CataloguePerformer) -> None:
    """A message to a person is looked for in the direct messages with them; without any it was not posted."""
    ann, bob = (slack.workspace.add_user(name, f"{name}@example.com").id for name in ("ann", "bob"))
    succeeded(await performer.perform(posting(channel=ann)))
    assert (await performer.probe(posting(channel=ann)))[0] is Probed.DONE
    assert (await performer.probe(posting(channel=bob)))[0] is Probed.NOT_DONE


async def test_a_private_channel_is_found(slack: Slack, performer: CataloguePerformer) -> None:
    """Private channels the app is in are looked through after the public ones."""
    slack.workspace.add_channel("secret", private=True)
    succeeded(await performer.perform(posting(channel="#secret")))
    assert (await performer.probe(posting(channel="#secret")))[0] is Probed.DONE


async def test_an_answer_to_a_message_that_is_gone_was_not_posted(performer: CataloguePerformer) -> None:
    """A thread that is not there holds no message of ours, and takes none."""
    gone = posting(thread_ts="1772600767.000099")
    assert (await performer.probe(gone))[0] is Probed.NOT_DONE
    assert "thread_ts" in failed(await performer.perform(gone), "not_found")


async def test_without_membership_a_doubt_stays(slack: Slack, performer: CataloguePerformer) -> None:
    """An app may be allowed to post where it is no member, but cannot look there: it says what would help."""
    slack.workspace.add_channel("strange", member=False)
    assert "invite it" in failed(await performer.perform(posting(channel="#strange")), "denied")
    slack.scopes.add("chat:write.public")
    succeeded(await performer.perform(posting(channel="#strange")))
    answer, outcome = await performer.probe(posting(channel="#strange"))
    assert answer is Probed.UNKNOWN
    assert outcome is not None
    assert "invite it" in failed(outcome, "denied")


@pytest.mark.parametrize(
    ("scope", "channel", "looked_for"),
    [
        ("channels:read", "#ops", "`channels:read`"),
        ("groups:read", "#none", "`groups:read`"),
        ("channels:history", "#ops", "`channels:history`"),
    ],
)
async def test_a_missing_scope_is_named(
    slack: Slack, performer: CataloguePerformer, scope: str, channel: str, looked_for: str
) -> None:
    """Whoever reads that a doubt could not be settled reads which scope the app lacks."""
    slack.scopes.remove(scope)
    answer, outcome = await performer.probe(posting(channel=channel))
    assert answer is Probed.UNKNOWN
    assert outcome is not None
    assert looked_for in failed(outcome, "denied")


@pytest.mark.parametrize(
    ("params", "archived", "kind", "advice"),
    [
        ({"channel": "#nowhere"}, False, "not_found", "check the name"),
        ({"channel": "C0NOWHERE0"}, False, "not_found", "check the name"),
        ({}, True, "conflict", "archived"),
        ({"channel": "ops"}, False, "invalid", "channel"),
        ({"text": " "}, False, "invalid", "says nothing"),
        ({"thread_ts": "yesterday"}, False, "invalid", "thread_ts"),
        ({"buttons": [BUTTON, BUTTON]}, False, "invalid", "buttons"),
        ({"txt": "a"}, False, "invalid", "txt"),
    ],
    ids=str,
)
async def test_what_cannot_be_posted_is_told(
    slack: Slack,
    performer: CataloguePerformer,
    params: Mapping[str, Any],
    archived: bool,  # noqa: FBT001 - a row
    kind: str,
    advice: str,
) -> None:
    """Each reason is a permanent failure that says what to do."""
    slack.workspace.channels[0].archived = archived
    outcome = await performer.perform(posting(**params))
    assert advice in failed(outcome, kind)
    assert outcome.failure is not None
    assert not outcome.failure.temporary


HOSTILE = {
    "mention": "&lt;!channel&gt; &lt;@U012AB3CD&gt;",
    "plain mention": "@channel @here @everyone",
    "markup": "</p><script>alert(1)</script>".replace("<", "&lt;").replace(">", "&gt;"),
    "lines": "one\r\ntwo\rthree\u2028four",
    "long": "x" * 10_240,
    "long and escaped": "&amp;" * 2_048,
    "emoji": "😀👩‍🚒" * 500,
    "half a surrogate": "a \ud83d b \ude00 c",
    "controls": "nul \x00 bell \x07 escape \x1b[31m",
    "braces": "{0} %s ${secret.slack_bot_token} {{ 7 * 7 }}",
    "quotes": '"\\' * 4_000,
}


@pytest.mark.parametrize("label", HOSTILE.values(), ids=list(HOSTILE))
async def test_hostile_labels_are_shown_and_do_nothing(
    slack: Slack, performer: CataloguePerformer, label: str
) -> None:
    """Whatever a label holds, the message is taken, notifies nobody, and shows the label's words."""
    button = {"id": "a", "label": "Acknowledge", "value": label[:250]}
    succeeded(await performer.perform(posting(title=label, text=f"Label: {label}", buttons=[button])))
    (message,) = slack.workspace.channels[0].messages
    assert message.mentions == []
    assert message.sections[0].startswith(f"Label: {label[:2].strip()}")


async def test_observing_posts_nothing(slack: Slack, performer: CataloguePerformer) -> None:
    """In observe mode nobody is told."""
    outcome = await performer.perform(replace(posting(), mode=Mode.OBSERVE))
    assert outcome.state is OutcomeState.SKIPPED
    assert slack.asked == []
