"""The post-incident review as a document, in the order of the runbook's template: facts filled in, the rest left blank.

What is left blank is marked, so that nobody takes a draft for a finished review: `[to be filled in: root cause]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runbookd.language.media import cut, in_words
from runbookd.model.escalation import LevelState
from runbookd.model.incident import ClockKind
from runbookd.model.run import RunState
from runbookd.reports.document import Blank, Bullets, Code, Document, Heading, Paragraph, Table
from runbookd.reports.review_levels import PAGE, when_told
from runbookd.reports.review_people import ALERTS_ENDED
from runbookd.reports.review_words import counted, listed, moment, with_detail

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from runbookd.reports.document import Block, Words
    from runbookd.reports.review import Review
    from runbookd.reports.review_levels import Rung
    from runbookd.reports.review_people import Told, Took
    from runbookd.reports.review_promises import Promise
    from runbookd.reports.review_remedies import Remedy
    from runbookd.reports.review_timeline import Line

_MOST_ROWS: Final = 100
"""Rows of one table, but for the timeline, which bounds itself."""

_LONGEST_TITLE: Final = 120
"""Characters of the incident's title in that of the document; the summary has it whole."""

_MOST_LEADS: Final = 10

_TO: Final = {
    ClockKind.ACKNOWLEDGE: "acknowledge",
    ClockKind.RESPOND: "respond",
    ClockKind.RESOLVE: "resolve",
    ClockKind.UPDATE: "tell news",
    ClockKind.REVIEW: "review",
}
_LEVELS: Final = {
    LevelState.PENDING: "not due yet",
    LevelState.FIRED: "told",
    LevelState.SKIPPED: "not needed",
    LevelState.COLLAPSED: "paged nobody",
}
_GOOD: Final = frozenset({RunState.VERIFIED, RunState.SUCCEEDED})


def document_of(review: Review) -> Document:
    """Write a review down."""
    blocks = (
        *_summary(review),
        *_times(review),
        *_timeline(review),
        *_cause(),
        *_resolution(review),
        *_automation(review),
        *_people(review),
        *_impact(review),
        *_actions(review),
        *_lessons(),
        *_evidence(review),
        *_follow_up(review),
    )
    title = cut(review.title, _LONGEST_TITLE, "text")
    return Document(f"Post-Incident Review - {review.incident_id[-8:]}: {title}", blocks)


def _summary(review: Review) -> Iterator[Block]:
    state = "a draft" if review.over else "a draft of an incident that is not over"
    yield Paragraph(
        (
            f"This is {state}, written by runbookd from its record as of {moment(review.made_at)}. All times are UTC. ",
            "What it cannot know is left blank: ",
            Blank("what belongs there"),
            ".",
        )
    )
    yield Heading("Incident Summary")
    yield Paragraph(" ".join(_sentences(review)))
    end = moment(review.resolved_at) if review.over else "not over"
    first = ", it was over first" if review.over else ""
    yield Table(
        ("Fact", "Value"),
        (
            ("Incident", Code(review.incident_id)),
            ("Title", review.title),
            ("Severity", review.priority),
            ("Rule", review.rule),
            ("First alert", moment(review.began_at)),
            ("Date/Time", f"{moment(review.opened_at)} - {end}"),
            ("Duration", in_words(review.duration)),
            ("Time to acknowledge (MTTA)", _took(review.acknowledged, f"nobody acknowledged{first}")),
            ("First response", _took(review.responded, f"nobody was at work on it{first}")),
            ("Time to resolve (MTTR)", _took(review.resolved, "not resolved")),
            ("Incident commander", _commander(review)),
            (
                "Impact",
                f"{review.impact} (as the alert says)" if review.impact else Blank("brief description"),
            ),
        ),
    )


def _commander(review: Review) -> str:
    """Name who led, and where others had it as well who they were, each with their time."""
    if not review.leads:
        return review.commander or "nobody"
    times = [f"{one.who} {_clock(one.since, review)} - {_clock(one.until, review)}" for one in review.leads]
    return f"{review.commander} ({'; '.join(times[-_MOST_LEADS:])})"


def _clock(at: datetime | None, review: Review) -> str:
    """Write a time; without its date if that is the day on which the incident opened."""
    if at is None:
        return "now"
    return moment(at).partition(" ")[2] if at.date() == review.opened_at.date() else moment(at)


def _sentences(review: Review) -> Iterator[str]:
    """Tell the incident in a few sentences."""
    lasted = in_words(review.duration)
    if review.over:
        yield f"The incident was open for {lasted}."
    else:
        yield f"The incident has been open for {lasted}."
    if review.remedies:
        did = (f"{one.playbook} {one.end}" for one in review.remedies[:5])
        yield f"Automation: {'; '.join(did)}."
    else:
        yield "Automation ran nothing."
    if review.acknowledged is not None:
        yield f"{review.acknowledged.who} acknowledged after {in_words(review.acknowledged.after)}."
    else:
        yield f"No person acknowledged{' before it was over' if review.over else ''}."
    missed = [f"to {_TO[one.kind]}" for one in review.promises if one.kept is False]
    missed += ["of news"] * bool(review.broken_news)
    if missed:
        yield f"Promised times that were missed: {listed(dict.fromkeys(missed))}."
    elif review.promises:
        yield "No promised time was missed."
    lost = sum(sum(one.times) for one in review.told if one.got_through == "no")
    if lost:
        yield f"{counted(lost, 'message')} did not get through."


def _took(took: Took | None, otherwise: str) -> str:
    return otherwise if took is None else f"{in_words(took.after)}, by {took.who} at {moment(took.at)}"


def _times(review: Review) -> Iterator[Block]:
    yield Heading("Response Times")
    rows: list[tuple[Words, ...]] = [_promise(one) for one in review.promises]
    if review.broken_news:
        dues = listed(moment(at) for at in review.broken_news[:10])
        count = counted(len(review.broken_news), "time")
        rows.append(("news as promised", dues, "-", f"missed, {count}"))
    elif review.news_promised:
        rows.append(("news as promised", "-", "-", "kept"))
    if rows:
        yield Table(("Promise", "Due", "Met", "Result"), tuple(rows))
    else:
        yield Paragraph("The priority promises no times.")


def _promise(one: Promise) -> tuple[Words, ...]:
    name = f"to {_TO[one.kind]}{', at an earlier priority' if one.earlier else ''}"
    if one.kept is None:
        result = "still running"
    elif one.by_end:
        result = "kept, for it was over before" if one.kept else "missed, and nobody did before it was over"
    elif one.kept:
        result = "kept" if one.by is None else f"kept, {in_words(one.by)} to spare"
    else:
        by = "" if one.by is None else f" by {in_words(one.by)}"
        result = f"missed{by}{'' if one.met_at is not None or one.earlier else ', and not met yet'}"
    return name, moment(one.due_at), moment(one.met_at), result


def _timeline(review: Review) -> Iterator[Block]:
    yield Heading("Timeline")
    whole = Code(f"runbookd incidents show {review.incident_id}")
    if review.left_out or review.begins_late:
        what = f"{counted(review.left_out, 'line')} in the middle" if review.left_out else "The beginning"
        yield Paragraph((f"This is shortened. {what} left out; more is told by ", whole, "."))
    days = {moment(line.at).partition(" ")[0] for line in review.timeline}
    if len(days) == 1:
        yield Paragraph(f"All of it on {listed(days)}.")
    rows = [_line(line, whole=len(days) > 1) for line in review.timeline]
    yield Table(("Time", "Event", "Action Taken", "By"), tuple(rows))


def _line(line: Line, *, whole: bool) -> tuple[Words, ...]:
    """Write a line with its time, without the date unless it is to be `whole`."""
    at = moment(line.at) if whole else moment(line.at).partition(" ")[2]
    what = f"{line.what}{f' ({line.times} times)' if line.times > 1 else ''}"
    return (at, "-", what, line.who) if line.is_action else (at, what, "-", line.who)


def _cause() -> Iterator[Block]:
    yield Heading("Root Cause Analysis")
    yield Heading("What Happened", 3)
    yield Paragraph(Blank("detailed explanation"))
    yield Heading("Why It Happened", 3)
    yield Paragraph(Blank("root cause"))
    yield Heading("Contributing Factors", 3)
    yield Bullets((Blank("factor"), Blank("factor")))


def _resolution(review: Review) -> Iterator[Block]:
    yield Heading("Resolution")
    yield Heading("Immediate Fix", 3)
    fixes = [one for one in review.remedies if one.state in _GOOD and not one.observing and one.deeds]
    done = [f"{one.playbook}{_on(one)}, by automation" for one in fixes]
    if review.resolved_because and review.resolved is not None:
        done.append(f"By {review.resolved.who}: {review.resolved_because}")
    if done:
        yield Bullets(tuple(done))
    else:
        yield Paragraph(Blank("what was done to resolve it; no remedy of automation is known to have"))
    yield Heading("Verification", 3)
    verified = [one for one in review.remedies if one.state is RunState.VERIFIED]
    proofs: list[Words] = [with_detail(f"{one.playbook} {one.end}", one.message) for one in verified]
    if review.resolved is not None:
        by_itself = review.resolved.who == ALERTS_ENDED
        proofs.append(
            f"The incident {'ended with its alerts' if by_itself else f'was ended by {review.resolved.who}'}."
        )
    proofs.append(Blank("how it was verified that the fix holds"))
    yield Bullets(tuple(proofs))


def _on(one: Remedy) -> str:
    return f" on {one.target}" if one.target else ""


def _automation(review: Review) -> Iterator[Block]:
    yield Heading("What Automation Did")
    if not review.remedies:
        yield Paragraph("No remedy was run.")
    for one in review.remedies:
        yield Heading(f"{one.playbook}{_on(one)}", 3)
        only = " It only observed: nothing was changed." if one.observing else ""
        ran = f"From {moment(one.began_at)} to {moment(one.ended_at)}, run "
        yield Paragraph((ran, Code(one.run_id), f". It {with_detail(one.end, one.message)}.{only}"))
        if one.deeds:
            yield _deeds(one)
        elif not one.observing and one.state is not RunState.REFUSED:
            yield Paragraph("It made no call that changes anything.")


def _deeds(one: Remedy) -> Table:
    """One row for each place that was changed, or would have been; a call that tells of none has a row of its own."""
    rows: list[tuple[Words, ...]] = []
    for deed in one.deeds:
        again = f" (attempt {deed.attempt})" if deed.attempt > 1 else ""
        call: tuple[Words, ...] = (
            moment(deed.at),
            f"{deed.action}{again}",
            with_detail(deed.outcome, deed.message),
        )
        places = [(each.place or "-", each.before, each.after) for each in deed.changes]
        rows += [(*call, *place) for place in places or [("-", "-", "-")]]
    shown = rows[:_MOST_ROWS]
    if len(rows) > len(shown):
        more = (f"and {len(rows) - len(shown)} more: ", Code(f"runbookd runs show {one.run_id}"))
        shown.append(("-", more, "-", "-", "-", "-"))
    return Table(("Time", "Call", "Result", "What", "Before", "After"), tuple(shown))


def _people(review: Review) -> Iterator[Block]:
    yield Heading("Who Was Told")
    if review.levels:
        rows = tuple(_level(one, over=review.over) for one in review.levels[:_MOST_ROWS])
        yield Table(("Level", "Due", "Whom", "Result"), rows)
    if not review.told:
        yield Paragraph("Nobody was told by runbookd.")
        return
    shown: list[tuple[Words, ...]] = [_told(one) for one in review.told[:_MOST_ROWS]]
    if len(review.told) > len(shown):
        more = Code(f"runbookd messages --incident {review.incident_id}")
        shown.append(("-", "-", (f"and {len(review.told) - len(shown)} more: ", more), "-", "-", "-"))
    yield Table(("First", "Last", "Who", "By", "What", "Got through"), tuple(shown))


def _level(one: Rung, *, over: bool) -> tuple[Words, ...]:
    due = moment(one.due_at) if one.due_at is not None else f"when the time to {one.on_breach} runs out"
    due += f", due again at {moment(one.again_at)}" if one.again_at is not None else ""
    stands = with_detail(_standing(one, over=over), one.reason)
    if one.told:
        told = when_told(one.told)
        if (
            one.state is LevelState.SKIPPED and one.on_breach
        ):  # called for a breach that came: that was needed
            stands = with_detail("not called again", one.reason)
        stands = told if one.state is LevelState.FIRED else f"{told}; then {stands}"
    return str(one.number), due, listed(one.whom), stands


def _standing(one: Rung, *, over: bool) -> str:
    """Say how a level stands. One that waits for nothing but its time is told after the end as well."""
    if one.state is LevelState.PENDING and over:
        return "told when it is due, though the incident has ended"
    noticed = [each for each in one.whom if not each.startswith(PAGE)]
    if one.state is LevelState.COLLAPSED and noticed:
        return f"paged nobody, told {listed(noticed)}"
    return _LEVELS[one.state]


def _told(one: Told) -> tuple[Words, ...]:
    what = listed(
        f"{kind} ({times} times)" if times > 1 else kind
        for kind, times in zip(one.kinds, one.times, strict=True)
    )
    result = with_detail(one.got_through, one.why)
    return moment(one.first_at), moment(one.last_at), one.who, one.channel, what, result


def _impact(review: Review) -> Iterator[Block]:
    missed = [f"to {_TO[one.kind]}" for one in review.promises if one.kept is False]
    ours = f"of the times promised for {review.priority}: {listed(dict.fromkeys(missed)) or 'none'} missed; "
    yield Heading("Impact Assessment")
    yield Bullets(
        (
            ("Users Affected: ", Blank("number or percentage of users")),
            ("Data Impact: ", Blank("data lost, damaged or seen by strangers")),
            ("Revenue Impact: ", Blank("if applicable")),
            ("Reputation Impact: ", Blank("if applicable")),
            ("SLA Impact: ", ours, Blank("what was promised to customers")),
        )
    )


def _actions(review: Review) -> Iterator[Block]:
    yield Heading("Action Items")
    if review.findings:
        yield Paragraph("The first lines are facts of the record that ask for something to be done.")
    items: list[Words] = [
        *review.findings[:_MOST_ROWS],
        Blank("preventive action"),
        Blank("preventive action"),
    ]
    rows = tuple((item, Blank("owner"), Blank("due date"), "Open") for item in items)
    yield Table(("Item", "Owner", "Due Date", "Status"), rows)


def _lessons() -> Iterator[Block]:
    yield Heading("Lessons Learned")
    yield Heading("What Went Well", 3)
    yield Bullets((Blank("success"), Blank("success")))
    yield Heading("What Could Be Improved", 3)
    yield Bullets((Blank("improvement"), Blank("improvement")))


def _evidence(review: Review) -> Iterator[Block]:
    yield Heading("Evidence")
    if not review.evidence:
        yield Paragraph("None was collected.")
        return
    yield Paragraph(("A piece is written out by ", Code("runbookd runs evidence RUN NAME"), "."))
    rows = tuple(
        (Code(one.name), Code(one.run_id), moment(one.taken_at), f"{one.size} bytes", Code(one.sha256))
        for one in review.evidence[:_MOST_ROWS]
    )
    yield Table(("Name", "Run", "Collected", "Size", "SHA-256"), rows)


def _follow_up(review: Review) -> Iterator[Block]:
    yield Heading("Follow-up")
    done = Code(f"runbookd review {review.incident_id} --done")
    review_due: Words
    if review.reviewed_at is not None:
        review_due = f"The review was done at {moment(review.reviewed_at)}."
    elif review.review_due_at is not None:
        review_due = (f"The review is due by {moment(review.review_due_at)}; when it is done: ", done)
    else:
        review_due = "The priority asks for no review by a time."
    yield Bullets(
        (
            review_due,
            ("Post-incident review meeting: ", Blank("date and time")),
            ("Follow-up review: ", Blank("date for checking action items")),
        )
    )
