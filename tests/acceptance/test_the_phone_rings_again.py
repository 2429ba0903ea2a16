"""Promise G7, G8: a page that has to ring does ring, and an answer makes every phone quiet, wherever it was given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from runbookd.language.values import SecretRef
from runbookd.model.escalation import MessageKind
from runbookd.model.incident import IncidentState
from runbookd.model.library import Library
from runbookd.model.people import Escalation
from runbookd.model.rule import Priority
from runbookd.ports import Tx
from runbookd.units.people import Do
from tests.acceptance.pagers import Pagers, paged_by_phone
from tests.acceptance.people import MINUTE, SECOND, house, library
from tests.acceptance.voices import BUSY, DEAF

ONE = [{"after": "0m", "page": ["l1"]}]
THREE = [
    {"after": "0m", "page": ["l1"]},
    {"after": "5m", "unless": "acknowledged", "page": ["l2"]},
    {"after": "10m", "unless": "resolved", "page": ["l1"]},
]


async def test_when_an_acknowledgement_expires_the_phone_rings_again(tmp_path: Path) -> None:
    """A trigger for what is acknowledged rings nobody, so it is another incident there; the one before ends with it."""
    async with house(tmp_path, paged_by_phone(ONE, "l1", ack_expires="30m")) as home:
        pagers = Pagers(home)
        incident = await home.breaks()
        await home.minutes(3)
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.lab.move(SECOND)
        assert pagers.stand("l1") == ["acknowledged"]
        await home.minutes(34)
        assert pagers.rung() == [(0, "l1"), (33, "l1")]
        assert [one.key for one in pagers.of("l1")] == [incident.id, f"{incident.id}/1"]
        assert pagers.stand("l1") == ["resolved", "triggered"]
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.lab.move(SECOND)
        assert pagers.stand("l1") == ["resolved", "acknowledged"]
        await home.minutes(65)
        assert pagers.rung()[2:] == [(64, "l1")], "and once more, each time"
        await home.mended()
        await home.lab.move(MINUTE)
        assert pagers.stand("l1") == ["resolved"] * 3


async def test_a_level_after_an_acknowledgement_rings(tmp_path: Path) -> None:
    """One that does not wait for that has somebody to wake, though the same phone rang before."""
    async with house(tmp_path, paged_by_phone(THREE, "l1", "l2")) as home:
        pagers = Pagers(home)
        await home.breaks()
        await home.minutes(3)
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.minutes(12)
        assert pagers.rung() == [(0, "l1"), (10, "l1")]


async def test_while_a_phone_rings_a_second_page_is_no_second_incident(tmp_path: Path) -> None:
    """Nobody has answered, so PagerDuty is at it: the page is taken in there."""
    async with house(tmp_path, paged_by_phone(THREE, "l1", "l2")) as home:
        pagers = Pagers(home)
        await home.breaks()
        await home.minutes(12)
        assert pagers.rung() == [(0, "l1"), (5, "l2")]
        assert [len(one.events) for one in pagers.of("l1")] == [2]


def raised() -> Library:
    """A P1 and a P0 that page the same person."""
    content = paged_by_phone(ONE, "l1")
    return replace(
        content,
        rules=library({"priority": "P1"}).rules,
        priorities={
            **content.priorities,
            "P1": Priority.model_validate({"name": "High", "escalation": "low"}),
        },
        escalations={**content.escalations, "low": Escalation.model_validate(ONE)},
    )


@pytest.mark.parametrize("taken", [True, False])
async def test_a_rise_in_priority_rings(tmp_path: Path, *, taken: bool) -> None:
    """Whoever has it, or has not answered yet, hears that it is worse; the incident of the lower one ends."""
    async with house(tmp_path, raised()) as home:
        pagers = Pagers(home)
        await home.breaks()
        await home.minutes(3)
        if taken:
            await home.lab.act(Do.ACKNOWLEDGE)
        await home.minutes(6)
        await home.lab.act(Do.ESCALATE, priority="P0", text="customers are cut off")
        await home.lab.move(SECOND)
        assert pagers.rung() == [(0, "l1"), (6, "l1")]
        assert pagers.stand("l1") == ["resolved", "triggered"]


async def test_who_has_it_and_is_called_by_hand_is_rung(tmp_path: Path) -> None:
    """Each time somebody asks for more help when there is nobody else."""
    async with house(tmp_path, paged_by_phone(ONE, "l1")) as home:
        pagers = Pagers(home)
        await home.breaks()
        await home.minutes(3)
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.minutes(5)
        await home.lab.act(Do.ESCALATE, text="more")
        await home.lab.move(SECOND)
        assert pagers.rung() == [(0, "l1"), (5, "l1")]


async def test_a_repeated_page_rings_once(tmp_path: Path) -> None:
    """An attempt whose answer did not come is made again under the key it had."""
    async with house(tmp_path, paged_by_phone(ONE, "l1", ack_expires="30m")) as home:
        pagers = Pagers(home)
        await home.breaks()
        await home.lab.move(MINUTE)
        await home.lab.act(Do.ACKNOWLEDGE)
        await home.minutes(30)
        home.voices.failing = {"pagerduty": [BUSY, BUSY]}  # it arrives, and the answer is lost
        await home.minutes(33)
        assert pagers.rung() == [(0, "l1"), (31, "l1")]
        assert [len(one.events) for one in pagers.of("l1")] == [1, 3]


async def test_what_rang_before_goes_on_while_the_new_page_does_not_get_through(tmp_path: Path) -> None:
    """Nothing is made quiet for a page that nobody heard; the end makes everything quiet."""
    async with house(tmp_path, raised()) as home:
        pagers = Pagers(home)
        await home.breaks()
        await home.minutes(3)
        listening, home.voices.meanwhile = home.voices.meanwhile, None
        home.voices.failing = {"pagerduty": [DEAF]}
        await home.lab.act(Do.ESCALATE, priority="P0", text="worse")
        home.voices.meanwhile = listening
        await home.minutes(5)
        assert pagers.stand("l1") == ["triggered"]
        await home.mended()
        await home.lab.move(MINUTE)
        assert pagers.stand("l1") == ["resolved"]


# an answer in PagerDuty --------------------------------------------------------------------------------------


async def test_an_answer_in_pagerduty_makes_the_other_phones_quiet(tmp_path: Path) -> None:
    """Two services rang; the one that told us is told nothing, and nothing goes round in a circle."""
    async with house(tmp_path, paged_by_phone(THREE, "l1", "l2")) as home:
        pagers = Pagers(home)
        await home.breaks()
        await home.minutes(6)
        await pagers.deliver()
        sent = len(home.voices.sent)
        await pagers.answers("l2")
        await home.lab.move(2 * SECOND)
        await pagers.deliver()
        assert (pagers.stand("l1"), pagers.stand("l2")) == (["acknowledged"], ["acknowledged"])
        told = [call.params for _, call in home.voices.sent[sent:]]
        assert [(one["action"], one["service_key"]) for one in told] == [("acknowledge", SecretRef("pd_l1"))]
        (incident,) = await home.lab.incidents()
        assert incident.acknowledged_by == "pagerduty:Anna Smith"
        assert len(await home.entries("person_acknowledge")) == 1


async def test_where_pagerduty_does_not_say_which_all_are_told(tmp_path: Path) -> None:
    """An incident that names no key is known by what was told of it before; an acknowledgement twice is one."""
    async with house(tmp_path, paged_by_phone(THREE, "l1", "l2")) as home:
        pagers = Pagers(home)
        await home.breaks()
        await home.minutes(6)
        await pagers.deliver()
        pagers.account.tells_keys = False
        await pagers.answers("l2")
        await home.lab.move(2 * SECOND)
        assert (pagers.stand("l1"), pagers.stand("l2")) == (["acknowledged"], ["acknowledged"])


async def test_where_two_services_have_one_key_both_are_told(tmp_path: Path) -> None:
    """As pages have whose ring is not on record; each stands for an incident of its own there."""
    async with house(tmp_path, paged_by_phone(THREE, "l1", "l2")) as home:
        pagers = Pagers(home)
        await home.breaks()

        async def forget(tx: Tx) -> None:
            for page in await tx.messages.of((await tx.incidents.recent(1, {}))[0].id):
                await tx.messages.save(replace(page, facts={**page.facts, "ring": 0}))

        await home.minutes(5)
        await home.lab.store.write(forget)
        await home.minutes(6)
        await pagers.answers("l1")
        told = [call.params for _, call in home.voices.sent if call.params["action"] == "acknowledge"]
        assert [one["service_key"] for one in told] == [SecretRef("pd_l1"), SecretRef("pd_l2")]


@pytest.mark.parametrize("what", ["acknowledged", "resolved"])
async def test_an_answer_to_the_second_ring_is_one_here(tmp_path: Path, what: str) -> None:
    """Its key leads to the incident as the first one's does, and a pager that is rung later is quiet as well."""
    async with house(tmp_path, paged_by_phone(ONE, "l1", ack_expires="30m")) as home:
        pagers = Pagers(home)
        await home.breaks()
        await home.minutes(1)
        await pagers.answers("l1")
        await home.minutes(32)
        assert pagers.rung() == [(0, "l1"), (31, "l1")]
        await pagers.answers("l1", what, "Ben")
        await home.lab.move(SECOND)
        (incident,) = await home.lab.incidents()
        if what == "resolved":
            assert incident.state is IncidentState.RESOLVED
        else:
            assert incident.acknowledged_by == "pagerduty:Ben"
            assert pagers.stand("l1") == ["resolved", "acknowledged"]
        await home.minutes(40)
        assert len(await home.sent(MessageKind.PAGE)) == 2
