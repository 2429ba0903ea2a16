"""Alertmanager: its webhook (version "4", Alertmanager 0.25 to 0.34) and its answer to "what fires now?".

The webhook is the struct `Message` of Alertmanager's `notify/webhook/webhook.go` around the template data of
`template/template.go`; the answer is a list of `gettableAlert` of its OpenAPI document (API v2). Each alert
counts, never the group's status: one message holds the whole group, alerts told before included.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import orjson

from runbookd.errors import OverLimit, PayloadError
from runbookd.model.event import Event, Notification, Status
from runbookd.stages.normalize import (
    DEFAULT_LIMITS,
    Limits,
    as_count,
    as_text,
    as_text_map,
    as_time,
    kind_of,
    quote,
)
from runbookd.stages.receive import read_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

NAME: Final = "alertmanager"
VERSION: Final = "4"

HINTS: Final = ("notification_reason", "routeLabels")
"""Fields of the message, newer than 0.31, that are kept with each of its events when they are small."""

HINT_BYTES: Final = 4096
"""A larger hint stays in the raw delivery only, so that a body is not multiplied by the number of its alerts."""

_STATUSES: Final[Mapping[object, Status]] = {"firing": Status.FIRING, "resolved": Status.RESOLVED}

_API_STATES: Final[Mapping[object, Status]] = {
    "active": Status.FIRING,
    "suppressed": Status.UNKNOWN,
    "unprocessed": Status.UNKNOWN,
}

_ALERT_FIELDS: Final = frozenset(
    {"status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"}
)

# Go's regexp.QuoteMeta, which Alertmanager applies to the receiver's name, escapes exactly these.
_QUOTED_META: Final = re.compile(r"\\([\\.+*?()|\[\]{}^$])")


def parse(body: bytes, limits: Limits = DEFAULT_LIMITS) -> Notification:
    """Understand a webhook body. Raises PayloadError that names the field.

    Unknown fields of an alert are kept in its event's `extra`; those of the message stay in the raw delivery, except
    the `HINTS`. `truncated` tells that `max_alerts` cut the list: firing alerts may be among what is missing.
    """
    message = read_json(body, max_depth=limits.depth)
    if not isinstance(message, dict) or message.get("version") != VERSION or "alerts" not in message:
        raise PayloadError(_not_a_webhook(message))
    alerts = _as_alerts(message["alerts"], "alerts")
    if not alerts:
        raise PayloadError("alerts: the list is empty; Alertmanager sends at least one alert")
    hints = _small_hints(message)
    events, refused = _events(alerts, "alerts", lambda alert: _webhook_event(alert, hints, limits))
    return Notification(
        events=events,
        refused=refused,
        receiver=_QUOTED_META.sub(r"\1", as_text(message.get("receiver"), "receiver", limits.text_length)),
        group_key=as_text(message.get("groupKey"), "groupKey", limits.text_length),
        truncated=as_count(message.get("truncatedAlerts"), "truncatedAlerts"),
    )


def parse_api_alerts(body: bytes, limits: Limits = DEFAULT_LIMITS) -> Notification:
    """Understand the answer to `GET /api/v2/alerts`: everything that fires at this moment, so `complete` is True.

    An active alert is firing. A suppressed one (silenced, inhibited, muted) and one that Alertmanager has not
    processed yet are `UNKNOWN`: they must start nothing, and they have not resolved either, which leaving them out
    would say. `endsAt` is when Alertmanager would forget the alert, not its end, so `ends_at` is None.
    """
    answer = read_json(body, max_depth=limits.depth)
    if not isinstance(answer, list):
        raise PayloadError(
            f"expected the list of alerts that GET /api/v2/alerts answers, got {_describe(answer)}; "
            "check that the address is Alertmanager's"
        )
    alerts = _as_alerts(answer, "alerts")
    events, refused = _events(alerts, "alerts", lambda alert: _api_event(alert, limits))
    return Notification(events=events, refused=refused, complete=not refused)


def fingerprint_of(labels: Mapping[str, str]) -> str:
    """Return the fingerprint Alertmanager gives this label set: 64-bit FNV-1a, 16 hex digits.

    Names and values in byte order of the names, each followed by 0xFF (prometheus/common, `model/signature.go`).
    """
    value = 0xCBF29CE484222325
    for name, text in sorted(labels.items()):
        for byte in b"%b\xff%b\xff" % (name.encode(), text.encode()):
            value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def _as_alerts(value: object, at: str) -> list[object]:
    """Return the list of alerts."""
    if not isinstance(value, list):
        raise PayloadError(f"{at}: expected list, got {kind_of(value)}")
    return value


def _events(
    alerts: list[object], at: str, make: Callable[[dict[str, object]], Event]
) -> tuple[tuple[Event, ...], tuple[str, ...]]:
    """Make an event of each alert, and say of those beyond the limits, by their place, why they are left out.

    A fault names the alert's place in the list. Raises PayloadError too when every alert is beyond the limits.
    """
    events: list[Event] = []
    refused: list[str] = []
    for index, alert in enumerate(alerts):
        if not isinstance(alert, dict):
            raise PayloadError(f"{at}[{index}]: expected object, got {kind_of(alert)}")
        try:
            events.append(make(alert))
        except OverLimit as error:
            refused.append(f"{at}[{index}]{error}")
        except PayloadError as error:
            raise PayloadError(f"{at}[{index}]{error}") from None
    if refused and not events:
        raise PayloadError(refused[0])
    return tuple(events), tuple(refused)


def _webhook_event(alert: dict[str, object], hints: Mapping[str, object], limits: Limits) -> Event:
    """Make the event of one alert of a webhook. A firing alert's `endsAt` is Go's zero time: None."""
    return _event(
        alert,
        status=_one_of(_STATUSES, alert.get("status"), ".status"),
        ends_at=as_time(alert.get("endsAt"), ".endsAt"),
        hints=hints,
        limits=limits,
    )


def _api_event(alert: dict[str, object], limits: Limits) -> Event:
    """Make the event of one alert of the API's answer."""
    status = alert.get("status")
    if not isinstance(status, dict):
        raise PayloadError(f".status: expected object, got {kind_of(status)}")
    state = _one_of(_API_STATES, status.get("state"), ".status.state")
    return _event(alert, status=state, ends_at=None, hints={"status": status}, limits=limits)


def _event(
    alert: dict[str, object],
    *,
    status: Status,
    ends_at: datetime | None,
    hints: Mapping[str, object],
    limits: Limits,
) -> Event:
    """Make an event of what both forms of an alert share."""
    if "labels" not in alert:
        raise PayloadError(".labels: missing; an alert is known by its labels")
    labels = as_text_map(
        alert["labels"],
        ".labels",
        count=limits.labels,
        name_length=limits.name_length,
        length=limits.label_length,
    )
    annotations = as_text_map(
        alert.get("annotations"),
        ".annotations",
        count=limits.annotations,
        name_length=limits.name_length,
        length=limits.annotation_length,
    )
    has_more = not alert.keys() <= _ALERT_FIELDS
    return Event(
        source=NAME,
        name=labels.get("alertname", ""),
        status=status,
        # Alertmanager always sends one; a sender that imitates it may not, and the labels are what it is made of.
        fingerprint=as_text(alert.get("fingerprint"), ".fingerprint", limits.name_length)
        or fingerprint_of(labels),
        severity=labels.get("severity", ""),
        labels=labels,
        annotations=annotations,
        starts_at=as_time(alert.get("startsAt"), ".startsAt"),
        ends_at=ends_at,
        url=as_text(alert.get("generatorURL"), ".generatorURL", limits.text_length),
        extra={**hints, **_unknown_fields(alert)} if has_more else hints,
    )


def _unknown_fields(alert: dict[str, object]) -> dict[str, object]:
    """Return the fields that are not known here, in the sender's order."""
    return {name: value for name, value in alert.items() if name not in _ALERT_FIELDS}


def _one_of(choices: Mapping[object, Status], value: object, at: str) -> Status:
    """Return the status a word stands for."""
    if isinstance(value, str):
        found = choices.get(value)
        if found is not None:
            return found
    got = quote(value) if isinstance(value, str) else kind_of(value)
    raise PayloadError(f"{at}: expected {' or '.join(map(str, choices))}, got {got}")


def _small_hints(message: dict[str, object]) -> dict[str, object]:
    """Return the message's hints that are there and small."""
    return {
        name: message[name]
        for name in HINTS
        if name in message and len(orjson.dumps(message[name])) <= HINT_BYTES
    }


def _not_a_webhook(message: object) -> str:
    """Say what came instead of a webhook of version 4, and what to do about it."""
    got = _describe(message)
    if isinstance(message, dict) and "version" in message and "alerts" in message:
        version = message["version"]
        got = f'"version" is {quote(version) if isinstance(version, str) else kind_of(version)}'
    return (
        f'not an Alertmanager webhook of version "{VERSION}": got {got}; expected an object with "version": "4" '
        'and "alerts"; remove `payload` from this receiver\'s webhook_config so that Alertmanager sends its default'
    )


def _describe(value: object) -> str:
    """Tell a value's shape, never its content: an object's first keys, a list's length, else its kind."""
    if isinstance(value, dict):
        names = ", ".join(quote(name) for name in list(value)[:8])
        more = f" and {len(value) - 8} more" if len(value) > 8 else ""  # noqa: PLR2004 - as many as are listed
        return f"an object with keys {names}{more}" if value else "an empty object"
    return f"a list of {len(value)}" if isinstance(value, list) else kind_of(value)
