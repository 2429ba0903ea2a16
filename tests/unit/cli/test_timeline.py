"""The ledger read aloud, and the outbox as a list: what a person reads is said in words, once."""

from __future__ import annotations

from typing import Any

import pytest

from runbookd.cli.messages import COLUMNS, channels_of, row
from runbookd.cli.timeline import summary, timeline
from runbookd.model.audit import LedgerEntry
from runbookd.model.escalation import Channel, MessageKind
from tests.unit.reports.told import at, entry, incident, message


@pytest.mark.parametrize(
    ("what", "detail", "said"),
    [
        (
            "escalation_frozen",
            {"escalation": "ladder", "levels": [[1, at(0)], [2, at(5)], [3, "resolve"]]},
            "ladder: level 1 2026-01-05 12:00:00, level 2 2026-01-05 12:05:00, level 3 when resolve is breached",
        ),
        (
            "person_acknowledge",
            {"text": "", "priority": None, "public": False, "key": "pagerduty/d4ae"},
            "(by anna)",
        ),
        (
            "person_note",
            {"text": "Looking.", "public": True, "key": "k"},
            "Looking.  told to everybody (by anna)",
        ),
        ("person_escalate", {"text": "worse", "priority": "P0"}, "to P0  worse (by anna)"),
        (
            "acknowledgement_expired",
            {"by": "cli:root", "until": at(9)},
            "root (command line)'s, due at 2026-01-05 12:09:00",
        ),
        ("several_incidents", {"priority": "P2", "incidents": ["inc-a", "inc-b"]}, "2 of P2: inc-a, inc-b"),
        (
            "message_sent",
            {"kind": "edit", "contact": "l1", "channel": "slack", "subject": "P0 Down", "message": "msg-1"},
            "edit  l1  slack  msg-1",
        ),
        (
            "message_failed",
            {
                "kind": "page",
                "contact": "l1",
                "channel": "email",
                "subject": "P0 Down",
                "message": "msg-2",
                "error": "no",
            },
            "page  l1  email  P0 Down  no  msg-2",
        ),
        (
            "step_succeeded",
            {
                "path": "steps/r",
                "attempt": 1,
                "action": "http.request",
                "params": {"method": "POST", "url": "http://s/x?y"},
            },
            "steps/r  http.request POST http://s/x",
        ),
    ],
)
def test_entries_are_said_in_words(what: str, detail: dict[str, Any], said: str) -> None:
    """No key of a door, no fields that are not set, and no list that is cut off."""
    actor = "slack:anna" if what.startswith("person_") else "runbookd"
    assert summary(entry(1, what, actor=actor, **detail)) == said


def test_a_reason_to_tell_people_is_not_the_same_line_twice(capsys: pytest.CaptureFixture[str]) -> None:
    """A clock that was breached, and that people are told of it, are two lines of different names."""
    entries = [
        entry(5, "clock_breached", clock="acknowledge", due_at=at(5)),
        entry(5, "clock_breached", detail="acknowledge deadline passed", priority="P0", rule="down"),
    ]
    timeline(
        [
            LedgerEntry(chain="c", seq=seq, text="", previous="", hash="", entry=one)
            for seq, one in enumerate(entries)
        ]
    )
    lines = capsys.readouterr().out.splitlines()[1:]
    assert "clock_breached  acknowledge" in lines[0]
    assert "handed_to_people  clock_breached" in lines[1]


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        (MessageKind.OPENED, "INCIDENT ALERT"),
        (MessageKind.EDIT, "brings up to date what was posted"),
        (MessageKind.ACKNOWLEDGE, "quiets the pager: somebody has it"),
        (MessageKind.CLOSE, "ends the pager's ring"),
    ],
)
def test_what_changes_a_message_does_not_look_like_another(kind: MessageKind, subject: str) -> None:
    """The list has the kind, says what an edit is, and calls an incident's channel by its name."""
    made = message("slack:C9", Channel.SLACK, kind, words={"subject": "INCIDENT ALERT"})
    names = channels_of([incident(channel={"id": "C9", "name": "incident-x"}), incident(), None])
    cells = dict(zip([column.title for column in COLUMNS], row(made, at(1), names), strict=True))
    assert (cells["KIND"], cells["TO"], cells["SUBJECT"]) == (kind.value, "#incident-x", subject)
