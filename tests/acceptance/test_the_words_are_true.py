"""What people are told is true: why it is they, who has it, how it stands, and how it ended."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runbookd.model.action import Failure, Outcome, OutcomeState
from runbookd.model.escalation import Channel, Message, MessageKind, MessageState
from runbookd.model.library import Library
from runbookd.model.playbook import Playbook
from runbookd.reports.public_incidents import public_incidents
from runbookd.reports.review import review_of
from runbookd.reports.review_document import document_of
from runbookd.units.people import Do
from runbookd.units.record import read_record
from tests.acceptance.engine import NOON, alert
from tests.acceptance.people import MINUTE, SECOND, House, house, ladder, library, mailed
from tests.acceptance.voices import DEAF

REASON = "restarted the gateway by hand"
BROKEN = Failure(kind="exit_status", message="broke off in the middle")
"""What is not looked at again: something may have been changed."""
REMEDY = Playbook.model_validate(
    {"playbook": "take-back", "steps": [{"id": "s", "action": "hand.turn", "timeout": "5s"}]}
)


def remedied(**changes: Any) -> Library:
    """A shipped P0 with one remedy."""
    rules = library({"run": [{"playbook": "take-back"}], "incident": {"title": "Shop eu is down"}}).rules
    return replace(library(), rules=rules, playbooks={"take-back": REMEDY}, **changes)


async def whys(home: House) -> list[tuple[str, str]]:
    """To whom a page went, and why them."""
    pages = {(one.contact, line_of(one, "Why you")): None for one in await home.sent(MessageKind.PAGE)}
    return list(pages)


def line_of(message: Message, name: str) -> str:
    """What stands in the first line of this name; empty without one."""
    lines = str(message.words["body"]).splitlines()
    return next((line.removeprefix(f"{name}: ") for line in lines if line.startswith(f"{name}: ")), "")


# why you -----------------------------------------------------------------------------------------------------


async def test_a_page_says_its_own_reason(tmp_path: Path) -> None:
    """The level and its time, or the clock that ran out by its name; each page its own, whatever broke before."""
    levels = [
        {"after": "0m", "page": ["l1"]},
        {"on_breach": "acknowledge", "page": ["l2"]},
        {"after": "10m", "unless": "acknowledged", "page": ["l3"]},
        {"after": "12m", "page": ["l4"]},
        {"on_breach": "resolve", "page": ["l5"]},
    ]
    people = mailed("l1", "l2", "l3", "l4", "l5")
    times = {"acknowledge_within": "5m", "resolve_within": "30m"}
    async with house(tmp_path, ladder(levels, people, **times)) as home:
        await home.breaks()
        await home.minutes(31)
        assert await whys(home) == [
            ("l1", "level 1: told at once"),
            ("l2", "not acknowledged within 5 minutes"),
            ("l3", "level 3: not acknowledged after 10 minutes"),
            ("l4", "level 4: 12 minutes after it opened"),
            ("l5", "not resolved within 30 minutes"),
        ]


async def test_who_is_asked_again_hears_whose_acknowledgement_expired(tmp_path: Path) -> None:
    """Who had been paged is asked again; the level that the acknowledgement had stopped is told what ran out."""
    levels = [
        {"after": "0m", "page": ["l1"]},
        {"after": "10m", "unless": "acknowledged", "page": ["l2"]},
    ]
    async with house(tmp_path, ladder(levels, mailed("l1", "l2"), ack_expires="30m")) as home:
        await home.breaks()
        await home.minutes(2)
        await home.lab.act(Do.ACKNOWLEDGE, actor="pagerduty:anna")
        await home.minutes(60)
        assert await whys(home) == [
            ("l1", "level 1: told at once"),
            ("l1", "asked again: anna's acknowledgement has expired"),
            ("l2", "level 2: 10 minutes after anna's acknowledgement expired"),
        ]


async def test_who_is_called_by_hand_hears_by_whom_and_why(tmp_path: Path) -> None:
    """The person's name and reason stand in the page; the level's own time does not."""
    levels = [{"after": "0m", "page": ["l1"]}, {"after": "1h", "page": ["l2"]}]
    async with house(tmp_path, ladder(levels, mailed("l1", "l2"))) as home:
        await home.breaks()
        await home.minutes(3)
        await home.lab.act(Do.ESCALATE, actor="slack:anna", text="needs a DBA")
        assert (await whys(home))[1:] == [("l2", "escalated by hand by anna: needs a DBA")]


async def test_when_automation_gives_up_or_nobody_is_reached_the_page_says_so(tmp_path: Path) -> None:
    """What became of the run, or who could not be reached, is why somebody is called before the time."""
    levels = [{"after": "20m", "page": ["l1"]}, {"after": "1h", "page": ["l2"]}]
    content = replace(
        ladder(levels, mailed("l1", "l2")), rules=remedied().rules, playbooks={"take-back": REMEDY}
    )
    async with house(tmp_path, content) as home:
        home.voices.failing = {"hand": [DEAF]}
        home.voices.deaf = {"l1@example.com"}
        await home.breaks()
        await home.minutes(1)
        assert await whys(home) == [("l2", "no way was left to l1")]
        pages = [one for one in await home.lab.messages() if one.kind is MessageKind.PAGE]
        assert line_of(pages[0], "Why you") == "handed to people: a remedy failed"


async def test_after_a_raise_the_time_counts_from_it(tmp_path: Path) -> None:
    """A level of the new priority says since when."""
    p1 = {**library().priorities["P0"].model_dump(), "name": "High", "escalation": None, "announce": []}
    levels = [{"after": "5m", "unless": "resolved", "page": ["l1"]}]
    content = ladder(levels, mailed("l1"))
    priorities = {"P0": content.priorities["P0"], "P1": content.priorities["P0"].model_validate(p1)}
    rules = library({"priority": "P1"}).rules
    async with house(tmp_path, replace(content, priorities=priorities, rules=rules)) as home:
        await home.breaks()
        await home.minutes(10)
        await home.lab.act(Do.ESCALATE, text="users are cut off", priority="P0")
        await home.minutes(20)
        assert await whys(home) == [("l1", "level 1: not resolved 5 minutes after it became P0")]


async def test_a_handover_by_a_clock_names_the_clock(tmp_path: Path) -> None:
    """News of an incident that was handed over because a time ran out says which."""
    levels = [{"after": "0m", "notify": ["l1"]}, {"on_breach": "resolve", "notify": ["l1"]}]
    times = {"respond_within": "10m", "resolve_within": "20m"}
    async with house(tmp_path, ladder(levels, mailed("l1"), **times)) as home:
        await home.breaks()
        await home.minutes(21)
        (news,) = await home.sent(MessageKind.UPDATE)
        assert "- Handed to people: nobody at work on it within 10 minutes" in str(news.words["body"])


async def test_the_second_of_a_day_says_so(tmp_path: Path) -> None:
    """Who is woken for the second P2 in 24 hours hears that, and which the first was; so does who gets the mail."""
    shape = {"title": "Shop ${event.labels.shop}", "key": ["shop"]}
    content = library({"priority": "P2", "incident": shape})
    async with house(tmp_path, content) as home:
        first = await home.breaks(shop="eu")
        await home.minutes(60)
        await home.breaks(shop="us")
        await home.minutes(61)
        why = f"the second P2 in 24 hours (after Shop eu, {first.id[-8:]})"
        assert {each for _, each in await whys(home)} == {why}
        (mail,) = [
            one
            for one in await home.sent(MessageKind.OPENED, "Engineering Manager")
            if one.incident_id != first.id
            if one.channel is Channel.EMAIL
        ]
        assert line_of(mail, "Why you") == why


async def test_a_notice_that_is_late_says_by_how_much(tmp_path: Path) -> None:
    """After an outage, as pages do; what is told in its time says nothing of it."""
    levels = [{"after": "0m", "notify": ["l1"]}, {"after": "5m", "notify": ["l1", "l2"]}]
    async with house(tmp_path, ladder(levels, mailed("l1", "l2"))) as home:
        await home.breaks()
        await home.sleeps(7 * MINUTE)
        await home.lab.move(MINUTE)
        late = "This word is 2 minutes late: the service that sends it was not running."
        told = [(one.contact, late in str(one.words["body"])) for one in await home.lab.messages()]
        assert told == [("l1", False), ("l1", True), ("l2", True)]


async def test_a_remedy_that_was_not_begun_says_why_in_words(tmp_path: Path) -> None:
    """Not by the name of the guard."""
    levels = [{"after": "20m", "page": ["l1"]}]
    content = replace(ladder(levels, mailed("l1")), rules=remedied().rules, playbooks={"take-back": REMEDY})
    async with house(tmp_path, content) as home:
        await home.breaks()
        await home.mended()
        await home.minutes(1)
        await home.breaks()
        await home.minutes(2)
        (page,) = await home.sent(MessageKind.PAGE)
        because = "its last run for this ended too recently"
        assert line_of(page, "Why you") == f"handed to people: a remedy was not begun: {because}"
        assert f"take-back was not begun: {because}" in str(page.words["body"])


# what is edited in place --------------------------------------------------------------------------------------


async def test_a_page_in_slack_keeps_its_words(tmp_path: Path) -> None:
    """Edited when the channel is there, when somebody has it and at its end: state is added, nothing is lost."""
    levels = [{"after": "0m", "page": ["l1"]}, {"after": "30m", "notify": ["slack:#late"]}]
    roles = {"l1": {"primary": {"slack": "#l1"}}}
    async with house(tmp_path, ladder(levels, roles, channel=True, ack_expires="2h")) as home:
        await home.breaks()
        await home.lab.move(MINUTE)
        (page,) = await home.sent(MessageKind.PAGE)
        kept = [
            line for line in str(page.words["body"]).splitlines() if line.startswith(("Alert", "Why you"))
        ]
        assert len(kept) == 2

        def edits() -> list[Any]:
            made = [call.params for _, call in home.voices.sent if call.action == "slack.update_message"]
            return [one for one in made if all(line in str(one["text"]).splitlines() for line in kept)]

        assert "Communication Channel: #incident-" in edits()[-1]["text"]
        await home.lab.act(Do.ACKNOWLEDGE, actor="slack:anna")
        await home.lab.move(MINUTE)
        assert "Next: anna is on it" in edits()[-1]["text"]
        assert [button["label"] for button in edits()[-1]["buttons"]] == [
            "Take over",
            "Escalate",
            "Pause automation",
        ]
        await home.minutes(31)
        late: list[Any] = [
            call.params for _, call in home.voices.sent if call.params.get("channel") == "#late"
        ]
        assert [button["id"] for button in late[0]["buttons"]] == ["acknowledge", "escalate", "pause"]
        await home.lab.act(Do.RESOLVE, actor="slack:anna", text=REASON)
        await home.lab.move(MINUTE)
        assert f"Resolution: {REASON}" in edits()[-1]["text"]
        assert edits()[-1]["buttons"] == []


async def test_an_edit_counts_from_when_its_post_was_sent(tmp_path: Path) -> None:
    """Slack shows that time beside it: of a promise for a quarter past, a post of noon says 15 minutes, at any time."""
    async with house(tmp_path, library()) as home:
        await home.breaks()
        await home.minutes(1)

        def edit() -> str:
            calls = [call for _, call in home.voices.sent if call.action == "slack.update_message"]
            made = [str(call.params["text"]) for call in calls]
            return [one for one in made if "Incident Commander: " in one][-1]

        await home.minutes(9)
        await home.lab.act(Do.ACKNOWLEDGE, actor="slack:anna")
        await home.lab.move(MINUTE)
        assert "Incident Commander: @anna" in edit()
        assert "Next Update: In 15 minutes" in edit()
        await home.lab.act(Do.NOTE, text="Looking.", public=True, actor="slack:anna")
        await home.lab.act(Do.ASSIGN, text="bert", actor="slack:anna")
        await home.lab.move(MINUTE)
        assert "Incident Commander: @bert" in edit()
        assert "Next Update: In 25 minutes" in edit()


async def test_an_edited_page_tells_how_long_it_had_lasted_then(tmp_path: Path) -> None:
    """A page of minute 5 says 5 minutes, whenever it is edited; of what is over, how long it took in all."""
    levels = [{"after": "5m", "page": ["l1"]}]
    async with house(tmp_path, ladder(levels, {"l1": {"primary": {"slack": "#l1"}}})) as home:
        await home.breaks()
        await home.minutes(20)
        for do, lasted in ((Do.ACKNOWLEDGE, "5 minutes"), (Do.RESOLVE, "20 minutes 5 seconds")):
            await home.lab.act(do, actor="slack:anna", text=REASON)
            await home.lab.move(timedelta(seconds=5))
            edits = [call.params for _, call in home.voices.sent if call.action == "slack.update_message"]
            assert f"Since: 2026-01-05 12:00 UTC, for {lasted}" in str(edits[-1]["text"]).splitlines()


# the first word ----------------------------------------------------------------------------------------------


async def test_nobody_s_first_word_is_an_update(tmp_path: Path) -> None:
    """Whoever first hears of it from a later level gets the words of the opening, and what was done until then."""
    async with house(tmp_path, remedied()) as home:
        home.voices.failing = {"hand": [DEAF]}
        await home.breaks()
        await home.minutes(40)
        first: dict[tuple[Channel, str], Message] = {}
        for one in await home.lab.messages():
            if one.kind in {MessageKind.PAGE, MessageKind.OPENED, MessageKind.UPDATE}:
                first.setdefault((one.channel, str(one.address)), one)
        assert MessageKind.UPDATE not in {one.kind for one in first.values()}
        manager = next(one for one in first.values() if one.contact == "Engineering Manager")
        assert str(manager.words["subject"]).startswith("🚨 INCIDENT ALERT - P0")
        assert line_of(manager, "Start Time") == "2026-01-05T12:00:00Z"
        assert line_of(manager, "Communication Channel").startswith("#incident-")
        assert line_of(manager, "Why you")
        assert "take-back failed" in str(manager.words["body"])


async def test_an_update_is_the_first_word_where_the_page_was_not_sent(tmp_path: Path) -> None:
    """Forty pages wait for one channel when somebody takes the incidents: the note of one is the first word there."""
    levels = [{"after": "1s", "unless": "acknowledged", "page": ["l1"]}]
    async with house(tmp_path, ladder(levels, {"l1": {"primary": {"slack": "#l1"}}})) as home:
        now = home.lab.clock.now()
        await home.lab.hear(*(alert(began=now, labels={"app": str(number)}) for number in range(40)))
        await home.lab.move(5 * SECOND)
        unsent = [one for one in await home.lab.messages() if one.state is MessageState.PENDING][-1]
        incident = str(unsent.incident_id)
        await home.lab.act(Do.ACKNOWLEDGE, incident_id=incident, actor="slack:anna")
        for text in ("Looking.", "Found it."):
            await home.lab.act(Do.NOTE, incident_id=incident, text=text, public=True, actor="slack:anna")
            await home.lab.move(MINUTE)
        told = [one for one in await home.lab.messages() if one.incident_id == incident]
        heard = [one for one in told if one.state is MessageState.SENT and one.kind is not MessageKind.EDIT]
        assert [one.kind for one in heard] == [MessageKind.OPENED, MessageKind.UPDATE]
        opened, update = heard
        assert str(opened.words["subject"]).startswith("🚨 INCIDENT ALERT - P0")
        assert "\n\nLooking.\n\nDone so far:\n" in str(opened.words["body"])
        assert line_of(opened, "Incident Commander") == "@anna"
        assert "Found it." in str(update.words["body"])


async def test_who_first_hears_of_it_after_its_end_hears_both(tmp_path: Path) -> None:
    """Who is told whatever becomes of it, as legal of a breach, is told after the end too: that it was, and is over.

    Not to be told would be worse: the runbook has them told, and they would hear of it from somebody else. An update of
    something they never heard of, with a call to act on it, helps them no more.
    """
    levels = [
        {"after": "0m", "page": ["l1"]},
        {"after": "5m", "notify": ["legal", "slack:#legal"]},
        {"after": "10m", "unless": "resolved", "page": ["l2"]},
    ]
    async with house(tmp_path, ladder(levels, mailed("l1", "legal", "l2"))) as home:
        incident = await home.breaks()
        await home.minutes(2)
        await home.lab.act(Do.RESOLVE, actor="cli:root", text=REASON)
        await home.minutes(30)
        heard = [one for one in await home.lab.messages() if one.contact == "legal"]
        assert [one.kind for one in heard] == [MessageKind.OPENED]
        assert str(heard[0].words["subject"]).startswith("✅ INCIDENT, OVER BY NOW - P0")
        assert line_of(heard[0], "Current Status") == "Resolved"
        assert line_of(heard[0], "Resolution Time") == "2026-01-05T12:02:00Z, after 2 minutes"
        assert line_of(heard[0], "Resolution") == REASON
        (post,) = [call for _, call in home.voices.sent if call.params.get("channel") == "#legal"]
        assert "buttons" not in post.params, "there is nothing left to acknowledge"
        assert not await home.sent(MessageKind.PAGE, "l2")
        record = await home.lab.store.read(lambda tx: read_record(tx, incident.id))
        levels_now = review_of(record, home.lab.clock.at).levels
        assert [one.reason for one in levels_now] == ["", "", "the incident had ended"]


# how it stands -----------------------------------------------------------------------------------------------


async def public(home: House) -> tuple[str, str, str]:
    """What our page shows of the only incident, what its last text says, and what Statuspage was told last."""
    desk, now = home.lab.pipeline.desk, home.lab.clock.at
    (shown,) = await home.lab.store.read(lambda tx: public_incidents(tx, desk, now))
    told = [call.params for _, call in home.voices.sent if call.action.startswith("statuspage.")]
    return str(shown.state), shown.updates[-1].text.partition("\n")[0], str(told[-1]["status"])


async def test_the_public_page_says_one_thing(tmp_path: Path) -> None:
    """Its state and its text, here and at Statuspage, are one fact: at work, looked into, at work again, and over."""
    async with house(tmp_path, library()) as home:
        await home.breaks()
        state, text, there = await public(home)
        assert (state, there) == ("investigating", "investigating")
        assert text.endswith("We are looking into it.")
        await home.minutes(5)
        await home.lab.act(Do.ACKNOWLEDGE, actor="slack:anna")
        await home.lab.act(Do.NOTE, text="Hold on.", public=True, actor="slack:anna")
        await home.lab.move(MINUTE)
        assert await public(home) == ("identified", "After 5 minutes: we are working on it.", "identified")
        await home.minutes(50)
        assert await public(home) == (
            "investigating",
            "After 49 minutes: we are looking into it.",
            "investigating",
        )
        await home.lab.act(Do.RESOLVE, actor="cli:root", text=REASON)
        await home.lab.move(MINUTE)
        state, text, there = await public(home)
        assert (state, there) == ("resolved", "resolved")
        assert text.startswith("The disturbance is over since 2026-01-05 12:50 UTC")


async def test_when_nobody_is_at_work_nothing_is_being_mitigated(tmp_path: Path) -> None:
    """While a remedy runs it is mitigated; when automation has handed it back it is only looked into."""
    slow = {
        "playbook": "take-back",
        "steps": [{"id": "w", "wait": "10m"}, {"id": "s", "action": "hand.turn"}],
    }
    playbooks = {"take-back": Playbook.model_validate(slow)}
    async with house(tmp_path, replace(remedied(), playbooks=playbooks)) as home:
        home.voices.failing = {"hand": [BROKEN]}
        await home.breaks()
        await home.minutes(8)
        (opened,) = await home.sent(MessageKind.OPENED, "Product Manager")
        assert line_of(opened, "Current Status") == "Mitigating"
        await home.minutes(29)
        news = (await home.sent(MessageKind.UPDATE, "#incidents"))[-1]
        assert line_of(news, "Status") == "Investigating"
        assert (await public(home))[0] == "investigating"


@pytest.mark.parametrize(("priority", "shown"), [("P0", True), ("P1", False)])
async def test_the_status_page_is_named_where_the_incident_stands_on_it(
    tmp_path: Path,
    priority: str,
    shown: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """Nobody is sent to a page that does not show what they are told of."""
    async with house(tmp_path, library({"priority": priority})) as home:
        await home.breaks()
        await home.minutes(1)
        told = await home.sent(MessageKind.OPENED, "#incidents")
        assert told
        assert {bool(line_of(one, "Status Page")) for one in told} == {shown}


# names -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("actor", "name"),
    [
        ("cli:root", "root (command line)"),
        ("api:console", "console"),
        ("pagerduty:anna", "anna"),
        ("slack:anna", "anna"),
    ],
)
async def test_people_are_called_by_their_names(tmp_path: Path, actor: str, name: str) -> None:
    """Not by the door they came in by, in no message, answer, or review."""
    async with house(tmp_path, library()) as home:
        incident = await home.breaks()
        done = await home.lab.act(Do.ACKNOWLEDGE, actor=actor)
        assert done.said.startswith(f"{name} has incident ")
        await home.lab.act(Do.NOTE, text="Looking.", public=True, actor=actor)
        await home.minutes(31)
        await home.lab.act(Do.RESOLVE, actor=actor, text=REASON)
        await home.minutes(33)
        everything = await home.lab.messages()
        (news, *_) = [
            one for one in everything if one.kind is MessageKind.UPDATE and one.contact == "Product Manager"
        ]
        assert f"- Next: {name} is on it" in str(news.words["body"])
        handle = name.removesuffix(" (command line)")
        assert f"Incident Commander: @{handle}\n" in "".join(str(one.words.get("body")) for one in everything)
        record = await home.lab.store.read(lambda tx: read_record(tx, incident.id))
        review = repr(document_of(review_of(record, home.lab.clock.at)))
        assert name in review
        assert actor not in review + "".join(str(one.words) for one in everything)


# once --------------------------------------------------------------------------------------------------------


async def test_a_page_says_its_title_once(tmp_path: Path) -> None:
    """It heads the message, in Slack and on the phone, and does not stand below itself."""
    reached = {"pagerduty": {"service_key": "${secret.pd_l1}"}, "slack": "#l1", "email": "l1@example.com"}
    content = ladder([{"after": "0m", "page": ["l1"]}], {"l1": {"primary": reached}})
    async with house(
        tmp_path, replace(content, rules=remedied().rules[:1], playbooks={"take-back": REMEDY})
    ) as home:
        await home.breaks()
        await home.minutes(1)
        for page in await home.sent(MessageKind.PAGE):
            assert f"{page.words['subject']} {page.words['body']}".count("Shop eu is down") == 1


# the end -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("helped", "by_hand"), [(True, False), (False, True), (True, True)])
async def test_the_resolution_is_what_is_known_of_it(
    tmp_path: Path,
    helped: bool,  # noqa: FBT001 - a column of the table
    by_hand: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """The remedy that helped, and what the person wrote who ended it; those outside read the shipped words only."""
    async with house(tmp_path, remedied()) as home:
        if not helped:
            home.voices.coming = [Outcome(state=OutcomeState.FAILED, failure=BROKEN)]
        await home.breaks()
        await home.minutes(3)
        if by_hand:
            await home.lab.act(Do.RESOLVE, actor="cli:root", text=REASON)
        else:
            await home.mended()
        await home.lab.move(MINUTE)
        automation = "take-back by automation, not verified"
        expected = {
            (True, False): automation,
            (False, True): REASON,
            (True, True): f"{automation}; by hand: {REASON}",
        }[helped, by_hand]
        over = await home.sent(MessageKind.RESOLVED)
        inside = [one for one in over if one.channel is not Channel.STATUSPAGE]
        assert inside
        for one in inside:
            assert f"Resolution:\n{expected}\n" in str(one.words["body"])
        for _, call in home.voices.sent:
            assert not call.action.startswith("statuspage.") or REASON not in str(call.params)
        (public_word,) = [one for one in over if one.channel is Channel.STATUSPAGE]
        assert REASON not in str(public_word.words)
        assert str(public_word.words["body"]).startswith("The disturbance is over since")
        drafts = [one for one in await home.lab.messages() if one.kind is MessageKind.REVIEW]
        mailed_draft = next(one for one in drafts if one.channel is Channel.EMAIL)
        assert (f"- By root (command line): {REASON}" in str(mailed_draft.words["body"])) is by_hand


async def test_a_remedy_that_is_still_being_checked_is_named(tmp_path: Path) -> None:
    """The alert ends before the run can say that it has helped: what mended it is told all the same."""
    checked = Playbook.model_validate(
        {
            **REMEDY.model_dump(exclude_unset=True),
            "verify": [{"action": "hand.look", "every": "5s", "for": "4m", "within": "10m"}],
        }
    )
    async with house(tmp_path, replace(remedied(), playbooks={"take-back": checked})) as home:
        await home.breaks()
        await home.minutes(1)
        await home.mended()
        await home.lab.move(MINUTE)
        over = [one for one in await home.sent(MessageKind.RESOLVED) if one.channel is not Channel.STATUSPAGE]
        assert over
        for one in over:
            assert "take-back by automation, still being checked" in str(one.words["body"])


async def test_the_end_tells_the_impact_that_was_told_first(tmp_path: Path) -> None:
    """The alert's last word of its impact is that of a moment in which it was almost over."""
    async with house(tmp_path, library()) as home:
        for text in ("100% of visits fail", "21% of visits fail"):
            firing = alert(began=NOON, labels={})
            await home.lab.hear({**firing, "annotations": {"impact": text}})
            await home.lab.move(MINUTE)
        await home.mended()
        await home.lab.move(MINUTE)
        (over,) = await home.sent(MessageKind.RESOLVED, "#incidents")
        assert "Functionality Impacted: 100% of visits fail" in str(over.words["body"])


async def test_an_end_that_nobody_explains_says_so(tmp_path: Path) -> None:
    """Nothing is made up."""
    async with house(tmp_path, library()) as home:
        await home.breaks()
        await home.mended()
        await home.lab.move(MINUTE)
        (over,) = await home.sent(MessageKind.RESOLVED, "#incidents")
        assert "Not on record: no remedy of automation was verified, and nobody said" in str(
            over.words["body"]
        )


async def test_a_level_that_a_later_one_took_in_paged_nobody(tmp_path: Path) -> None:
    """The review does not say that its contact was told, for nothing was sent there."""
    levels = [
        {"after": "1m", "unless": "resolved", "page": ["l1"]},
        {"after": "5m", "unless": "resolved", "page": ["l2"]},
    ]
    async with house(tmp_path, ladder(levels, mailed("l1", "l2"))) as home:
        incident = await home.breaks()
        await home.sleeps(10 * MINUTE)
        await home.lab.move(MINUTE)
        assert {one.contact for one in await home.lab.messages()} == {"l2"}
        record = await home.lab.store.read(lambda tx: read_record(tx, incident.id))
        text = repr(document_of(review_of(record, home.lab.clock.at)))
        assert "paged nobody: a later level was due as well" in text
        assert "together with" not in text
