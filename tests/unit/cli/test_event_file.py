"""Events read from a file, in every form an operator has at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest

from runbookd.cli.event_file import events_in
from runbookd.model.event import Event, Status

WEBHOOK = Path(__file__).parents[2] / "data" / "alertmanager-0.25-firing.json"


def read(folder: Path, value: Any) -> list[Event]:
    """Write a value to a file and read its events."""
    file = folder / "event.json"
    file.write_text(value if isinstance(value, str) else json.dumps(value))
    return events_in(file)


def test_a_webhook_body_gives_all_its_alerts() -> None:
    """A body as Alertmanager posts it is understood as the service understands it."""
    (event,) = events_in(WEBHOOK)
    assert (event.source, event.name, event.status) == ("alertmanager", "ShopErrorRateHigh", Status.FIRING)


def test_labels_alone_are_a_firing_alert(tmp_path: Path) -> None:
    """What one would type by hand is enough."""
    (event,) = read(tmp_path, {"labels": {"alertname": "DiskFull", "severity": "critical"}})
    assert (event.name, event.status, event.severity) == ("DiskFull", Status.FIRING, "critical")


def test_an_alert_of_alertmanagers_own_answer_is_understood(tmp_path: Path) -> None:
    """An alert copied from Alertmanager's API, alone or in its list, is an event."""
    alert = {"labels": {"alertname": "DiskFull"}, "status": {"state": "active"}, "fingerprint": "ab"}
    assert [event.fingerprint for event in read(tmp_path, [alert])] == ["ab"]


@pytest.mark.parametrize("wrapped", [True, False])
def test_an_event_as_it_is_printed_is_read_back(tmp_path: Path, wrapped: bool) -> None:  # noqa: FBT001
    """`events show --output json` and its `event` alone are both taken."""
    printed = {
        "source": "alertmanager",
        "name": "DiskFull",
        "status": "resolved",
        "fingerprint": "ab",
        "severity": "critical",
        "labels": {"alertname": "DiskFull"},
        "annotations": {"summary": "full"},
        "starts_at": "2026-11-23T08:00:00Z",
        "ends_at": None,
        "url": "http://127.0.0.1/",
        "extra": {},
    }
    (event,) = read(tmp_path, {"id": "evt-1", "event": printed} if wrapped else printed)
    assert (event.status, event.annotations["summary"]) == (Status.RESOLVED, "full")
    assert event.starts_at is not None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[1]", "no event in it"),
        ({"alerts": []}, "not an Alertmanager webhook"),
        ({"labels": {"a": 1}}, "expected text, got number"),
        ({"source": "x", "labels": {}, "status": "burning"}, "expected one of firing, resolved, unknown"),
    ],
)
def test_what_is_no_event_is_refused_with_its_place(tmp_path: Path, content: Any, message: str) -> None:
    """A file that holds no event says what was expected."""
    with pytest.raises(click.UsageError, match=message):
        read(tmp_path, content)
