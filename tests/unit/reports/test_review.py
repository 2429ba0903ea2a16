"""The post-incident review: every fact of it comes from the record, and what the record does not tell is not told."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest

from runbookd.language.differences import Difference
from runbookd.language.values import SecretRef, SecretText
from runbookd.model.action import Mode
from runbookd.model.escalation import Channel, IncidentLevel, LevelState, MessageKind, MessageState
from runbookd.model.incident import ClockKind
from runbookd.model.run import Hold, Listed, RunState, StepState
from runbookd.reports.review import Review, review_of
from runbookd.reports.review_people import Took
from runbookd.stages.ladder import BY_HAND, BY_HAND_AGAIN, HEARD
from runbookd.units.record import Record
from tests.unit.reports.told import ID, NOON, alert, at, clock, entry, incident, message, record, run, step

MINUTE = timedelta(minutes=1)


def review(told: Record, minute: float = 60) -> Review:
    """The review of it, an hour after the incident opened if nothing else is said."""
    return review_of(told, at(minute))


def promised(told: Record, minute: float = 60) -> list[tuple[str, bool | None, timedelta | None]]:
    """Each promise, whether it was kept, and by how much."""
    return [(one.kind.value, one.kept, one.by) for one in review(told, minute).promises]


def test_each_promise_is_kept_or_missed_by_how_much() -> None:
    """A clock that was met in time has time to spare; one that ran out was missed until what it waited for came."""
    told = record(
        incident=incident(responded_at=at(2)),
        clocks=[
            clock(ClockKind.ACKNOWLEDGE, 5, breached=True),
            clock(ClockKind.RESPOND, 15, met=2),
            clock(ClockKind.RESOLVE, 30, breached=True),
            clock(ClockKind.REVIEW, 1440),
        ],
        entries=[entry(6, "person_acknowledge", actor="slack:anna")],
    )
    assert promised(told) == [
        ("acknowledge", False, MINUTE),
        ("respond", True, 13 * MINUTE),
        ("resolve", False, 6 * MINUTE),
        ("review", None, None),
    ]
    assert promised(told, 1500)[-1] == ("review", False, 60 * MINUTE)


def test_a_promise_that_nobody_met_goes_on_being_missed() -> None:
    """Of an open incident, it is missed by the time that has passed until now."""
    told = record(incident=incident(over=None), clocks=[clock(ClockKind.ACKNOWLEDGE, 5, breached=True)])
    assert promised(told, 20) == [("acknowledge", False, 15 * MINUTE)]
    assert promised(told, 45) == [("acknowledge", False, 40 * MINUTE)]
    assert (
        "The time to acknowledge was missed by 15 minutes, and it is not met yet" in review(told, 20).findings
    )


def test_clocks_of_an_earlier_priority_are_remembered() -> None:
    """A rise in priority replaces the clocks; what the ledger says of those before is told as well."""
    told = record(
        clocks=[clock(ClockKind.RESOLVE, 50, met=36)],
        entries=[
            entry(10, "clock_breached", clock="resolve", due_at=at(10), met_at=None),
            entry(12, "clock_met", clock="respond", due_at=at(15), met_at=at(12)),
            entry(36, "clock_met", clock="resolve", due_at=at(50), met_at=at(36)),
        ],
    )
    found = [(one.kind.value, one.kept, one.by, one.earlier) for one in review(told).promises]
    assert found == [
        ("respond", True, 3 * MINUTE, True),
        ("resolve", True, 14 * MINUTE, False),
        ("resolve", False, None, True),
    ]


def test_promised_news_that_did_not_come_is_counted() -> None:
    """The clock of updates begins anew each time, so the ledger tells when it ran out."""
    broken = [entry(minute, "clock_breached", clock="update", due_at=at(minute)) for minute in (15, 30)]
    told = review(record(clocks=[clock(ClockKind.UPDATE, 45, met=36)], entries=broken))
    assert told.news_promised
    assert told.broken_news == (at(15), at(30))
    assert "News was promised and did not come, 2 times" in told.findings
    assert not review(record()).news_promised


def test_who_acknowledged_is_known_after_it_has_expired() -> None:
    """The first acknowledgement counts, though the incident has forgotten it; who had it longest led."""
    entries = [
        entry(6, "person_acknowledge", actor="slack:anna"),
        entry(20, "person_acknowledge", actor="cli:bob"),
        entry(36, "acknowledgement_expired", by="cli:bob"),
    ]
    told = review(record(entries=entries))
    assert told.acknowledged == Took(at=at(6), after=6 * MINUTE, who="anna")
    assert told.commander == "bob (command line)"
    assert review(record(incident=incident(assignee="eve"), entries=entries)).commander == "eve"
    assert "bob (command line) took the incident, and then the acknowledgement expired" in told.findings


def test_automation_can_acknowledge_and_respond() -> None:
    """Who was first at work is the run that acts; it acknowledges only where the priority lets it."""
    taken = incident(responded_at=NOON, acknowledged_at=NOON)
    told = review(record(incident=taken, runs=[run(mode=Mode.OBSERVE, playbook="look"), run()]))
    assert told.acknowledged is not None
    assert told.acknowledged.who == "automation"
    assert told.responded == Took(at=NOON, after=0 * MINUTE, who="automation: rollback")
    alone = review(record(incident=incident(responded_at=NOON)))
    assert (alone.acknowledged, alone.commander) == (None, "")
    assert alone.responded is not None
    assert alone.responded.who == "automation"


def test_a_person_who_was_first_responded() -> None:
    """Acknowledging is responding, if no run was there before."""
    told = review(
        record(
            incident=incident(responded_at=at(6)), entries=[entry(6, "person_acknowledge", actor="api:ops")]
        )
    )
    assert told.responded == Took(at=at(6), after=6 * MINUTE, who="ops")


@pytest.mark.parametrize(
    ("actor", "who"),
    [("runbookd", "the end of its alerts"), ("cli:bob", "bob (command line)"), ("eve", "eve")],
)
def test_who_ended_it(actor: str, who: str) -> None:
    """A person ended it, or its alerts did."""
    told = review(record(entries=[entry(36, "incident_resolved", actor=actor, seconds=2160.0)]))
    assert told.resolved == Took(at=at(36), after=36 * MINUTE, who=who)
    still = review(record(incident=incident(over=None)), minute=10)
    assert (still.resolved, still.responded, still.over, still.duration) == (None, None, False, 10 * MINUTE)


def test_what_automation_changed_is_told_place_by_place() -> None:
    """Before and after of each place; an attempt that failed is told too, and a call that only reads is not."""
    change = {"before": {"image": "shop:5"}, "after": {"image": "shop:4"}}
    steps = [
        step(action="kubernetes.logs", mutating=False, path="evidence/0"),
        step(StepState.FAILED, message="503 from the server"),
        step(attempt=2, change=change),
        step(action=None, path="steps/wait", mutating=False),
    ]
    ended = entry(3, "run_verified", run="run-1", playbook="rollback", message="the alert has resolved")
    (remedy,) = review(record(runs=[run()], steps={"run-1": steps}, entries=[ended])).remedies
    assert (remedy.playbook, remedy.target, remedy.message) == (
        "rollback",
        "deployments/shop",
        "the alert has resolved",
    )
    assert [(deed.outcome, deed.message, deed.attempt) for deed in remedy.deeds] == [
        ("failed", "503 from the server", 1),
        ("done", "", 2),
    ]
    assert remedy.deeds[1].changes == (Difference("image", "shop:5", "shop:4"),)


def test_dry_runs_are_told_as_such() -> None:
    """What was only observed is not told as done."""
    change = {"before": {"replicas": 2}, "after": {"replicas": 4}}
    steps = [
        step(mutating=False, reason="dry_run", message="dry run: nothing was changed", change=change),
        step(StepState.SKIPPED, mutating=False, reason="observed", message="not made"),
        step(StepState.SKIPPED, mutating=False, reason="when_false"),
    ]
    told = review(record(runs=[run(RunState.OBSERVED, mode=Mode.OBSERVE)], steps={"run-1": steps}))
    (remedy,) = told.remedies
    assert remedy.observing
    assert [(deed.outcome, deed.dry_run) for deed in remedy.deeds] == [
        ("dry run, nothing was changed", True),
        ("not called, it only observes", False),
    ]


def test_who_was_told_and_whether_it_got_through() -> None:
    """Messages to one contact by one channel are one line if they fared alike; failures say why."""
    told = review(
        record(
            messages=[
                message("L2", Channel.SLACK),
                message("L2", Channel.SLACK, MessageKind.UPDATE, created_at=at(10)),
                message("L2", Channel.SLACK, MessageKind.UPDATE, created_at=at(20)),
                message("L2", Channel.SLACK, MessageKind.EDIT),
                message("L2", Channel.EMAIL, state=MessageState.FAILED, error="550 no such user"),
                message("L3", Channel.PAGERDUTY, state=MessageState.FAILED, reason="in_doubt"),
                message("L3", Channel.EMAIL, state=MessageState.PENDING),
                message("L3", Channel.EMAIL, MessageKind.UPDATE, MessageState.DROPPED),
            ]
        )
    ).told
    lines = [(one.who, one.channel, one.kinds, one.times, one.got_through, one.why) for one in told]
    assert lines == [
        ("L2", "Slack", ("page", "update"), (1, 2), "yes", ""),
        ("L2", "mail", ("page",), (1,), "no", "550 no such user"),
        ("L3", "PagerDuty", ("page",), (1,), "no", "in doubt"),
        ("L3", "mail", ("page",), (1,), "on its way", ""),
        ("L3", "mail", ("update",), (1,), "not needed any more", ""),
    ]
    assert (told[0].first_at, told[0].last_at) == (NOON, at(20))


def test_the_levels_are_counted_as_people_do() -> None:
    """The first is 1; whom a level means is told without addresses."""
    levels = [
        IncidentLevel(
            incident_id=ID,
            number=0,
            due_at=NOON,
            page=("l2",),
            notify=("email:boss@example.com", "statuspage", "webhook:chat"),
            state=LevelState.FIRED,
        ),
        IncidentLevel(incident_id=ID, number=1, due_at=None, on_breach="resolve", notify=("slack:C1",)),
    ]
    first, second = review(
        record(incident=incident(channel={"id": "C1", "name": "incident-x"}), levels=levels)
    ).levels
    assert (first.number, first.whom) == (
        1,
        ("page l2", "(a mail address)", "the status page", "webhook chat"),
    )
    assert (second.due_at, second.on_breach, second.whom) == (None, "resolve", ("#incident-x",))


def test_evidence_is_listed_without_its_content() -> None:
    """Name, size, hash, and which run collected it."""
    piece = Listed(
        run_id="run-1", name="logs", media_type="text/plain", size=12, sha256="ab" * 32, taken_at=at(1)
    )
    (kept,) = review(record(runs=[run()], evidence=[piece])).evidence
    assert (kept.name, kept.size, kept.sha256, kept.playbook) == ("logs", 12, "ab" * 32, "rollback")


def test_findings_are_facts_that_ask_for_something() -> None:
    """A call in doubt, a target that is kept, a remedy that did not help, and pages that did not get through."""
    doubt = step(StepState.IN_DOUBT, reason="in_doubt", message="no answer came")
    hold = Hold(target="deployments/shop", playbook="isolate", run_id="run-1", held_at=NOON, incident_id=ID)
    told = review(
        record(
            alerts=[alert("Down", ended=None), alert("Slow", concluded=True)],
            runs=[run(RunState.FAILED, reason="in_doubt")],
            steps={"run-1": [doubt]},
            holds=[hold],
            messages=[
                message("email:boss@example.com", state=MessageState.FAILED, error="550 no boss@example.com"),
                message("slack:U1", Channel.SLACK, MessageKind.REPLY, MessageState.FAILED),
            ],
            entries=[
                entry(2, "nobody_to_reach", reach="l9", why="out_of_hours"),
                entry(3, "nobody_reached", contact="L2", another_level=True),
                entry(4, "nobody_reached", contact="L3", another_level=False),
            ],
        )
    )
    assert told.findings == (
        "kubernetes.rollout_undo of rollback may have happened or not: find out by hand: no answer came",
        "deployments/shop is kept as isolate left it: look at it, then release it",
        "The alert Down still fires, though the incident is over",
        "Nobody told the end of the alert Slow: see to what alertmanager sends",
        "rollback failed: in doubt",
        "The page to (a mail address) by mail did not get through: 550 no (a mail address)",
        "Nobody could be reached as l9: out of hours",
        "A page reached nobody, and no level of the escalation was left",
    )


def test_an_incident_without_a_remedy_says_so() -> None:
    """That nothing was run is a fact to act upon."""
    told = review(record())
    assert told.findings == ("No remedy was run: see whether the rule down can have one",)
    assert (told.began_at, told.impact, told.review_due_at) == (None, "", None)


def test_the_impact_is_what_the_alert_says() -> None:
    """The first alert that says what it means for users is believed."""
    alerts = [alert("Slow"), alert("Down", annotations={"summary": "Nobody can buy.", "description": "5xx"})]
    told = review(record(alerts=alerts, clocks=[clock(ClockKind.REVIEW, 1440, met=50)]))
    assert (told.began_at, told.impact) == (at(-1), "Nobody can buy.")
    assert (told.review_due_at, told.reviewed_at) == (at(1440), at(50))


def test_a_clock_that_only_the_end_met_says_so() -> None:
    """Nobody acknowledged and nobody was at work on it, so that it was over in time is why the promises were kept."""
    told = review(
        record(
            incident=incident(over=3),
            clocks=[
                clock(ClockKind.ACKNOWLEDGE, 5, met=3),
                clock(ClockKind.RESPOND, 2, breached=True),
                clock(ClockKind.RESOLVE, 30, met=3),
            ],
        )
    )
    assert [(one.kind, one.kept, one.by_end) for one in told.promises] == [
        (ClockKind.ACKNOWLEDGE, True, True),
        (ClockKind.RESPOND, False, True),
        (ClockKind.RESOLVE, True, False),
    ]
    assert "The time to respond was missed by 1 minute, and nobody did before it was over" in told.findings
    answered = review(
        record(
            clocks=[clock(ClockKind.ACKNOWLEDGE, 5, met=3)],
            entries=[entry(3, "person_acknowledge", actor="slack:anna")],
        )
    )
    assert not answered.promises[0].by_end


def test_levels_that_were_never_due_were_not_needed() -> None:
    """The end stops what waits for an answer or a clock; what waits for its time alone is told all the same."""
    levels = [
        IncidentLevel(incident_id=ID, number=0, due_at=at(40), notify=("legal",)),
        IncidentLevel(incident_id=ID, number=1, due_at=at(40), unless="resolved", page=("l3",)),
        IncidentLevel(
            incident_id=ID, number=2, due_at=None, on_breach="resolve", unless="resolved", page=("m",)
        ),
        IncidentLevel(
            incident_id=ID, number=3, due_at=at(40), page=("x",), state=LevelState.SKIPPED, reason="resolved"
        ),
    ]
    over = [(one.state, one.reason) for one in review(record(levels=levels), 36).levels]
    ended = (LevelState.SKIPPED, "the incident had ended")
    assert over == [(LevelState.PENDING, ""), ended, ended, ended]
    still = review(record(incident=incident(over=None), levels=levels[:3]), 36).levels
    assert {one.state for one in still} == {LevelState.PENDING}


def test_what_the_resolver_wrote_is_known() -> None:
    """The reason of whoever ended it, without mail addresses; of an incident that is open there is none."""
    entries = [entry(36, "person_resolve", actor="cli:root", text="restarted by hand, ask anna@example.com")]
    assert review(record(entries=entries)).resolved_because == "restarted by hand, ask (a mail address)"
    assert review(record()).resolved_because == ""
    assert review(record(incident=incident(over=None), entries=entries)).resolved_because == ""


def test_who_had_it_at_the_end_led() -> None:
    """Whatever others had it before, whose acknowledgements are gone; each with their times."""
    entries = [
        entry(1, "person_acknowledge", actor="api:console"),
        entry(20, "acknowledgement_expired", by="api:console"),
        entry(21, "person_acknowledge", actor="cli:root"),
        entry(22, "person_acknowledge", actor="slack:anna"),
    ]
    told = review(
        record(incident=incident(acknowledged_at=at(21), acknowledged_by="slack:anna"), entries=entries)
    )
    assert told.commander == "anna"
    assert [(one.who, one.since, one.until) for one in told.leads] == [
        ("console", at(1), at(20)),
        ("root (command line)", at(21), at(22)),
        ("anna", at(22), at(36)),
    ]


def test_a_level_that_was_asked_again_keeps_its_own_time() -> None:
    """The ledger knows for when it was frozen; without that the level's last time is all there is."""
    levels = [
        IncidentLevel(incident_id=ID, number=0, due_at=at(40), page=("l2",), state=LevelState.FIRED),
        IncidentLevel(incident_id=ID, number=1, due_at=at(10), page=("l3",), state=LevelState.FIRED),
        IncidentLevel(incident_id=ID, number=2, due_at=None, on_breach="resolve", page=("l4",)),
    ]
    frozen = entry(0, "escalation_frozen", levels=[[1, at(5)], [2, at(10)], [3, "resolve"]])
    times = [(one.due_at, one.again_at) for one in review(record(levels=levels, entries=[frozen])).levels]
    assert times == [(at(5), at(40)), (at(10), None), (None, None)]
    assert review(record(levels=levels)).levels[0].due_at == at(40)


def test_a_level_that_was_told_again_says_when_it_was_told_first() -> None:
    """The row knows its last time only: of a clock's level the ledger tells the first, and what a person called."""
    last = partial(IncidentLevel, incident_id=ID, page=("l2",), state=LevelState.FIRED)
    levels = [
        last(number=0, due_at=at(6.2), on_breach="acknowledge"),
        last(number=1, due_at=at(60), state=LevelState.SKIPPED, reason=HEARD),
        last(number=2, due_at=None, on_breach="resolve"),
    ]
    entries = [
        entry(0, "escalation_frozen", levels=[[1, "acknowledge"], [2, at(60)], [3, "resolve"]]),
        entry(3, "person_escalate", text="needs a DBA"),
        entry(3.1, "level_fired", level=2, due_at=at(3), reason=BY_HAND),
        entry(5.1, "level_fired", level=1, due_at=at(5)),
        entry(6.2, "level_fired", level=1, due_at=at(6.2)),
        entry(8, "person_escalate", text="more"),
        entry(8, "level_fired", level=3, due_at=at(8), reason=BY_HAND_AGAIN),
    ]
    told = review(record(levels=levels, entries=entries))
    times = [
        (one.due_at, one.again_at, [(each.at, each.by_hand) for each in one.told]) for one in told.levels
    ]
    assert times == [
        (at(5), at(6.2), [(at(5.1), False), (at(6.2), False)]),
        (at(60), None, [(at(3.1), True)]),
        (None, None, [(at(8), True)]),
    ]
    lines = [line.what for line in told.timeline if line.what.startswith("Level 2")]
    assert lines == ["Level 2 of the escalation was called by hand"]


def test_the_levels_of_a_raised_priority_were_not_called_by_hand() -> None:
    """Whoever raises it asks for its clocks and levels; those that are due at once are so by their own time."""
    levels = [IncidentLevel(incident_id=ID, number=0, due_at=at(3), page=("l2",), state=LevelState.FIRED)]
    entries = [
        entry(3, "escalation_frozen", levels=[[1, at(3)]]),
        entry(3, "person_escalate", priority="P0"),
        entry(3, "level_fired", level=1, due_at=at(3)),
    ]
    (level,) = review(record(levels=levels, entries=entries)).levels
    assert (level.due_at, [each.by_hand for each in level.told]) == (at(3), [False])


def test_the_impact_is_what_people_were_told_first() -> None:
    """By the end the alert may tell only of its last moment."""
    alerts = [alert(annotations={"impact": "21% of visits fail"})]
    first = message("L2", words={"impact": "100% of visits fail"})
    assert review(record(alerts=alerts, messages=[first])).impact == "100% of visits fail"


def test_a_request_says_what_was_asked_of_whom() -> None:
    """Method and address, without what may be secret in it; its reverse says its own."""
    token = SecretText(("https://u:p@shop.example/admin/", SecretRef("shop"), "?key=1"))
    sent = {
        "method": "POST",
        "url": "https://u:p@shop.example:8443/admin/rollback?token=t#x",
        "undo": {"method": "PUT", "url": token},
    }
    steps = [
        step(action="http.request", params=sent, change={"before": {"to": "v2"}, "after": {"to": "v1"}}),
        step(action="http.request", params=sent, path="undo/steps/undo"),
        step(action="http.request", params={"method": "POST", "url": 7}),
    ]
    (remedy,) = review(record(runs=[run()], steps={"run-1": steps})).remedies
    assert [deed.action for deed in remedy.deeds] == [
        "http.request POST https://shop.example:8443/admin/rollback",
        "http.request PUT https://shop.example/admin/${secret.shop}",
        "http.request",
    ]
    assert remedy.deeds[0].changes == (Difference("to", "v2", "v1"),)
