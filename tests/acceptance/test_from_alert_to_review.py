"""A whole P0, from its alert to its review: what people are sent tells the truth, in order, and nothing it must not."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from runbookd.language.differences import Difference
from runbookd.model.action import Call, Outcome, OutcomeState
from runbookd.model.escalation import Channel, Message, MessageKind
from runbookd.model.incident import ClockKind
from runbookd.reports.review import Review, review_of
from runbookd.settings import shipped
from runbookd.units.people import Do
from runbookd.units.record import read_record
from tests.acceptance.engine import Engine, alert, engine
from tests.acceptance.people import MINUTE, SECOND
from tests.acceptance.voices import DEAF, Voices

RULES = """
rules:
  - name: shop-down
    match: [alertname="Down"]
    priority: P0
    escalation: system-down
    incident: {title: "Shop ${event.labels.shop} is down", key: []}
    run: [{playbook: take-back, with: {deployment: shop}}]
"""
PLAYBOOK = """
playbook: take-back
inputs: {deployment: {type: string}}
target: deployments/${inputs.deployment}
evidence:
  - {name: logs, action: kubernetes.logs, with: {namespace: shop, selector: "app=shop"}}
steps:
  - id: back
    action: kubernetes.rollout_undo
    with: {namespace: shop, deployment: "${inputs.deployment}", to_revision: 3}
verify:
  - {check: alert_resolved, within: 10m}
"""
HOSTILE = "<script>|**x**[y](http://evil.org)<!channel>"
LABELS = {"shop": HOSTILE}
CHANGE = {"before": {"image": "shop:5"}, "after": {"image": "shop:4"}}


@dataclass(slots=True)
class Hands(Voices):
    """Voices that can also take a release back, which changes its image."""

    def mutates(self, action: str, params: Mapping[str, object]) -> bool:
        """Reading logs changes nothing."""
        return action != "kubernetes.logs"

    async def perform(self, call: Call) -> Outcome:
        """Do it, or send it."""
        if not call.action.startswith("kubernetes."):
            return await Voices.perform(self, call)
        change = CHANGE if call.action == "kubernetes.rollout_undo" else None
        return Outcome(state=OutcomeState.SUCCEEDED, output={"lines": ["503"]}, change=change)


@dataclass(slots=True)
class Story:
    """An incident that is over, and everything that was sent about it."""

    lab: Engine
    hands: Hands

    async def review(self) -> Review:
        """Its review as it is now."""
        (incident,) = await self.lab.incidents()
        told = await self.lab.store.read(lambda tx: read_record(tx, incident.id))
        return review_of(told, self.lab.clock.at)

    async def drafts(self) -> list[Message]:
        """The messages that tell of the review."""
        return [each for each in await self.lab.messages() if each.kind is MessageKind.REVIEW]


@pytest.fixture
async def story(tmp_path: Path) -> AsyncIterator[Story]:
    """At 0 the shop is down and a release is taken back, which does not help; the first page by mail gets lost.

    At 5 nobody has it and the backup is called, at 6 anna takes it, at 20 she tells everybody, at 33 it is over.
    """
    people = [
        shipped("rules") / name for name in ("10-priorities.yaml", "11-people.yaml", "12-messages.yaml")
    ]
    rules = "\n".join([*(path.read_text(encoding="utf-8") for path in people), RULES])
    hands = Hands()
    async with engine(tmp_path, rules=rules, playbooks={"take-back": PLAYBOOK}, performer=hands) as lab:
        hands.clock = lab.clock
        await lab.hear(alert(labels=LABELS))
        hands.failing["email"] = [DEAF]
        await lab.move(6 * MINUTE)
        await lab.act(Do.ACKNOWLEDGE, actor="slack:anna")
        await lab.move(14 * MINUTE)
        await lab.act(Do.NOTE, actor="slack:anna", text="A new release is on its way.", public=True)
        await lab.move(13 * MINUTE)
        await lab.hear(alert(labels=LABELS, ended=lab.clock.at))
        await lab.move(MINUTE)
        yield Story(lab, hands)


async def test_the_review_says_what_happened(story: Story) -> None:
    """Who did what when, which times were kept, what was changed, who was told, and what was collected."""
    review = await story.review()
    assert (review.priority, review.over, review.duration) == ("P0", True, 33 * MINUTE)
    assert review.acknowledged is not None
    assert (review.acknowledged.who, review.acknowledged.after) == ("anna", 6 * MINUTE)
    assert review.responded is not None
    assert (review.responded.who, review.responded.after) == ("automation: take-back", 0 * MINUTE)
    assert review.resolved is not None
    assert review.resolved.after == 33 * MINUTE
    assert {one.kind: (one.kept, one.by) for one in review.promises} == {
        ClockKind.ACKNOWLEDGE: (False, MINUTE),
        ClockKind.RESPOND: (True, 15 * MINUTE),
        ClockKind.RESOLVE: (False, 3 * MINUTE),
        ClockKind.REVIEW: (None, None),
    }
    (remedy,) = review.remedies
    (deed,) = remedy.deeds
    assert (remedy.playbook, remedy.state.value, deed.outcome) == ("take-back", "unverified", "done")
    assert deed.changes == (Difference("image", "shop:5", "shop:4"),)
    assert [piece.name for piece in review.evidence] == ["evidence/logs"]
    lost = [(one.who, one.channel, one.kinds) for one in review.told if one.got_through == "no"]
    assert lost == [("L2 Engineering", "mail", ("page",))]
    assert ("L2 Engineering (backup)", "yes") in {(one.who, one.got_through) for one in review.told}


async def test_the_timeline_is_in_order_and_complete(story: Story) -> None:
    """Each turn of the story is a line, each at its minute, and the noise is not there."""
    review = await story.review()
    times = [line.at for line in review.timeline]
    assert times == sorted(times)
    assert len(review.timeline) < 45
    told = [((line.at - review.opened_at) // MINUTE, line.what, line.who) for line in review.timeline]
    for minute, what, who in (
        (0, "Alert Down began to fire", "alertmanager"),
        (0, "Incident opened as P0", "runbookd"),
        (0, "Automation began take-back on deployments/shop", "runbookd"),
        (0, "kubernetes.rollout_undo was done: image: shop:5 -> shop:4", "runbookd"),
        (2, "The page to L2 Engineering by mail did not get through: nobody is there", "runbookd"),
        (5, "The time to acknowledge ran out", "runbookd"),
        (5, "Page, level 4 of the escalation, sent to L2 Engineering (backup) (mail)", "runbookd"),
        (6, "Acknowledged", "anna"),
        (10, "take-back did its steps, but the trouble was not gone", "runbookd"),
        (20, "Note: A new release is on its way.", "anna"),
        (30, "The time to resolve ran out", "runbookd"),
        (33, "Alert Down resolved", "alertmanager"),
        (33, "Incident resolved", "runbookd"),
    ):
        assert any(each[0] == minute and each[1].startswith(what) and each[2] == who for each in told), what


async def test_the_draft_goes_out_by_itself_when_it_is_over(story: Story) -> None:
    """By mail it is whole, as text and as HTML; in Slack how to see it; the public never hears of it."""
    drafts = await story.drafts()
    review = await story.review()
    assert {one.channel for one in drafts} == {Channel.SLACK, Channel.EMAIL}
    for one in drafts:
        body = str(one.words["body"])
        if one.channel is Channel.SLACK:
            assert f"runbookd review {review.incident_id}" in body
            assert "Post-Incident Review -" not in body
        else:
            assert body.startswith("# Post-Incident Review - ")
            assert "| to resolve | 2026-01-05 12:30:00 | 2026-01-05 12:33:00 | missed by 3 minutes |" in body
            assert "**[to be filled in: root cause]**" in body
            assert str(one.words["html"]).startswith("<!doctype html>")
    sent = [
        (call.action, call.params) for _, call in story.hands.sent if call.action.startswith("statuspage.")
    ]
    assert sent[-1][1]["status"] == "resolved"
    assert sum(params.get("status") == "resolved" for _, params in sent) == 1


async def test_nothing_is_told_that_must_not_be(story: Story) -> None:
    """No address, no key, and nothing of a label that is markup, in any draft."""
    for one in await story.drafts():
        words = "".join(str(one.words.get(name, "")) for name in ("subject", "body", "html"))
        assert "@yourdomain.com" not in words
        assert "pagerduty_l" not in words
        text, page = str(one.words["body"]), str(one.words.get("html", ""))
        assert "<script" not in text.replace("\\<script", "") + page
        assert "<!channel" not in text.replace("\\<!channel", "") + page
        assert not re.search(r"(?<!\\)\]\(http", text) or one.channel is Channel.SLACK


async def test_the_review_has_a_day_and_a_person_says_that_it_is_done(story: Story) -> None:
    """Its clock stops when it is done, and says by how much it was in time."""
    await story.lab.move(timedelta(hours=20))
    await story.lab.act(Do.REVIEW, actor="cli:anna")
    await story.lab.move(timedelta(hours=10))
    review = await story.review()
    (promise,) = [one for one in review.promises if one.kind is ClockKind.REVIEW]
    assert (promise.kept, promise.by) == (True, timedelta(hours=4) - MINUTE)
    assert review.reviewed_at is not None
    assert not [entry for entry in await story.lab.ledger() if entry.entry.detail.get("clock") == "review"]


async def test_a_review_that_nobody_did_is_a_broken_promise(story: Story) -> None:
    """After a day it is in the ledger, and in the review itself; done late, it was missed by so much."""
    await story.lab.move(timedelta(hours=24))
    (late,) = [each.entry for each in await story.lab.ledger() if each.entry.detail.get("clock") == "review"]
    assert late.what == "clock_breached"
    assert (
        "The time to review was missed by 1 minute, and it is not met yet" in (await story.review()).findings
    )
    await story.lab.act(Do.REVIEW, actor="cli:anna")
    await story.lab.move(SECOND)
    (promise,) = [one for one in (await story.review()).promises if one.kind is ClockKind.REVIEW]
    assert (promise.kept, promise.by) == (False, MINUTE)
