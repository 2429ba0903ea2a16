"""Every Alertmanager from 0.25 to 0.34 is understood, and anything else is refused with what to do about it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbookd.errors import PayloadError
from runbookd.model.event import Notification, Status
from runbookd.sources import HOOKS, SOURCES
from runbookd.sources.alertmanager import fingerprint_of, parse, parse_api_alerts
from runbookd.stages.normalize import Limits

DATA = Path(__file__).parents[2] / "data"

# The shape of Alertmanager 0.34's `notify/webhook/webhook.go`; 0.32 has no routeLabels, 0.31 no notification_reason.
MESSAGE: dict[str, Any] = {
    "version": "4",
    "groupKey": '{}/{team="a"}:{alertname="KubeDeploymentRolloutStuck"}',
    "truncatedAlerts": 2,
    "status": "firing",
    "receiver": r"team-a\.runbook\(eu\)",
    "notification_reason": "new alerts added",
    "groupLabels": {"alertname": "KubeDeploymentRolloutStuck"},
    "commonLabels": {"alertname": "KubeDeploymentRolloutStuck"},
    "commonAnnotations": {},
    "routeLabels": {"owner": "team-a"},
    "externalURL": "http://alertmanager-0:9093",
    "alerts": [
        {
            "status": "firing",
            "labels": {
                "alertname": "KubeDeploymentRolloutStuck",
                "severity": "critical",
                "namespace": "backend",
            },
            "annotations": {"summary": "Wähle ${inputs.x} {{ 7*7 }} $(reboot)"},
            "startsAt": "2026-11-23T10:00:00.123456789+01:00",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus/graph",
            "fingerprint": "0011223344556677",
        },
        {
            "status": "resolved",
            "labels": {"alertname": "Other"},
            "annotations": {},
            "startsAt": "2026-11-23T09:00:00Z",
            "endsAt": "2026-11-23T09:30:00Z",
            "generatorURL": "",
            "fingerprint": "8899aabbccddeeff",
        },
    ],
}

API_ALERT: dict[str, Any] = {
    "annotations": {"summary": "s"},
    "endsAt": "2026-11-23T10:05:00.000Z",
    "fingerprint": "0011223344556677",
    "receivers": [{"name": "runbookd"}],
    "startsAt": "2026-11-23T10:00:00.000Z",
    "status": {"inhibitedBy": [], "mutedBy": [], "silencedBy": [], "state": "active"},
    "updatedAt": "2026-11-23T10:01:00.000Z",
    "generatorURL": "http://prometheus/graph",
    "labels": {"alertname": "Stuck", "severity": "page"},
}


def message(change: Callable[[Any], object] | None = None) -> bytes:
    """The message above, changed."""
    changed = copy.deepcopy(MESSAGE)
    if change is not None:
        change(changed)
    return json.dumps(changed).encode()


def refusal(body: bytes, parser: Callable[..., Notification] = parse, **limits: int) -> str:
    """Why a body is refused."""
    with pytest.raises(PayloadError) as refused:
        parser(body, Limits(**limits))
    return str(refused.value)


def test_webhook_becomes_a_notification() -> None:
    """The receiver is un-escaped, what was cut is counted, and each alert is an event of its own status."""
    notification = parse(message())
    assert notification.receiver == "team-a.runbook(eu)"
    assert notification.group_key == MESSAGE["groupKey"]
    assert notification.truncated == 2
    assert not notification.complete
    assert [event.status for event in notification.events] == [Status.FIRING, Status.RESOLVED]


def test_alert_becomes_an_event() -> None:
    """Every field of an alert has its place, and text stays the text it is."""
    firing, resolved = parse(message()).events
    sent = MESSAGE["alerts"][0]
    assert (firing.source, firing.name, firing.severity) == (
        "alertmanager",
        "KubeDeploymentRolloutStuck",
        "critical",
    )
    assert firing.labels == sent["labels"]
    assert firing.annotations == sent["annotations"]
    assert firing.fingerprint == "0011223344556677"
    assert firing.starts_at == datetime(2026, 11, 23, 9, 0, 0, 123456, tzinfo=UTC)
    assert firing.ends_at is None
    assert firing.url == "http://prometheus/graph"
    assert resolved.ends_at == datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
    assert (resolved.severity, resolved.url) == ("", "")


@pytest.mark.parametrize(("name", "status"), [("firing", Status.FIRING), ("resolved", Status.RESOLVED)])
def test_bodies_of_a_real_alertmanager_are_understood(name: str, status: Status) -> None:
    """Bodies captured from Alertmanager 0.25 are read, and their fingerprints are those their labels give."""
    notification = parse((DATA / f"alertmanager-0.25-{name}.json").read_bytes())
    assert [event.status for event in notification.events] == [status] * len(notification.events)
    for event in notification.events:
        assert event.fingerprint == fingerprint_of(event.labels)
        assert event.starts_at is not None
        assert (event.ends_at is None) == (status is Status.FIRING)


def test_older_versions_lack_the_hints() -> None:
    """Before 0.32 there is no notification_reason and before 0.34 no routeLabels: nothing extra is kept."""
    body = message(lambda sent: (sent.pop("notification_reason"), sent.pop("routeLabels")))
    assert [event.extra for event in parse(body).events] == [{}, {}]


def test_unknown_fields_are_kept() -> None:
    """Hints of the message and fields of the alert we do not know stay with the event."""

    def newer(sent: Any) -> None:
        sent["futureField"] = {"x": 1}
        sent["alerts"][0]["annotatedBy"] = ["someone"]

    first, second = parse(message(newer)).events
    hints = {"notification_reason": "new alerts added", "routeLabels": {"owner": "team-a"}}
    assert first.extra == {**hints, "annotatedBy": ["someone"]}
    assert second.extra == hints


def test_a_large_hint_is_not_multiplied() -> None:
    """A hint past its bound stays in the raw delivery only."""
    body = message(lambda sent: sent.update(routeLabels={"x": "y" * 5000}))
    assert parse(body).events[0].extra == {"notification_reason": "new alerts added"}


def test_missing_optional_fields_are_empty() -> None:
    """A sender that imitates Alertmanager must send version, status and labels only."""
    (event,) = parse(b'{"version":"4","alerts":[{"status":"firing","labels":{"a":"b"}}]}').events
    assert event.fingerprint == fingerprint_of({"a": "b"})
    assert (event.name, event.url, event.starts_at, event.ends_at) == ("", "", None, None)


def test_computed_fingerprints_are_alertmanagers_own() -> None:
    """64-bit FNV-1a over sorted names and values; of no labels it is the offset basis, as in Go."""
    assert fingerprint_of({}) == "cbf29ce484222325"
    assert fingerprint_of({"b": "ü", "a": "1"}) == fingerprint_of({"a": "1", "b": "ü"})
    assert fingerprint_of({"a": "1b"}) != fingerprint_of({"a": "1", "b": ""})


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda s: s.pop("version"), 'got an object with keys "groupKey", "truncatedAlerts"'),
        (lambda s: s.update(version="3"), 'got "version" is "3"'),
        (lambda s: s.update(version=4), 'got "version" is number'),
        (lambda s: s.pop("alerts"), "not an Alertmanager webhook"),
        (lambda s: s.update(alerts=None), "alerts: expected list, got null"),
        (lambda s: s.update(alerts={}), "alerts: expected list, got object"),
        (lambda s: s.update(alerts=[]), "alerts: the list is empty"),
        (lambda s: s["alerts"].append("x"), "alerts[2]: expected object, got text"),
        (lambda s: s.update(receiver=["r"]), "receiver: expected text, got list"),
        (lambda s: s.update(groupKey=1), "groupKey: expected text, got number"),
        (lambda s: s.update(truncatedAlerts="1"), "truncatedAlerts: expected a whole number, got text"),
        (lambda s: s["alerts"][1].pop("status"), "alerts[1].status: expected firing or resolved, got null"),
        (
            lambda s: s["alerts"][1].update(status="FIRING"),
            'alerts[1].status: expected firing or resolved, got "FIRING"',
        ),
        (
            lambda s: s["alerts"][1].update(status={}),
            "alerts[1].status: expected firing or resolved, got object",
        ),
        (lambda s: s["alerts"][1].pop("labels"), "alerts[1].labels: missing"),
        (lambda s: s["alerts"][1].update(labels=[]), "alerts[1].labels: expected object, got list"),
        (lambda s: s["alerts"][1]["labels"].update(x=1), 'alerts[1].labels["x"]: expected text, got number'),
        (
            lambda s: s["alerts"][1].update(annotations="x"),
            "alerts[1].annotations: expected object, got text",
        ),
        (lambda s: s["alerts"][1].update(startsAt="soon"), "alerts[1].startsAt: expected a time such as"),
        (lambda s: s["alerts"][1].update(endsAt=1), "alerts[1].endsAt: expected a time, got number"),
        (
            lambda s: s["alerts"][1].update(generatorURL=1),
            "alerts[1].generatorURL: expected text, got number",
        ),
        (lambda s: s["alerts"][1].update(fingerprint=1), "alerts[1].fingerprint: expected text, got number"),
    ],
)
def test_a_body_that_is_no_webhook_is_refused_by_field(
    change: Callable[[Any], object], expected: str
) -> None:
    """The message begins with the field's path, or says what came instead of a webhook."""
    assert expected in refusal(message(change))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"[]", "got a list of 0"),
        (b"null", "got null"),
        (b'"4"', "got text"),
        (b"{}", "got an empty object"),
        (b'{"text":"secret-value"}', 'got an object with keys "text";'),
        (orjson.dumps({f"k{i}": i for i in range(10)}), '"k7" and 2 more'),
    ],
)
def test_a_custom_payload_is_refused_with_what_to_do(body: bytes, expected: str) -> None:
    """The message tells the keys that came, never their values, and to remove `payload` from the receiver."""
    message = refusal(body)
    assert expected in message
    assert "remove `payload`" in message
    assert "secret-value" not in message


def test_limits_name_the_label() -> None:
    """A label past the limit is named with its length and the limit; with every alert past it nothing is left."""
    one = message(lambda whole: whole.update(alerts=whole["alerts"][:1]))
    assert refusal(one, label_length=10) == (
        'alerts[0].labels["alertname"]: 26 characters, and the limit is 10'
    )
    assert refusal(one, labels=2) == "alerts[0].labels: 3 entries, and the limit is 2"
    assert "annotations" in refusal(one, annotation_length=3)
    assert "nests deeper than 2 levels" in refusal(b"[[[]]]", depth=2)


def test_an_alert_past_the_limits_takes_no_other_with_it() -> None:
    """The others of its group are understood; why it is left out is said with its place."""
    last = len(MESSAGE["alerts"]) - 1
    told = message(lambda whole: whole["alerts"][last]["labels"].update(text="x" * 20_000))
    notification = parse(told)
    assert len(notification.events) == last
    assert notification.refused == (
        f'alerts[{last}].labels["text"]: 20000 characters, and the limit is 16384',
    )
    long = API_ALERT | {"labels": {"alertname": "Long", "text": "x" * 20_000}}
    listed = parse_api_alerts(json.dumps([API_ALERT, long]).encode())
    assert (len(listed.events), len(listed.refused), listed.complete) == (1, 1, False)


def test_what_fires_now_is_complete() -> None:
    """The API's answer becomes firing events without an end, and nothing else fires."""
    notification = parse_api_alerts(json.dumps([API_ALERT]).encode())
    (event,) = notification.events
    assert notification.complete
    assert (event.source, event.name, event.status) == ("alertmanager", "Stuck", Status.FIRING)
    assert event.starts_at == datetime(2026, 11, 23, 10, tzinfo=UTC)
    assert event.ends_at is None
    assert event.extra == {name: API_ALERT[name] for name in ("status", "receivers", "updatedAt")}
    assert parse_api_alerts(b"[]") == Notification(events=(), complete=True)


@pytest.mark.parametrize("state", ["suppressed", "unprocessed"])
def test_silenced_alerts_neither_start_nor_resolve(state: str) -> None:
    """A silenced alert must not run, and being silenced is not being resolved."""
    alert = API_ALERT | {"status": {"state": state, "silencedBy": ["s-1"]}}
    (event,) = parse_api_alerts(json.dumps([alert]).encode()).events
    assert event.status is Status.UNKNOWN
    assert event.fingerprint == API_ALERT["fingerprint"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"status":"success"}', 'got an object with keys "status"; check that the address is Alertmanager'),
        (b"[1]", "alerts[0]: expected object, got number"),
        (b'[{"labels":{}}]', "alerts[0].status: expected object, got null"),
        (
            b'[{"labels":{},"status":{}}]',
            "alerts[0].status.state: expected active or suppressed or unprocessed",
        ),
        (b"<html>", "the body is not JSON"),
    ],
)
def test_another_answer_is_refused(body: bytes, expected: str) -> None:
    """An answer that is not Alertmanager's is never taken for "nothing fires"."""
    assert expected in refusal(body, parse_api_alerts)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(sorted(MESSAGE)), st.sampled_from(sorted(MESSAGE["alerts"][0])), JSON_VALUES)
def test_any_value_in_any_field_is_read_or_refused(field: str, alert_field: str, value: object) -> None:
    """No JSON raises anything but PayloadError, and every event that is accepted has a fingerprint."""

    def of_alert(sent: Any) -> None:
        sent["alerts"][0][alert_field] = value

    bodies = (message(lambda sent: sent.update({field: value})), message(of_alert))
    for body in bodies:
        for parser in SOURCES.values():
            with suppress(PayloadError):
                assert all(event.fingerprint for event in parser(body).events)


def test_every_webhook_source_has_a_parser() -> None:
    """A hook without a parser would take deliveries that nobody can read."""
    assert SOURCES.keys() >= HOOKS
    assert "alertmanager-reconcile" not in HOOKS
