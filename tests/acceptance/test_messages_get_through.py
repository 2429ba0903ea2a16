"""Promise G8, G13: every message gets through, once, or says why not; in order, in bounds, and without secrets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runbookd.model.action import NOT_SET, Call, Failure, Outcome, OutcomeState, Probed, Repeat
from runbookd.model.escalation import Message, MessageKind, MessageState
from runbookd.pipeline import Ports
from runbookd.reports.review import review_of
from runbookd.units.people import Act, Do, act
from runbookd.units.record import read_record
from tests.acceptance.engine import NOON, alert, worker_of
from tests.acceptance.people import MINUTE, SECOND, House, house, ladder, mailed
from tests.acceptance.voices import BUSY, DOUBT, Killed

NOTICE = [{"after": "0m", "notify": ["l1"]}]
PAGE = [{"after": "0m", "page": ["l1"]}, {"after": "1h", "page": ["l2"]}]
ROLES = mailed("l1", "l2")
SLACK = {"l1": {"primary": {"slack": "#l1"}}, "l2": {"primary": {"slack": "#l2"}}}
PAGER = {
    "l1": {"primary": {"pagerduty": {"service_key": "${secret.pd_l1}"}}},
    "l2": {"primary": {"email": "l2@example.com"}},
}


def times(home: House, action: str = "") -> list[float]:
    """When each call got through, in seconds after noon."""
    return [
        (at - NOON).total_seconds() for at, call in home.voices.sent if at and call.action.startswith(action)
    ]


async def only(home: House, kind: MessageKind) -> Message:
    """The one message of a kind."""
    (message,) = [one for one in await home.lab.messages() if one.kind is kind]
    return message


async def recorded(home: House, message: Message) -> list[Mapping[str, Any]]:
    """What the ledger says of its end."""
    entries = await home.entries("message_sent", "message_failed", "message_dropped")
    return [one.entry.detail for one in entries if one.entry.detail["message"] == message.id]


# again, and no more ------------------------------------------------------------------------------------------


async def test_a_channel_that_is_busy_is_tried_again(tmp_path: Path) -> None:
    """Ever more slowly, with the same key and the same words, until it takes the message; its ledger entry is one."""
    async with house(tmp_path, ladder(NOTICE, ROLES)) as home:
        home.voices.failing = {"email": [BUSY] * 3}
        await home.breaks()
        await home.lab.move(MINUTE)
        assert times(home) == [2 + 4 + 8]
        assert len({call.key for call in home.voices.tried}) == 1
        assert len({json.dumps(call.params, default=str) for call in home.voices.tried}) == 1
        message = await only(home, MessageKind.OPENED)
        assert (message.state, message.attempts, message.error) == (MessageState.SENT, 4, None)
        (entry,) = await recorded(home, message)
        assert (entry["attempts"], entry["seconds"], entry["contact"]) == (4, 14.0, "l1")


async def test_a_channel_s_own_wait_is_kept(tmp_path: Path) -> None:
    """Retry-After says when: not before it."""
    async with house(tmp_path, ladder(NOTICE, ROLES)) as home:
        home.voices.failing = {"email": [replace(BUSY, retry_after=90.0)]}
        await home.breaks()
        await home.lab.move(5 * MINUTE)
        assert times(home) == [90]


async def test_what_can_never_get_through_is_tried_once(tmp_path: Path) -> None:
    """The reason is kept with the message and in the ledger."""
    async with house(tmp_path, ladder(NOTICE, ROLES)) as home:
        home.voices.deaf = {"l1@example.com"}
        await home.breaks()
        await home.lab.move(5 * MINUTE)
        assert len(home.voices.tried) == 1
        message = await only(home, MessageKind.OPENED)
        assert (message.state, message.reason, message.error) == (
            MessageState.FAILED,
            "not_found",
            "nobody is there",
        )
        (entry,) = await recorded(home, message)
        assert (entry["reason"], entry["error"]) == ("not_found", "nobody is there")


@pytest.mark.parametrize(("levels", "longest"), [(NOTICE, timedelta(hours=1)), (PAGE[:1], MINUTE)])
async def test_a_channel_that_is_always_busy_is_given_up(
    tmp_path: Path, levels: list[dict[str, Any]], longest: timedelta
) -> None:
    """A notice is worth an hour, a page a minute; then the message has failed, and that is the end of it."""
    async with house(tmp_path, ladder(levels, ROLES)) as home:
        home.voices.failing = {"email": [BUSY] * 999}
        await home.breaks()
        await home.lab.move(longest + 2 * MINUTE)
        (message,) = await home.lab.messages()
        assert message.state is MessageState.FAILED
        assert message.settled_at is not None
        assert longest / 2 <= message.settled_at - NOON <= longest
        assert len(home.voices.tried) == message.attempts < 100


# in doubt ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("repeat", "probed", "calls", "probes", "state"),
    [
        (Repeat.SAFE, Probed.NOT_DONE, 2, 0, MessageState.SENT),
        (Repeat.PROBE, Probed.DONE, 1, 1, MessageState.SENT),
        (Repeat.PROBE, Probed.NOT_DONE, 2, 1, MessageState.SENT),
        (Repeat.NEVER, Probed.NOT_DONE, 1, 0, MessageState.FAILED),
    ],
)
async def test_no_answer_came(
    tmp_path: Path, repeat: Repeat, probed: Probed, calls: int, probes: int, state: MessageState
) -> None:
    """What is safe is sent again with its key, what can be asked is asked first, and anything else is not repeated."""
    async with house(tmp_path, ladder(PAGE, ROLES)) as home:
        home.voices.coming, home.voices.repeats, home.voices.probed = [DOUBT], repeat, probed
        await home.breaks()
        await home.lab.move(MINUTE)
        message = (await home.lab.messages())[0]
        tried = [call for call in home.voices.tried if call.key == message.key]
        assert (len(tried), len(home.voices.probes), message.state) == (calls, probes, state)
        assert len(await recorded(home, message)) == 1


async def test_a_page_in_doubt_that_may_not_be_repeated_goes_to_the_next_level(tmp_path: Path) -> None:
    """Nobody knows whether it rang, so somebody else is rung at once."""
    async with house(tmp_path, ladder(PAGE, ROLES)) as home:
        home.voices.coming, home.voices.repeats = [DOUBT], Repeat.NEVER
        await home.breaks()
        await home.lab.move(MINUTE)
        assert await home.heard() == [(0, "page l2")]
        assert (await home.lab.messages())[0].reason == "in_doubt"


@pytest.mark.parametrize(
    ("repeat", "probed", "calls"),
    [(Repeat.SAFE, Probed.NOT_DONE, 2), (Repeat.PROBE, Probed.DONE, 1), (Repeat.PROBE, Probed.NOT_DONE, 2)],
)
async def test_a_crash_between_the_call_and_its_outcome(
    tmp_path: Path, repeat: Repeat, probed: Probed, calls: int
) -> None:
    """Another process takes the message when the lease is over, with the same key: its reader is told once."""
    async with house(tmp_path, ladder(PAGE, ROLES)) as home:
        home.voices.coming, home.voices.repeats, home.voices.probed = [Killed], repeat, probed
        with pytest.raises(Killed):
            await home.breaks()
        (message,) = await home.lab.messages()
        assert message.state is MessageState.SENDING
        await home.restart()
        await home.lab.worker.drain(home.lab.clock.now())
        assert len(home.voices.tried) == 1, "the claim of the dead process holds until its lease is over"
        await home.lab.move(MINUTE)
        (message,) = await home.lab.messages()
        assert (message.state, message.attempts) == (MessageState.SENT, 2)
        assert [call.key for call in home.voices.tried] == [message.key] * calls
        assert len(await recorded(home, message)) == 1


async def test_a_crash_before_the_call_sends_it_once(tmp_path: Path) -> None:
    """The attempt was on disk and nothing went out: the next process cannot know, and sends it."""
    async with house(tmp_path, ladder(PAGE, ROLES)) as home:

        async def dies(call: Call) -> None:
            raise Killed

        home.voices.meanwhile = dies
        with pytest.raises(Killed):
            await home.breaks()
        home.voices.meanwhile = None
        await home.restart()
        await home.lab.move(MINUTE)
        assert len(home.voices.sent) == 1
        assert (await home.lab.messages())[0].state is MessageState.SENT


async def test_a_process_that_was_away_too_long_writes_nothing(tmp_path: Path) -> None:
    """While its call hangs another sends the message with the same key; what the first then says is not written."""
    async with house(tmp_path, ladder(PAGE, ROLES)) as home:
        ports = Ports(home.lab.store, home.voices, home.lab.clock)
        other = worker_of(ports, home.lab.pipeline, "other")

        async def hangs(call: Call) -> None:
            home.voices.meanwhile = None
            home.voices.coming = [
                None,
                Outcome(state=OutcomeState.FAILED, failure=Failure(kind="late", message="")),
            ]
            await home.sleeps(MINUTE)
            await other.drain(home.lab.clock.now())

        home.voices.meanwhile = hangs
        await home.breaks()
        (message,) = [one for one in await home.lab.messages() if one.kind is MessageKind.PAGE]
        assert (message.state, message.attempts) == (MessageState.SENT, 2)
        assert {call.key for call in home.voices.tried} == {message.key}
        assert len(await recorded(home, message)) == 1


# limits and order --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("roles", "action", "apart"),
    [(SLACK, "slack", 1.0), (PAGER, "pagerduty", 0.0), (ROLES, "email", 0.0)],
)
async def test_an_address_is_used_so_often_and_no_oftener(
    tmp_path: Path, roles: dict[str, Any], action: str, apart: float
) -> None:
    """A storm of incidents waits in line for a channel that has a limit, and no message is lost to it."""
    async with house(tmp_path, ladder(PAGE[:1], roles)) as home:
        now = home.lab.clock.now()
        await home.lab.hear(*(alert(began=now, labels={"app": str(number)}) for number in range(6)))
        await home.lab.move(MINUTE)
        assert times(home, action) == [number * apart for number in range(6)]


async def test_two_addresses_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """A limit is of a channel of Slack, not of all of Slack."""
    levels = [{"after": "0m", "page": ["l1", "l2"]}]
    async with house(tmp_path, ladder(levels, SLACK)) as home:
        await home.breaks()
        assert times(home) == [0, 0]


async def test_what_changes_a_message_waits_for_it(tmp_path: Path) -> None:
    """While the first post is tried again nothing is edited or answered; then it all follows, below it, in order."""
    async with house(tmp_path, ladder(NOTICE, SLACK)) as home:
        home.voices.failing = {"slack.post": [BUSY] * 3}
        await home.breaks()
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.lab.act(Do.NOTE, text="Looking.", public=True)
        await home.lab.move(MINUTE)
        calls = [call for _, call in home.voices.sent]
        assert calls[0].action == "slack.post_message"
        assert sorted(call.action for call in calls[1:]) == ["slack.post_message", "slack.update_message"]
        assert calls[0].params["buttons"]
        update = next(call for call in calls[1:] if call.action == "slack.post_message")
        edit = next(call for call in calls[1:] if call.action == "slack.update_message")
        assert (update.params["thread_ts"], edit.params["ts"]) == ("1.0", "1.0")
        buttons: Any = edit.params["buttons"]
        assert [button["label"] for button in buttons][:2] == ["Take over", "Escalate"]
        assert times(home) == sorted(times(home))


async def test_an_edit_that_comes_late_does_not_bring_back_what_was(tmp_path: Path) -> None:
    """An edit that has to be tried again tells how things are then, not how they were when it was first tried."""
    async with house(tmp_path, ladder(NOTICE, SLACK)) as home:
        await home.breaks()
        home.voices.failing = {"slack.update": [BUSY] * 4}
        await home.lab.move(SECOND)
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.lab.move(10 * SECOND)
        await home.mended()
        await home.lab.move(MINUTE)
        edits = [call for _, call in home.voices.sent if call.action == "slack.update_message"]
        assert len(edits) == 2
        assert all("OVER BY NOW" in str(call.params["title"]) for call in edits)


async def test_a_pager_is_quiet_after_it_rang_not_before(tmp_path: Path) -> None:
    """The end of an incident waits for a page that is on its way; otherwise it would ring for nothing, for ever."""
    async with house(tmp_path, ladder([{"after": "0m", "page": ["l1"]}], PAGER)) as home:
        home.voices.coming = [DOUBT]
        await home.breaks()
        await home.lab.move(SECOND)
        await home.mended()
        await home.lab.move(MINUTE)
        assert [call.params["action"] for _, call in home.voices.sent] == ["trigger", "resolve"]


async def test_a_page_that_is_not_needed_any_more_is_not_tried_again(tmp_path: Path) -> None:
    """It had not got through when somebody took the incident: it is dropped, and its pager left alone."""
    levels = [{"after": "0m", "unless": "acknowledged", "page": ["l1"]}]
    async with house(tmp_path, ladder(levels, PAGER)) as home:
        home.voices.failing = {"pagerduty": [BUSY]}
        await home.breaks()
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.lab.move(MINUTE)
        page = await only(home, MessageKind.PAGE)
        assert (page.state, page.reason) == (MessageState.DROPPED, "already acknowledged")
        assert all(call.params["action"] != "trigger" for _, call in home.voices.sent)


async def test_a_page_in_doubt_is_ended_before_its_pager_is_quiet(tmp_path: Path) -> None:
    """It may have rung, so that it is not needed any more does not matter: it is sent again, and then made quiet."""
    levels = [{"after": "0m", "unless": "acknowledged", "page": ["l1"]}]
    async with house(tmp_path, ladder(levels, PAGER)) as home:
        home.voices.coming = [DOUBT]
        await home.breaks()
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.lab.move(MINUTE)
        assert [call.params["action"] for _, call in home.voices.sent] == ["trigger", "acknowledge"]


async def test_who_was_not_told_does_not_hear_the_end(tmp_path: Path) -> None:
    """A page that was dropped before it was ever tried told nobody anything."""
    levels = [{"after": "0m", "unless": "acknowledged", "page": ["l1", "l2"]}]
    async with house(tmp_path, ladder(levels, ROLES)) as home:

        async def comes(call: Call) -> None:
            home.voices.meanwhile = None
            desk, now = home.lab.pipeline.desk, home.lab.clock.now()
            (incident,) = await home.lab.incidents()
            wanted = Act(do=Do.ACKNOWLEDGE, incident_id=incident.id, actor="anna")
            await home.lab.store.write(lambda tx: act(tx, desk, wanted, now))

        home.voices.meanwhile = comes
        await home.breaks()
        await home.mended()
        assert [call.params["to"] for _, call in home.voices.sent] == [["l1@example.com"]] * 2


async def test_the_status_page_is_opened_before_it_is_told_on(tmp_path: Path) -> None:
    """Its update waits while the opening is tried again; if that fails for good there is nothing to change."""
    for failures, expected in (([BUSY], ["open", "update"]), ([replace(BUSY, temporary=False)], [])):
        folder = tmp_path / str(len(expected))
        folder.mkdir()
        content = ladder([{"after": "0m", "notify": ["statuspage"]}], ROLES)
        async with house(folder, content) as home:
            home.voices.failing = {"statuspage.open": failures}
            await home.breaks()
            await home.mended()
            await home.lab.move(MINUTE)
            actions = [
                call.action.removeprefix("statuspage.").partition("_")[0] for _, call in home.voices.sent
            ]
            assert actions == expected
            assert all(one.settled for one in await home.lab.messages())


async def test_a_public_incident_without_a_page_elsewhere_is_no_failure(tmp_path: Path) -> None:
    """Where no Statuspage account is set, what is public stands on our own page: nothing has failed."""
    content = ladder([{"after": "0m", "notify": ["statuspage"]}], ROLES)
    async with house(tmp_path, content) as home:
        none = Failure(kind=NOT_SET, message="no status page is set")
        home.voices.failing = {"statuspage": [none, none]}
        await home.breaks()
        await home.mended()
        said = [(one.state, one.reason, bool(one.words)) for one in await home.lab.messages()]
        assert said == [
            (MessageState.DROPPED, "own_page_only", True),
            (MessageState.DROPPED, "nothing_to_change", True),
        ]
        (incident,) = await home.lab.incidents()
        record = await home.lab.store.read(lambda tx: read_record(tx, incident.id))
        review = review_of(record, home.lab.clock.at)
        told = [(one.who, one.kinds, one.got_through) for one in review.told]
        assert told == [
            ("the status page", ("first notice", "word of the end"), "only on runbookd's own page")
        ]
        page = "sent to the status page (only runbookd's own page)"
        lines = [line.what for line in review.timeline if line.what.endswith(page)]
        assert lines == [f"First notice, level 1 of the escalation, {page}", f"Word of the end {page}"]
