"""Events from a file: an Alertmanager webhook body, one alert, or an event as `runbookd events show` prints it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from runbookd.errors import PayloadError
from runbookd.model.event import Event, Status
from runbookd.sources.alertmanager import fingerprint_of, parse, parse_api_alerts
from runbookd.stages.normalize import DEFAULT_LIMITS, as_text, as_text_map, as_time

if TYPE_CHECKING:
    from pathlib import Path

_FORMS = "a webhook body with `alerts`, one alert with `labels`, or an event with `source` and `labels`"


def events_in(path: Path) -> list[Event]:
    """Read the events of a file, `-` for standard input. Raises UsageError that says what is wrong with it."""
    try:
        with click.open_file(str(path), "rb") as file:
            body = file.read()
        given = json.loads(body)
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise click.UsageError(f"{path} is not JSON: {error}; expected {_FORMS}") from None
    try:
        return _events(given, body)
    except PayloadError as error:
        raise click.UsageError(f"{path}: {error}") from None


def _events(given: Any, body: bytes) -> list[Event]:
    """Tell the forms apart."""
    if isinstance(given, list):
        return [event for each in given for event in _events(each, json.dumps(each).encode())]
    if isinstance(given, dict) and "alerts" in given:
        return list(parse(body).events)
    if isinstance(given, dict) and isinstance(given.get("event"), dict):
        return [_event(given["event"])]
    if isinstance(given, dict) and "labels" in given:
        if "source" in given:
            return [_event(given)]
        if isinstance(given.get("status"), dict):
            return list(parse_api_alerts(json.dumps([given]).encode()).events)
        message = {"version": "4", "alerts": [{"status": "firing", **given}]}
        return list(parse(json.dumps(message).encode()).events)
    raise PayloadError(f"there is no event in it; expected {_FORMS}")


def _event(given: dict[str, Any]) -> Event:
    """Read an event in the shape rules see. What is not said is what a quiet sender would send."""
    limits = DEFAULT_LIMITS
    labels = as_text_map(
        given.get("labels"),
        ".labels",
        count=limits.labels,
        name_length=limits.name_length,
        length=limits.label_length,
    )
    annotations = as_text_map(
        given.get("annotations"),
        ".annotations",
        count=limits.annotations,
        name_length=limits.name_length,
        length=limits.annotation_length,
    )
    try:
        status = Status(given.get("status", "firing"))
    except ValueError:
        raise PayloadError(f".status: expected one of {', '.join(Status)}") from None
    texts = {name: as_text(given.get(name), f".{name}", limits.text_length) for name in _TEXTS}
    return Event(
        source=texts["source"],
        name=texts["name"] or labels.get("alertname", ""),
        status=status,
        fingerprint=texts["fingerprint"] or fingerprint_of(labels),
        severity=texts["severity"] or labels.get("severity", ""),
        labels=labels,
        annotations=annotations,
        starts_at=as_time(given.get("starts_at"), ".starts_at"),
        ends_at=as_time(given.get("ends_at"), ".ends_at"),
        url=texts["url"],
    )


_TEXTS = ("source", "name", "fingerprint", "severity", "url")
