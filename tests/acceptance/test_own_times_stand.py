"""Promise G6, G7, G8: what begins anew, and what was called in vain, takes nothing from a level's own time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runbookd.model.escalation import MessageKind
from runbookd.units.people import Do
from runbookd.units.record import read_record
from tests.acceptance.engine import NOON
from tests.acceptance.people import MINUTE, House, house, ladder, mailed

FIRST = {"after": "0m", "unless": "acknowledged", "page": ["l0"]}
BREACH = {"on_breach": "resolve", "page": ["l1"]}
TIMES = {"acknowledge_within": "5m", "respond_within": "15m", "resolve_within": "30m"}
ROLES = mailed("l0", "l1", "l2")
EVERYBODY = {"@example.com"}
Steps = dict[float, tuple[str, Any]]


async def lives(home: House, steps: Steps, until: int) -> list[tuple[int, str]]:
    """Do at each minute what `steps` say, and return who got a page when."""
    for minute, (what, arg) in steps.items():
        await home.minutes(int(minute))
        if what == "deaf":
            home.voices.deaf = arg
        elif what == "call":  # a call by hand while these are deaf
            home.voices.deaf = arg
            await home.lab.act(Do.ESCALATE, text="help", actor="bob")
            await home.minutes(int(minute) + 1)
            home.voices.deaf = set()
        else:
            await home.lab.act(Do.ACKNOWLEDGE, actor=arg)
    await home.minutes(until)
    pages = await home.sent(MessageKind.PAGE)
    return [((one.created_at - NOON) // MINUTE, one.contact) for one in pages]


# the levels begin anew -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("expires", [{}, {"ack_expires": "30m"}])
async def test_a_breach_is_told_though_the_levels_had_begun_anew_and_somebody_has_it(
    tmp_path: Path, expires: dict[str, str]
) -> None:
    """Nobody is there from 0 to 3, and it is taken at 4: the second level is told when the promise breaks, at 30."""
    async with house(tmp_path, ladder([FIRST, BREACH], ROLES, **TIMES, **expires)) as home:
        home.voices.deaf = EVERYBODY
        await home.breaks()
        told = await lives(home, {3: ("deaf", set()), 4: ("ack", "anna")}, 60)
        assert told == [(30, "l1"), *([(34, "l0")] if expires else [])]
        page = (await home.sent(MessageKind.PAGE, "l1"))[0]
        assert page.words["why"] == "not resolved within 30 minutes"


@pytest.mark.parametrize("second", [BREACH, {"after": "50m", "unless": "acknowledged", "page": ["l1"]}])
async def test_a_level_whose_time_comes_before_the_round_is_told_at_its_time(
    tmp_path: Path, second: dict[str, Any]
) -> None:
    """Nobody can be reached for the most of an hour: the level of the promise that breaks then waits for no round."""
    content = ladder([FIRST, second], ROLES, **(TIMES | {"resolve_within": "50m"}))
    async with house(tmp_path, content) as home:
        home.voices.deaf = EVERYBODY
        await home.breaks()
        told = await lives(home, {49: ("deaf", set())}, 55)
        assert told == [(50, "l1")]
        (page,) = await home.sent(MessageKind.PAGE, "l1")
        assert page.words["why"] in {
            "not resolved within 50 minutes",
            "level 2: not acknowledged after 50 minutes",
        }


async def test_a_level_that_only_the_end_stops_is_told_though_it_was_to_begin_anew(tmp_path: Path) -> None:
    """Tried at 0 and 5, its own time is 7, it was to begin anew at 15, and at 8 somebody takes it: it is told, late."""
    levels = [FIRST, {"after": "7m", "unless": "resolved", "page": ["l1"]}]
    async with house(tmp_path, ladder(levels, ROLES)) as home:
        home.voices.deaf = EVERYBODY
        await home.breaks()
        told = await lives(home, {6: ("deaf", set()), 8: ("ack", "anna")}, 40)
        assert [who for _, who in told] == ["l1"]
        assert 8 <= told[0][0] <= 10


@pytest.mark.parametrize("call", [8, 16])
async def test_a_call_that_reaches_nobody_takes_nothing_from_a_breach(tmp_path: Path, call: int) -> None:
    """Nobody can be reached at the call, and two minutes later somebody takes it: the breach is told at 30."""
    levels = [FIRST, BREACH]
    async with house(tmp_path, ladder(levels, ROLES, ack_expires="30m", **TIMES)) as home:
        await home.breaks()
        told = await lives(home, {call: ("call", EVERYBODY), call + 2: ("ack", "anna")}, 90)
        assert told == [(0, "l0"), (30, "l1"), (call + 32, "l0")]


async def test_what_was_called_for_a_breach_is_not_said_to_be_needless(tmp_path: Path) -> None:
    """The breach came, its page reached nobody, and somebody took it before the levels began anew."""
    async with house(tmp_path, ladder([FIRST, BREACH], ROLES, **TIMES)) as home:
        await home.breaks()
        await lives(home, {29: ("deaf", EVERYBODY), 31: ("ack", "anna")}, 50)
        await home.lab.act(Do.RESOLVE, text="done")
        incident = (await home.lab.incidents())[-1]
        record = await home.lab.store.read(lambda tx: read_record(tx, incident.id))
        draft = home.lab.pipeline.desk.draft
        assert draft is not None
        text = str(draft(record, home.lab.clock.at).markdown)
        (row,) = [line for line in text.splitlines() if line.startswith("| 2 | ")]
        assert "not called again: acknowledged" in row
        assert "not needed" not in row


async def test_a_breach_that_comes_back_names_its_clock(tmp_path: Path) -> None:
    """Taken after the breach was told in vain, and expired: the level says which promised time has run out."""
    async with house(tmp_path, ladder([FIRST, BREACH], ROLES, ack_expires="10m", **TIMES)) as home:
        await home.breaks()
        await lives(home, {29: ("deaf", EVERYBODY), 36: ("ack", "anna"), 44: ("deaf", set())}, 80)
        whys = [str(one.words["why"]) for one in await home.sent(MessageKind.PAGE, "l1")]
        assert whys[-1] == "not resolved within 30 minutes; anna's acknowledgement has expired"


# a call in vain while somebody has it ----------------------------------------------------------------------------


@pytest.mark.parametrize("call", [{}, {20: ("call", {"l1@"})}])
async def test_a_call_in_vain_brings_no_level_forward_at_the_expiry(tmp_path: Path, call: Steps) -> None:
    """Whoever heard is asked again at 31, and the level that was stopped follows 15 minutes later in any case."""
    levels = [FIRST, {"after": "15m", "unless": "acknowledged", "page": ["l1"]}]
    async with house(tmp_path, ladder(levels, ROLES, ack_expires="30m")) as home:
        await home.breaks()
        told = await lives(home, {1: ("ack", "anna"), **call}, 100)
        assert told == [(0, "l0"), *([(20, "l0")] if call else []), (31, "l0"), (46, "l1")]


@pytest.mark.parametrize("call", [{}, {20: ("call", {"l2@"})}])
async def test_a_level_told_at_its_own_time_is_not_told_once_more_for_a_call(
    tmp_path: Path, call: Steps
) -> None:
    """The second was told at 5 while somebody had it; the call at 20 reaches it in the stead of the third."""
    levels = [
        FIRST,
        {"after": "5m", "unless": "resolved", "page": ["l1"]},
        {"after": "15m", "unless": "acknowledged", "page": ["l2"]},
    ]
    async with house(tmp_path, ladder(levels, ROLES, ack_expires="30m")) as home:
        await home.breaks()
        told = await lives(home, {1: ("ack", "anna"), **call}, 100)
        assert told == [(0, "l0"), (5, "l1"), *([(20, "l1")] if call else []), (31, "l0"), (46, "l2")]


@pytest.mark.parametrize("call", [{}, {8: ("call", EVERYBODY)}])
async def test_whoever_heard_last_is_asked_again(tmp_path: Path, call: Steps) -> None:
    """A call that reached nobody came after that: the level of the call is not the one that is asked."""
    levels = [FIRST, {"after": "5m", "page": ["l1"]}, {"on_breach": "resolve", "page": ["l2"]}]
    async with house(tmp_path, ladder(levels, ROLES, ack_expires="10m", **TIMES)) as home:
        await home.breaks()
        told = await lives(home, {**call, 12: ("ack", "anna")}, 60)
        assert told == [(0, "l0"), (5, "l1"), (22, "l1"), (30, "l2")]
