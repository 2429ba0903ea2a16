"""The review as a document: the runbook's template, filled in with facts, and what only people know left blank."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from runbookd.language.values import SecretRef
from runbookd.model.action import Mode
from runbookd.model.escalation import Channel, IncidentLevel, LevelState, MessageKind, MessageState
from runbookd.model.incident import ClockKind
from runbookd.model.run import Listed, RunState, StepState
from runbookd.reports.review_draft import draft
from runbookd.stages.ladder import BY_HAND
from runbookd.units.record import Record
from tests.unit.reports.told import ID, NOON, alert, at, clock, entry, incident, message, record, run, step

SECTIONS = [
    "Incident Summary",
    "Response Times",
    "Timeline",
    "Root Cause Analysis",
    "Resolution",
    "What Automation Did",
    "Who Was Told",
    "Impact Assessment",
    "Action Items",
    "Lessons Learned",
    "Evidence",
    "Follow-up",
]
UNKNOWN = [
    "root cause",
    "detailed explanation",
    "factor",
    "number or percentage of users",
    "data lost, damaged or seen by strangers",
    "owner",
    "due date",
    "preventive action",
    "success",
    "improvement",
    "date and time",
]


def markdown(told: Record, minute: float = 60) -> str:
    """The draft, an hour after the incident opened if nothing else is said."""
    return draft(told, at(minute)).markdown


def full(title: str = "The shop is down", **changed: Any) -> Record:
    """The record of an incident in which a bit of everything happened; texts of others are all the same one."""
    text = changed.pop("text", "words")
    return record(
        incident=incident(title=title, responded_at=at(1), assignee=text),
        clocks=[clock(ClockKind.RESOLVE, 30, breached=True), clock(ClockKind.REVIEW, 1476)],
        alerts=[alert(text, annotations={"summary": text})],
        runs=[run(target=text), run(RunState.OBSERVED, mode=Mode.OBSERVE, id="run-2")],
        steps={
            "run-1": [
                step(change={"before": {"image": text}, "after": {text: "shop:4"}}),
                step(StepState.FAILED, message=text),
            ],
            "run-2": [step(mutating=False, reason="dry_run", change={"before": {"a": 1}, "after": {"a": 2}})],
        },
        evidence=[
            Listed(run_id="run-1", name=text, media_type="", size=12, sha256="ab" * 32, taken_at=at(1)),
        ],
        levels=[IncidentLevel(incident_id=ID, number=0, due_at=NOON, page=("l2",), state=LevelState.FIRED)],
        messages=[
            message(text, state=MessageState.FAILED, error=text),
            message("L2", Channel.PAGERDUTY, address={"service_key": SecretRef("pagerduty_l2")}),
        ],
        entries=[
            entry(0, "incident_opened", priority="P0", title=title),
            entry(6, "person_acknowledge", actor=f"slack:{text}"),
            entry(7, "person_note", actor=text, text=text),
            entry(36, "incident_resolved"),
        ],
        **changed,
    )


def test_the_sections_are_the_runbooks_and_the_facts_are_filled_in() -> None:
    """Summary, times, changes, people, evidence and action items say what the record says."""
    text = markdown(full())
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS
    for fact in (
        f"# Post-Incident Review - {ID[-8:]}: The shop is down",
        f"| Incident | `{ID}` |",
        "| Severity | P0 |",
        "| Date/Time | 2026-01-05 12:00:00 - 2026-01-05 12:36:00 |",
        "| Duration | 36 minutes |",
        "| Time to acknowledge (MTTA) | 6 minutes, by words at 2026-01-05 12:06:00 |",
        "| First response | 1 minute, by automation: rollback at 2026-01-05 12:01:00 |",
        "| Time to resolve (MTTR) | 36 minutes, by the end of its alerts at 2026-01-05 12:36:00 |",
        "| to resolve | 2026-01-05 12:30:00 | 2026-01-05 12:36:00 | missed by 6 minutes |",
        "| to review | 2026-01-06 12:36:00 | - | still running |",
        "| Time | Event | Action Taken | By |",
        "| 12:07:00 | - | Note: words | words |",
        "| 2026-01-05 12:02:00 | kubernetes.rollout_undo | done | image | words | (nothing) |",
        "| 2026-01-05 12:02:00 | kubernetes.rollout_undo | dry run, nothing was changed | a | 1 | 2 |",
        "It only observed: nothing was changed.",
        "| 1 | 2026-01-05 12:00:00 | page l2 | told |",
        "| 2026-01-05 12:00:00 | 2026-01-05 12:00:00 | words | mail | page | no: words |",
        "| The time to resolve was missed by 6 minutes | **[to be filled in: owner]** | ",
        f"| `words` | `run-1` | 2026-01-05 12:01:00 | 12 bytes | `{'ab' * 32}` |",
        f"The review is due by 2026-01-06 12:36:00; when it is done: `runbookd review {ID} --done`",
        "- rollback on words, by automation",
        "- rollback ended, and the trouble was verified to be gone",
    ):
        assert fact in text, fact


def test_what_only_people_know_is_left_blank() -> None:
    """Cause, impact and lessons are marked as blanks, and so are owners and due dates."""
    text = markdown(full())
    for blank in UNKNOWN:
        assert f"**[to be filled in: {blank}]**" in text, blank


def test_the_summary_tells_it_in_a_few_sentences() -> None:
    """What automation did, who took it, what was missed, and what did not get through."""
    assert (
        "The incident was open for 36 minutes. Automation: rollback ended, and the trouble was verified to be gone; "
        "rollback only observed, and changed nothing. words acknowledged after 6 minutes. Promised times that "
        "were missed: to resolve. 1 message did not get through." in markdown(full())
    )


def test_an_incident_of_which_little_is_known() -> None:
    """It is said that nothing is known, and nothing is made up."""
    text = markdown(record(incident=incident(over=None)), minute=10)
    for said in (
        "This is a draft of an incident that is not over",
        "The incident has been open for 10 minutes. Automation ran nothing. No person acknowledged.",
        "| Time to acknowledge (MTTA) | nobody acknowledged |",
        "| First response | nobody was at work on it |",
        "| Date/Time | 2026-01-05 12:00:00 - not over |",
        "| Incident commander | nobody |",
        "| Impact | **[to be filled in: brief description]** |",
        "The priority promises no times.",
        "Nobody was told by runbookd.",
        "None was collected.",
        "The priority asks for no review by a time.",
        "**[to be filled in: what was done to resolve it; no remedy of automation is known to have]**",
    ):
        assert said in text, said


def test_promises_that_were_kept_are_said_to_be() -> None:
    """Nothing is missed that was kept, news included; and a review that is done is done."""
    kept = [
        clock(ClockKind.RESOLVE, 60, met=36),
        clock(ClockKind.UPDATE, 45, met=36),
        clock(ClockKind.REVIEW, 1476, met=60),
    ]
    text = markdown(record(clocks=kept, runs=[run()]), minute=90)
    assert "No promised time was missed." in text
    assert "| to resolve | 2026-01-05 13:00:00 | 2026-01-05 12:36:00 | kept, 24 minutes to spare |" in text
    assert "| news as promised | - | - | kept |" in text
    assert "of the times promised for P0: none missed" in text
    assert "The review was done at 2026-01-05 13:00:00." in text
    assert "It made no call that changes anything." in text


def test_news_that_did_not_come_and_earlier_clocks() -> None:
    """Both stand among the response times."""
    entries = [
        entry(10, "clock_breached", clock="resolve", due_at=at(10), met_at=None),
        entry(15, "clock_breached", clock="update", due_at=at(15)),
    ]
    told = record(
        clocks=[clock(ClockKind.RESOLVE, 50, breached=True)], incident=incident(over=None), entries=entries
    )
    text = markdown(told)
    assert "| to resolve, at an earlier priority | 2026-01-05 12:10:00 | - | missed |" in text
    assert "| to resolve | 2026-01-05 12:50:00 | - | missed by 10 minutes, and not met yet |" in text
    assert "| news as promised | 2026-01-05 12:15:00 | - | missed, 1 time |" in text
    assert "Promised times that were missed: to resolve and of news." in text


def test_a_run_that_was_not_begun_did_nothing() -> None:
    """Its reason is told, and nothing else."""
    text = markdown(record(runs=[run(RunState.REFUSED, reason="target_locked")]))
    assert "It was not begun: target locked.\n\n## Who" in text
    assert "| rollback was not begun: target locked | **[to be filled in: owner]**" in text


def test_what_is_too_long_is_told_to_be_cut() -> None:
    """Tables and timeline are bounded, and say where the rest is."""
    many = {str(number): number for number in range(150)}
    told = record(
        runs=[run()],
        steps={"run-1": [step(change={"before": {}, "after": many})]},
        messages=[message(f"L{number}") for number in range(130)],
        entries=[entry(number, "person_note", text=str(number)) for number in range(250)],
    )
    text = markdown(told, 300)
    assert "This is shortened. 50 lines in the middle left out; more is told by " in text
    assert "and 50 more: `runbookd runs show run-1`" in text
    assert f"and 30 more: `runbookd messages --incident {ID}`" in text
    late = markdown(record(begins_late=True))
    assert "This is shortened. The beginning left out; more is told by " in late
    assert "150 lines" not in late


def test_a_story_of_several_days_has_dates() -> None:
    """Times of one day are told without it."""
    assert "All of it on 2026-01-05." in markdown(full())
    told = record(entries=[entry(0, "person_note", text="a"), entry(1500, "person_note", text="b")])
    assert "| 2026-01-06 13:00:00 | - | Note: b | runbookd |" in markdown(told)


@pytest.mark.parametrize("form", ["markdown", "html"])
def test_no_address_and_no_secret_is_told(form: str) -> None:
    """Not of a contact, not in an answer of a mail server, not in what somebody wrote."""
    made = draft(full(text="write to l2@example.com"), at(60))
    text = getattr(made, form)
    assert "@example.com" not in text
    assert "example.com" not in text
    assert "(a mail address)" in text
    assert "pagerduty_l2" not in text


def test_a_reminder_that_failed_is_counted_with_its_reason() -> None:
    """Even a message that would tell nobody anything."""
    failed = message("slack:#ops", Channel.SLACK, MessageKind.EDIT, MessageState.FAILED, reason="not_found")
    text = markdown(record(messages=[failed]))
    assert "| #ops | Slack | correction of what was posted | no: not found |" in text
    assert "The correction of what was posted to #ops by Slack did not get through: not found" in text


HOSTILE = st.text(max_size=30) | st.sampled_from(
    [
        "</p><script>alert(1)</script>",
        "<!channel>",
        "| a | b |\n| --- |",
        "[x](http://evil.org)",
        "x" * 10_000,
        "\ud83d",
        "`a`|",
    ]
)


@settings(deadline=None, max_examples=40)
@given(HOSTILE)
def test_hostile_texts_make_no_other_document(text: str) -> None:
    """Title, labels, notes, contacts, names: whatever they hold, the review has the same parts and loads nothing."""
    made, plain = draft(full(text, text=text), at(60)), draft(full(), at(60))
    assert outline(made.markdown) == outline(plain.markdown)
    assert len(made.markdown) < 60_000
    elements = set(re.findall(r"<(\w+)", made.html))
    assert elements == set(re.findall(r"<(\w+)", plain.html))


def outline(text: str) -> list[str]:
    """The headings, lists and tables of Markdown, and links and HTML if there are any."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text.encode("utf-8", "replace").decode())
    every = [each for token in tokens for each in (token, *(token.children or ()))]
    telling = (
        "heading_open",
        "bullet_list_open",
        "table_open",
        "link_open",
        "image",
        "html_block",
        "html_inline",
    )
    return [f"{token.type} {token.tag}" for token in every if token.type in telling]


def test_the_immediate_fix_is_what_was_done() -> None:
    """By automation, by the person who ended it, or by both; a blank only where nothing is known of either."""
    ended = [
        entry(36, "incident_resolved", actor="cli:root"),
        entry(36, "person_resolve", actor="cli:root", text="restarted the gateway"),
    ]
    by_hand = "- By root (command line): restarted the gateway"
    by_itself = "- rollback on deployments/shop, by automation"
    remedy = {"runs": [run()], "steps": {"run-1": [step()]}}
    both, person, automation = record(entries=ended, **remedy), record(entries=ended), record(**remedy)
    assert f"### Immediate Fix\n\n{by_itself}\n{by_hand}\n\n" in markdown(both)
    assert f"### Immediate Fix\n\n{by_hand}\n\n" in markdown(person)
    assert f"### Immediate Fix\n\n{by_itself}\n\n" in markdown(automation)
    assert "### Immediate Fix\n\n**[to be filled in: what was done" in markdown(record())
    assert "- The incident was ended by root (command line)." in markdown(person)
    assert "- The incident ended with its alerts." in markdown(automation)


def test_what_was_not_answered_does_not_contradict_what_was_kept() -> None:
    """That nobody acknowledged stands beside a promise that only the end kept."""
    clocks = [clock(ClockKind.ACKNOWLEDGE, 5, met=3), clock(ClockKind.RESPOND, 2, breached=True)]
    text = markdown(record(incident=incident(over=3), clocks=clocks))
    assert "| nobody acknowledged, it was over first |" in text
    assert "| nobody was at work on it, it was over first |" in text
    assert "No person acknowledged before it was over." in text
    assert (
        "| to acknowledge | 2026-01-05 12:05:00 | 2026-01-05 12:03:00 | kept, for it was over before |"
        in text
    )
    assert "| missed, and nobody did before it was over |" in text


def test_a_level_says_what_became_of_it() -> None:
    """One that a later one took in paged nobody, one that was never due was not needed, one without `unless` comes."""
    one = partial(IncidentLevel, incident_id=ID)
    taken_in = partial(one, state=LevelState.COLLAPSED, reason="a later level was due as well")
    levels = [
        taken_in(number=0, due_at=at(1), page=("l2",)),
        taken_in(number=1, due_at=at(2), page=("l2",), notify=("slack:#ops",)),
        one(number=2, due_at=at(50), page=("l3",), unless="resolved"),
        one(number=3, due_at=at(50), notify=("legal",)),
    ]
    text = markdown(record(levels=levels))
    for said in (
        "| page l2 | paged nobody: a later level was due as well |",
        "| page l2 and #ops | paged nobody, told #ops: a later level was due as well |",
        "| page l3 | not needed: the incident had ended |",
        "| legal | told when it is due, though the incident has ended |",
    ):
        assert said in text
    assert "not due yet" not in text


def test_a_level_says_when_it_was_told_and_who_called_for_it() -> None:
    """Each time that its first page went out, and what became of it since if it waits again."""
    one = partial(IncidentLevel, incident_id=ID, page=("l2",))
    levels = [
        one(number=0, due_at=at(1), state=LevelState.FIRED),
        one(number=1, due_at=at(50), on_breach="resolve"),
    ]
    entries = [
        entry(1, "level_fired", level=1, due_at=at(1)),
        entry(2, "level_fired", level=2, due_at=at(2)),
        entry(8, "person_escalate", text="more"),
        entry(8, "level_fired", level=1, due_at=at(8), reason=BY_HAND),
    ]
    messages = [
        message("l2", id=f"msg-{due}", settled_at=at(due + late), facts={"level": 0, "due_at": at(due)})
        for due, late in ((1, 0), (8, 1))
    ]
    text = markdown(record(incident=incident(over=None), levels=levels, entries=entries, messages=messages))
    first = "told at 2026-01-05 12:01:00 and 2026-01-05 12:09:00 (called by hand)"
    assert f"| 1 | 2026-01-05 12:01:00 | page l2 | {first} |" in text
    assert "| page l2 | called at 2026-01-05 12:02:00, and told nobody; then not due yet |" in text


def test_the_commander_stands_with_the_times() -> None:
    """Who led, and whoever had it before, from when to when; and a level that was asked again with both times."""
    entries = [
        entry(0, "escalation_frozen", levels=[[1, at(5)]]),
        entry(1, "person_acknowledge", actor="cli:root"),
        entry(2, "person_assign", actor="cli:root", text="anna"),
    ]
    levels = [IncidentLevel(incident_id=ID, number=0, due_at=at(40), page=("l2",), state=LevelState.FIRED)]
    text = markdown(record(incident=incident(assignee="anna"), entries=entries, levels=levels))
    assert "anna (root (command line) 12:01:00 - 12:02:00; anna 12:02:00 - 12:36:00)" in text
    assert "2026-01-05 12:05:00, due again at 2026-01-05 12:40:00" in text
