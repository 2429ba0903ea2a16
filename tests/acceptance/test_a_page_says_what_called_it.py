"""Promise G6: what a page says of why it came is what made it come, and what is said elsewhere of the same is that."""

from __future__ import annotations

from pathlib import Path

from runbookd.model.action import Call
from runbookd.model.escalation import Message, MessageKind
from runbookd.reports.review import review_of
from runbookd.units.people import Act, Do, act
from runbookd.units.record import read_record
from tests.acceptance.engine import NOON
from tests.acceptance.people import MINUTE, SECOND, house, ladder, library, mailed
from tests.acceptance.voices import BUSY, DEAF

STEPS = [
    {"after": "0m", "unless": "acknowledged", "page": ["l1"]},
    {"after": "5m", "unless": "acknowledged", "page": ["l2"]},
    {"after": "15m", "unless": "acknowledged", "page": ["l3"]},
]
ROLES = mailed("l1", "l2", "l3")


def why(message: Message) -> str:
    """Why the reader of a page hears of it."""
    return str(message.words.get("why"))


async def test_after_an_expiry_whom_nothing_reached_is_what_calls_the_next(tmp_path: Path) -> None:
    """Who is asked again cannot be reached: the next level is called for that, and not by the time after the expiry."""
    async with house(tmp_path, ladder(STEPS, ROLES, ack_expires="10m")) as home:
        await home.breaks()
        await home.minutes(2)
        await home.lab.act(Do.ACKNOWLEDGE)
        home.voices.deaf = {"l1@"}
        await home.minutes(14)
        (page,) = await home.sent(MessageKind.PAGE, "l2")
        assert why(page) == "no way was left to l1"


async def test_of_two_that_fail_in_one_second_each_is_named_on_the_page_that_it_calls(tmp_path: Path) -> None:
    """Level 1 reached nobody, so level 2 was called, and it reached nobody: level 3 is called for that."""
    async with house(tmp_path, ladder(STEPS, ROLES)) as home:
        home.voices.failing = {"email": [DEAF] * 2}
        await home.breaks()
        await home.lab.move(SECOND)
        (page,) = await home.sent(MessageKind.PAGE)
        assert (page.contact, why(page)) == ("l3", "no way was left to l2")


async def test_after_a_rise_pages_and_updates_count_from_it_and_say_so(tmp_path: Path) -> None:
    """A P1 becomes P0 at minute 6: its half hour counts from there, in the page and in the news alike."""
    async with house(tmp_path, library({"priority": "P1"})) as home:
        await home.breaks()
        await home.minutes(3)
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.minutes(6)
        await home.lab.act(Do.ESCALATE, text="it is worse", priority="P0")
        await home.minutes(40)
        await home.lab.act(Do.NOTE, text="still looking", public=True)
        await home.lab.move(SECOND)
        said = "not resolved within 30 minutes after it became P0"
        assert why((await home.sent(MessageKind.PAGE, "L3 Senior"))[0]) == said
        news = [str(one.words["body"]) for one in await home.sent(MessageKind.UPDATE, "L1 Support")]
        assert f"Handed to people: {said}" in news[-1]
        assert not [one for one in news if "within 36 minutes" in one]


async def test_who_was_given_an_incident_acknowledged_nothing(tmp_path: Path) -> None:
    """Anna took it, and bob was given it: the acknowledgement that expires was anna's, and bob had it."""
    async with house(tmp_path, ladder(STEPS, ROLES, ack_expires="20m")) as home:
        await home.breaks()
        await home.minutes(2)
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.minutes(4)
        await home.lab.act(Do.ASSIGN, text="bob")
        await home.minutes(50)
        assert [why(one) for one in await home.sent(MessageKind.PAGE)] == [
            "level 1: told at once",
            "asked again: anna's acknowledgement, handed to bob, has expired",
            "level 2: 5 minutes after anna's acknowledgement, handed to bob, expired",
            "level 3: 15 minutes after anna's acknowledgement, handed to bob, expired",
        ]
        (expired,) = await home.entries("acknowledgement_expired")
        assert (expired.entry.detail["by"], expired.entry.detail["acknowledged_by"]) == ("bob", "anna")


async def test_a_level_is_told_when_its_page_goes_out(tmp_path: Path) -> None:
    """The mail server is busy for half a minute: that the level was called by then is not that anybody was told."""
    async with house(tmp_path, ladder(STEPS[:1], ROLES)) as home:
        home.voices.failing = {"email": [BUSY] * 4}
        incident = await home.breaks()

        async def told() -> list[tuple[float, bool]]:
            record = await home.lab.store.read(lambda tx: read_record(tx, incident.id))
            ((level,),) = [one.told for one in review_of(record, home.lab.clock.at).levels]
            return [((level.at - NOON) / SECOND, level.silent)]

        assert await told() == [(0, True)]
        await home.minutes(2)
        (at,) = [at for at, _ in home.voices.sent]
        assert at is not None
        assert at > NOON
        assert await told() == [((at - NOON) / SECOND, False)]


async def test_what_was_acknowledged_is_not_called_unacknowledged_after_it_has_expired(
    tmp_path: Path,
) -> None:
    """Anna took it at 5, and that expired at 15: at 30 the second level hears that, and that it is not resolved."""
    levels = [STEPS[0], {**STEPS[1], "after": "30m"}]
    async with house(tmp_path, ladder(levels, ROLES, ack_expires="10m")) as home:
        await home.breaks()
        await home.minutes(5)
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.minutes(40)
        (page,) = await home.sent(MessageKind.PAGE, "l2")
        assert why(page) == "level 2: not resolved after 30 minutes; anna's acknowledgement has expired"


async def test_a_level_that_goes_on_after_an_expiry_says_no_more_than_is_true(tmp_path: Path) -> None:
    """Nobody can be reached after the expiry; once the first is, the next comes, for what is true then."""
    async with house(tmp_path, ladder(STEPS, ROLES, ack_expires="10m")) as home:
        await home.breaks()
        await home.minutes(16)
        await home.lab.act(Do.ACKNOWLEDGE)
        home.voices.deaf = {"@"}
        await home.minutes(28)
        home.voices.deaf = set()
        await home.minutes(60)
        whys = [why(one) for one in await home.sent(MessageKind.PAGE) if one.created_at > NOON + 26 * MINUTE]
        assert whys == [
            "level 1 once more: nobody could be reached the last time",  # whose page at 0 got through
            "level 2: not resolved after 36 minutes; anna's acknowledgement has expired",
            "level 3: not resolved after 41 minutes; anna's acknowledgement has expired",
        ]


async def test_all_messages_of_one_page_give_one_reason(tmp_path: Path) -> None:
    """Somebody calls while the first of them is under way: the second says what the first did, the call its own."""
    roles = {"l1": {"primary": {"email": "l1@example.com", "slack": "#l1"}}}
    levels = [{"after": "5m", "unless": "responded", "page": ["l1"]}]
    async with house(tmp_path, ladder(levels, roles)) as home:

        async def called(_: Call) -> None:
            home.voices.meanwhile = None
            desk, now, (incident,) = home.lab.pipeline.desk, home.lab.clock.now(), await home.lab.incidents()
            wanted = Act(do=Do.ESCALATE, incident_id=incident.id, actor="anna", text="help")
            await home.lab.store.write(lambda tx: act(tx, desk, wanted, now))

        await home.breaks()
        home.voices.meanwhile = called
        await home.minutes(6)
        pages = [one for one in await home.lab.messages() if one.kind is MessageKind.PAGE]
        own = [one for one in pages if one.facts["because"] is None]
        assert [one.channel.value for one in own] == ["slack", "email"]
        assert {why(one) for one in own} == {"level 1: nobody at work on it after 5 minutes"}
        assert {one.facts["why"] for one in pages if one not in own} == {"escalated by hand by anna: help"}
