"""What the fake PagerDuty refuses of an event, in the words of the real one where those are known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

ACTIONS = ("trigger", "acknowledge", "resolve")
SEVERITIES = ("critical", "warning", "error", "info")


def refusals_of_alert(event: Mapping[str, Any]) -> list[str]:
    """The errors of an alert event: https://developer.pagerduty.com/docs/events-api-v2/trigger-events/."""
    errors = [*_of_key(event)]
    action = event.get("event_action")
    if action not in ACTIONS:
        errors.append(_missing_or("event_action", action, ACTIONS))
    key = event.get("dedup_key")
    if key is None and action != "trigger":
        errors.append("'dedup_key' is missing or blank")
    elif key is not None and not isinstance(key, str):
        errors.append("'dedup_key' is not a string")
    elif key is not None and units(key) > 255:
        errors.append("Length of 'dedup_key' is incorrect (maximum is 255 characters)")
    if action == "trigger":
        errors += _of_payload(event.get("payload"))
    return [*errors, *_of_links(event)]


def refusals_of_change(event: Mapping[str, Any]) -> list[str]:
    """The errors of a change event: https://developer.pagerduty.com/docs/events-api-v2/send-change-events/."""
    errors = [*_of_key(event)]
    if str(event.get("routing_key")).startswith("R"):
        errors.append("change events cannot be sent to a ruleset")
    payload = event.get("payload")
    if not isinstance(payload, dict):
        return [*errors, "'payload' is missing or blank"]
    errors += [*_of_summary(payload), *_of_texts(payload, "source", "timestamp"), *_of_details(payload)]
    return [*errors, *_of_links(event)]


def units(text: str) -> int:
    """The length in UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _of_key(event: Mapping[str, Any]) -> Iterator[str]:
    key = event.get("routing_key")
    if not isinstance(key, str) or not key:
        yield "'routing_key' is missing or blank"
        return
    if len(key) != 32:
        yield "Length of 'routing_key' is incorrect (should be 32 characters)"
    if not (key.isascii() and key.isalnum()):
        yield "'routing_key' cannot contain non-alphanumeric characters."


def _of_payload(payload: object) -> Iterator[str]:
    if not isinstance(payload, dict):
        yield "'payload' is missing or blank"
        return
    yield from _of_summary(payload)
    if not isinstance(payload.get("source"), str) or not payload["source"].strip():
        yield "'payload.source' is missing or blank"
    if payload.get("severity") not in SEVERITIES:
        yield _missing_or("payload.severity", payload.get("severity"), SEVERITIES)
    yield from _of_texts(payload, "component", "group", "class", "timestamp")
    yield from _of_details(payload)


def _of_summary(payload: Mapping[str, Any]) -> Iterator[str]:
    summary = payload.get("summary")
    if not isinstance(summary, str) or not summary.strip():
        yield "'payload.summary' is missing or blank"
    elif units(summary) > 1024:
        yield "Length of 'payload.summary' is incorrect (maximum is 1024 characters)"


def _of_texts(payload: Mapping[str, Any], *names: str) -> Iterator[str]:
    for name in names:
        if payload.get(name) is not None and not isinstance(payload[name], str):
            yield f"'payload.{name}' is not a string"


def _of_details(payload: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(payload.get("custom_details", {}), dict):
        yield "'payload.custom_details' is not an object"


def _of_links(event: Mapping[str, Any]) -> Iterator[str]:
    links = event.get("links", [])
    if not isinstance(links, list) or not all(isinstance(link, dict) and link.get("href") for link in links):
        yield "'links' must be a list of objects with an 'href'"
    for image in event.get("images", []):
        if not isinstance(image, dict) or not str(image.get("src")).startswith("https://"):
            yield "'images' must be a list of objects with an https 'src'"


def _missing_or(name: str, value: object, allowed: tuple[str, ...]) -> str:
    if value is None or value == "":
        return f"'{name}' is missing or blank"
    return f"'{name}' is invalid (must be one of the following: {', '.join(map(repr, allowed))})"
