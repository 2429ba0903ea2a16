"""`slack.create_channel` against a Slack on loopback: one channel for one call, whatever breaks on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import sha256

import pytest

from runbookd.actions.performer import CataloguePerformer
from runbookd.model.action import Call, OutcomeState, Probed
from tests.contract.actions.hands import KEY, SetClock, call, failed, performing, succeeded
from tests.fakes.slack import TOKEN, Fault, Slack, slack_server
from tests.fakes.slack_workspace import Channel

NAME = "incident-20260304-0506"
IN_DOUBT = OutcomeState.IN_DOUBT


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


def creating(call_key: str = KEY, timeout: float = 10.0, **params: object) -> Call:
    """A call that makes the incident's channel; `timeout` in seconds."""
    made = {"name": NAME, "topic": "P1: rollout is stuck", "purpose": "Opened by runbookd"}
    return call("slack.create_channel", made | params, timeout=timeout, key=call_key)


def own(call_key: str = KEY) -> str:
    """The name with the ending that is the call's own."""
    return f"{NAME}-{sha256(call_key.encode()).hexdigest()[:6]}"


def again(made: Call) -> Call:
    """The next attempt at the same call, with time enough."""
    return replace(made, attempt=made.attempt + 1, timeout=call("x").timeout)


def channels(slack: Slack) -> list[str]:
    """The names of all channels."""
    return [channel.name for channel in slack.workspace.channels]


def make(slack: Slack, name: str) -> Channel:
    """A channel the app made."""
    channel = slack.workspace.add_channel(name)
    channel.creator = slack.workspace.bot.id
    return channel


async def test_a_channel_is_made(slack: Slack, performer: CataloguePerformer) -> None:
    """It has the name, topic, purpose and people asked for, and bears a mark of the call."""
    ann, bob = (slack.workspace.add_user(name, f"{name}@example.com").id for name in ("ann", "bob"))
    outcome = await performer.perform(creating(invite=[ann, bob, ann]))
    (channel,) = slack.workspace.channels
    assert succeeded(outcome) == {"channel": channel.id, "name": NAME, "created": True, "problems": []}
    assert outcome.change == {"before": None, "after": {"channel": channel.id, "name": NAME}}
    assert channel.topic == "P1: rollout is stuck"
    assert channel.purpose.startswith("Opened by runbookd [runbookd ")
    assert channel.members == {ann, bob, slack.workspace.bot.id}
    answer, known = await performer.probe(creating())
    assert answer is Probed.DONE
    assert known is not None
    assert known.output == succeeded(outcome)


async def test_a_taken_name_gets_an_ending(slack: Slack, performer: CataloguePerformer) -> None:
    """It is the call's own; archived channels hold their names."""
    slack.workspace.add_channel(NAME).archived = True
    assert succeeded(await performer.perform(creating()))["name"] == own()
    assert slack.counts["conversations.list"] == 0


async def test_two_incidents_of_one_minute_get_a_channel_each(
    slack: Slack, performer: CataloguePerformer
) -> None:
    """A second call of the same name makes a second channel, and each call finds its own."""
    first, second = creating("incident 1"), creating("incident 2")
    made = [succeeded(await performer.perform(one))["name"] for one in (first, second)]
    assert made == [NAME, own("incident 2")]
    for one, name in zip((first, second), made, strict=True):
        _, known = await performer.probe(one)
        assert known is not None
        assert known.output["name"] == name


async def test_many_incidents_of_one_minute_wait_for_none_of_each_other(
    slack: Slack, performer: CataloguePerformer
) -> None:
    """Each has its channel after two requests at most, however many there are."""
    for number in range(8):
        succeeded(await performer.perform(creating(f"incident {number}")))
    assert channels(slack) == [NAME, *(own(f"incident {number}") for number in range(1, 8))]
    assert slack.counts["conversations.create"] == 8 + 7


async def test_two_taken_names_are_enough(slack: Slack, performer: CataloguePerformer) -> None:
    """When the call's own name is taken as well, the call fails and says so."""
    for name in (NAME, own()):
        slack.workspace.add_channel(name)
    assert f"#{NAME} and #{own()} are taken" in failed(await performer.perform(creating()), "conflict")
    assert len(slack.workspace.channels) == 2


@pytest.mark.parametrize(
    "broken",
    ["conversations.create", "conversations.setTopic", "conversations.setPurpose"],
)
@pytest.mark.parametrize("arrived", [True, False], ids=["arrived", "lost"])
async def test_a_channel_in_doubt_is_finished_and_not_made_twice(
    slack: Slack, performer: CataloguePerformer, broken: str, *, arrived: bool
) -> None:
    """Whatever is left unanswered, the next attempt takes over what is there: there is one channel, finished."""
    assert (await performer.probe(creating()))[0] is Probed.NOT_DONE
    slack.fail(broken, Fault(hang=True, after=arrived))
    made = creating(timeout=1.0)
    outcome = await performer.perform(made)
    if broken != "conversations.create":
        # It noticed in time, so it tells what is missing.
        assert "no answer in time" in succeeded(outcome)["problems"][0]
    else:
        failed(outcome, "timeout", IN_DOUBT)
    answer, _ = await performer.probe(again(made))
    done = broken == "conversations.setPurpose" and arrived
    assert answer is (Probed.DONE if done else Probed.NOT_DONE)
    finished = succeeded(await performer.perform(again(made)))
    assert finished["problems"] == []
    assert finished["created"] is (broken == "conversations.create" and not arrived)
    (channel,) = slack.workspace.channels
    assert (channel.id, channel.topic) == (finished["channel"], "P1: rollout is stuck")
    assert channel.purpose.endswith("]")


async def test_a_repeated_attempt_takes_over_nobody_elses_channel(
    slack: Slack, performer: CataloguePerformer
) -> None:
    """A channel a person made, an archived one, other names, and one with a mark or purpose of its own are left."""
    make(slack, f"{NAME}-old")
    make(slack, NAME).purpose = "[runbookd 0123456789abcdef]"
    finished = succeeded(await performer.perform(again(creating())))
    assert (finished["name"], finished["created"]) == (own(), True)


@pytest.mark.parametrize("whose", ["a person's", "archived", "of another purpose"])
async def test_a_repeated_attempt_leaves_a_channel_that_is_not_its_own(
    slack: Slack, performer: CataloguePerformer, whose: str
) -> None:
    """The name is held by something else: it makes one with its own ending."""
    if whose == "a person's":
        slack.workspace.add_channel(NAME)
    elif whose == "archived":
        make(slack, NAME).archived = True
    else:
        make(slack, NAME).purpose = "written by a person"
    finished = succeeded(await performer.perform(again(creating())))
    assert (finished["name"], finished["created"]) == (own(), True)


async def test_a_repeated_attempt_without_a_trace_makes_the_channel(
    slack: Slack, performer: CataloguePerformer
) -> None:
    """Where nothing of the name is there, the repeated attempt is like the first."""
    finished = succeeded(await performer.perform(again(creating())))
    assert (finished["name"], finished["created"]) == (NAME, True)
    repeated = succeeded(await performer.perform(again(creating())))
    assert (repeated["channel"], repeated["created"]) == (finished["channel"], False)


async def test_who_cannot_be_invited_is_told_and_the_others_come(
    slack: Slack, performer: CataloguePerformer
) -> None:
    """The channel is there all the same; who is in it already is no problem."""
    ann = slack.workspace.add_user("ann", "ann@example.com").id
    invited = [ann, "U0NOBODY00", slack.workspace.bot.id]
    made = succeeded(await performer.perform(creating(invite=invited)))
    assert slack.workspace.channels[0].members == {ann, slack.workspace.bot.id}
    (problem,) = made["problems"]
    assert "U0NOBODY00 was not invited: user_not_found" in problem
    alone = succeeded(await performer.perform(creating("other", invite=["U0NOBODY00"])))
    assert "U0NOBODY00 was not invited" in alone["problems"][0]


async def test_an_invitation_refused_as_a_whole_is_told(slack: Slack, performer: CataloguePerformer) -> None:
    """A refusal that names nobody is told as it is, whatever comes with it."""
    ann = slack.workspace.add_user("ann", "ann@example.com").id
    slack.fail("conversations.invite", Fault.word("invalid_arguments", errors=["users: odd"]))
    (problem,) = succeeded(await performer.perform(creating(invite=[ann])))["problems"]
    assert problem.endswith(": invalid_arguments")


async def test_what_cannot_be_set_is_told_and_the_rest_is_done(
    slack: Slack, performer: CataloguePerformer
) -> None:
    """A limit, a refusal or a break after the channel was made does not fail the call."""
    ann = slack.workspace.add_user("ann", "ann@example.com").id
    slack.fail("conversations.setTopic", Fault(status=429, headers={"Retry-After": "30"}))
    slack.fail("conversations.invite", Fault.word("missing_scope", needed="channels:write.invites"))
    slack.fail("conversations.setPurpose", Fault(drop=True))
    made = succeeded(await performer.perform(creating(invite=[ann])))
    topic, invite, purpose = made["problems"]
    assert "429" in topic
    assert "`channels:write.invites`" in invite
    assert "connection broke" in purpose
    assert channels(slack) == [NAME]


@pytest.mark.parametrize(
    "words",
    [
        "x" * 10_240,
        "&amp;" * 500,
        "<!channel> " * 100,
        "one\nline\r\nmore",
        "😀" * 400,
        "half \ud83d",
        "\x00",
    ],
    ids=ascii,
)
async def test_hostile_topics_are_cut_and_harmless(
    slack: Slack, performer: CataloguePerformer, words: str
) -> None:
    """Whatever a label holds, topic and purpose are taken, on one line, with no mention in them; the mark stays."""
    made = succeeded(await performer.perform(creating(topic=words, purpose=words)))
    assert made["problems"] == []
    (channel,) = slack.workspace.channels
    for text in (channel.topic, channel.purpose):
        assert "<" not in text
        assert "\n" not in text
    assert channel.purpose.endswith("]")
    assert (await performer.probe(creating()))[0] is Probed.DONE


@pytest.mark.parametrize(
    ("fault", "kind", "advice"),
    [
        (Fault.word("restricted_action"), "denied", "administrator"),
        (Fault.word("missing_scope", needed="channels:manage"), "denied", "`channels:manage`"),
        (Fault(status=429, headers={"Retry-After": "7"}), "rate_limited", "429"),
        (Fault(status=503), "unavailable", "503"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_keeps_a_channel_from_being_made_is_told(
    slack: Slack, performer: CataloguePerformer, fault: Fault, kind: str, advice: str
) -> None:
    """When Slack does not let the channel be made the call fails, without a doubt, and says what to do."""
    slack.fail("conversations.create", fault)
    assert advice in failed(await performer.perform(creating()), kind)
    assert slack.workspace.channels == []


@pytest.mark.parametrize("name", ["", "Incident", "a b", "a.b", "#a", "x" * 78, "-a"], ids=str)
async def test_a_name_slack_would_refuse_is_refused_here(performer: CataloguePerformer, name: str) -> None:
    """Capitals, spaces, dots and too long a name are told before anything is sent."""
    assert "name" in failed(await performer.perform(creating(name=name)), "invalid")


async def test_a_refused_name_and_then_no_connection_is_no_doubt(
    slack: Slack, performer: CataloguePerformer
) -> None:
    """A name that was taken leaves nothing behind, so what follows alone decides whether there is a doubt."""
    slack.workspace.add_channel(NAME)
    slack.fail("conversations.create", Fault.word("name_taken"), Fault(status=503))
    failed(await performer.perform(creating()), "unavailable")
