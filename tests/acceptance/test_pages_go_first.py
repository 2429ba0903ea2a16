"""Promise G6, G8, in a storm: pages go before everything else in their channel, and no channel is used too often."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from runbookd.model.action import Call
from runbookd.model.escalation import Channel, MessageKind, MessageState
from runbookd.model.work import Work, WorkKind
from runbookd.units.people import Do
from tests.acceptance.engine import NOON, alert
from tests.acceptance.people import MINUTE, SECOND, House, house, ladder
from tests.acceptance.voices import BUSY

LIMITED = replace(BUSY, kind="rate_limited")
ROLES = {
    "l1": {"primary": {"slack": "#x"}},
    "l2": {"primary": {"email": "l2@example.com"}},
}
LEVELS = [{"after": "0m", "notify": ["slack:#x"]}, {"after": "20s", "page": ["l1"]}]


async def storm(home: House, size: int) -> None:
    """So many incidents open at once."""
    now = home.lab.clock.now()
    await home.lab.hear(*(alert(began=now, labels={"app": str(number)}) for number in range(size)))


async def seconds(home: House, kind: MessageKind) -> list[float]:
    """When the messages of a kind got through to Slack, in seconds after noon."""
    kinds = {message.key: message.kind for message in await home.lab.messages()}
    return [
        (at - NOON).total_seconds()
        for at, call in home.voices.sent
        if at is not None and kinds[call.key] is kind and call.action.startswith("slack.")
    ]


async def test_pages_overtake_what_waits(tmp_path: Path) -> None:
    """Forty notices wait for a channel when its forty pages come: those go next, one a second, and then the notices."""
    async with house(tmp_path, ladder(LEVELS, ROLES)) as home:
        await storm(home, 40)
        await home.lab.move(2 * MINUTE)
        assert await seconds(home, MessageKind.PAGE) == [float(21 + number) for number in range(40)]
        notices = [float(number) for number in (*range(21), *range(61, 80))]
        assert await seconds(home, MessageKind.OPENED) == notices
        assert {message.state for message in await home.lab.messages()} == {MessageState.SENT}


async def test_a_wait_is_not_looked_at_again_and_again(tmp_path: Path) -> None:
    """A message is looked at when it is made, when it is its turn, and seldom between, however many wait."""
    async with house(tmp_path, ladder(LEVELS, ROLES)) as home:
        looks: Counter[str] = Counter()
        send = home.lab.worker.handlers[WorkKind.SEND]

        async def counted(work: Work) -> None:
            looks[work.ref] += 1
            await send(work)

        home.lab.worker.handlers[WorkKind.SEND] = counted
        await storm(home, 60)
        await home.lab.move(3 * MINUTE)
        assert len(looks) == 120
        assert max(looks.values()) <= 3
        assert looks.total() <= 2.5 * len(looks)


async def test_a_page_is_not_given_up_for_its_place_in_line(tmp_path: Path) -> None:
    """Ninety pages to one channel take a minute and a half, and each is sent; its minute is for its attempts."""
    async with house(tmp_path, ladder([{"after": "0m", "page": ["l1"]}], ROLES)) as home:
        await storm(home, 90)
        home.voices.failing = {"slack": [BUSY] * 3}
        await home.lab.move(3 * MINUTE)
        assert len(await seconds(home, MessageKind.PAGE)) == 90
        assert {message.state for message in await home.lab.messages()} == {MessageState.SENT}


async def test_a_channel_that_asks_to_be_left_alone_is(tmp_path: Path) -> None:
    """Retry-After is for all that waits for the channel, and for no other."""
    levels = [{"after": "0m", "notify": ["slack:#x"]}, {"after": "0m", "notify": ["slack:#y"]}]
    async with house(tmp_path, ladder(levels, ROLES)) as home:
        home.voices.failing = {"slack": [replace(LIMITED, retry_after=20.0)]}
        await storm(home, 3)
        await home.lab.move(MINUTE)
        times: dict[str, list[float]] = {"#x": [], "#y": []}
        for at, call in home.voices.sent:
            assert at is not None
            times[str(call.params["channel"])].append((at - NOON).total_seconds())
        assert times == {"#x": [20, 21, 22], "#y": [0, 1, 2]}
        assert len(home.voices.tried) == 7


async def test_pages_do_not_wait_for_a_channel_that_is_closed_for_long(tmp_path: Path) -> None:
    """It asks for five minutes: every page to it goes to the next contact at once, and what is no page waits."""
    levels = [
        {"after": "0m", "page": ["l1"]},
        {"after": "1m", "notify": ["slack:#x"]},
        {"after": "1h", "page": ["l2"]},
    ]
    async with house(tmp_path, ladder(levels, ROLES)) as home:
        home.voices.failing = {"slack": [replace(LIMITED, retry_after=300.0)]}
        await storm(home, 5)
        await home.lab.move(2 * SECOND)
        mails = [message for message in await home.sent(MessageKind.PAGE) if message.channel is Channel.EMAIL]
        assert len(mails) == 5
        failed = [message for message in await home.lab.messages() if message.state is MessageState.FAILED]
        assert {(one.reason, one.attempts) for one in failed} == {("rate_limited", 1), ("rate_limited", 0)}
        assert any("left alone until 12:05:00 UTC" in str(one.error) for one in failed)
        await home.lab.move(10 * MINUTE)
        notices = await seconds(home, MessageKind.OPENED)
        assert notices == [float(300 + number) for number in range(5)]


async def test_a_page_that_is_needed_no_more_leaves_its_place(tmp_path: Path) -> None:
    """Somebody takes three of four incidents while their pages wait in line: the fourth page goes next."""
    levels = [{"after": "0m", "unless": "acknowledged", "page": ["l1"]}]
    async with house(tmp_path, ladder(levels, ROLES)) as home:
        await storm(home, 5)
        for incident in (await home.lab.incidents())[1:4]:
            await home.lab.act(Do.ACKNOWLEDGE, incident_id=incident.id)
        await home.lab.move(MINUTE)
        assert await seconds(home, MessageKind.PAGE) == [0.0, 1.0]


async def test_a_message_that_is_long_on_its_way_is_followed_a_second_after_its_answer(
    tmp_path: Path,
) -> None:
    """The limit counts what arrives, so the pace counts from the answer."""
    async with house(tmp_path, ladder([{"after": "0m", "page": ["l1"]}], ROLES)) as home:

        async def takes_long(_: Call) -> None:
            home.lab.clock.at += SECOND / 2

        home.voices.meanwhile = takes_long
        await storm(home, 4)
        await home.lab.move(MINUTE)
        assert await seconds(home, MessageKind.PAGE) == [0.5, 2.0, 3.5, 5.0]
