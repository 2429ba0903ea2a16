"""`pagerduty.send_event` against the fake PagerDuty: pages, said once however often they are sent, whatever they say.

Not here: what a misbehaving PagerDuty means; that is in `tests/integration/actions/test_pagerduty_client.py`.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runbookd.actions.performer import CataloguePerformer
from runbookd.language.values import SecretRef
from runbookd.model.action import Call, OutcomeState
from tests.contract.actions.hands import NOW, SetClock, call, failed, performing, succeeded
from tests.fakes.pagerduty import EVENTS_A_MINUTE, SERVICE_KEY, Fault, PagerDuty, pagerduty


def telling(server: PagerDuty) -> AbstractAsyncContextManager[CataloguePerformer]:
    """A performer for this server that knows its service's key as the secret `pd`."""
    return performing(server.config(), pd=SERVICE_KEY)


def event(action: str = "trigger", **params: Any) -> Call:
    """A call about the alert `inc-1`."""
    said = {"summary": "Shop is down"} if action == "trigger" else {}
    about = {"service_key": SecretRef("pd"), "action": action, "dedup_key": "inc-1"}
    return call("pagerduty.send_event", about | said | params)


async def test_a_trigger_opens_an_incident_that_says_everything() -> None:
    """Every field arrives where PagerDuty wants it, values as text or numbers, and the key comes back."""
    page = event(
        summary="Shop is down",
        source="shop-1",
        severity="error",
        component="api",
        group="shop",
        **{"class": "availability"},
        details={
            "for": timedelta(minutes=5),
            "since": datetime(2026, 3, 4, tzinfo=UTC),
            "n": 3,
            "up": [True],
        },
        links=[
            {"href": "https://runbookd.example/incidents/1", "text": "Console"},
            {"href": "https://x.example"},
        ],
    )
    async with pagerduty() as server, telling(server) as performer:
        outcome = await performer.perform(page)
    assert succeeded(outcome) == {"dedup_key": "inc-1", "cut": []}
    assert outcome.change == {"before": None, "after": {"action": "trigger", "dedup_key": "inc-1"}}
    (incident,) = server.account.incidents
    assert (incident.key, incident.title, incident.status) == ("inc-1", "Shop is down", "triggered")
    assert server.accepted == [
        {
            "event_action": "trigger",
            "routing_key": SERVICE_KEY,
            "dedup_key": "inc-1",
            "client": "runbookd",
            "payload": {
                "summary": "Shop is down",
                "source": "shop-1",
                "severity": "error",
                "component": "api",
                "group": "shop",
                "class": "availability",
                "custom_details": {"for": "5m", "since": "2026-03-04T00:00:00Z", "n": 3, "up": [True]},
            },
            "links": [
                {"href": "https://runbookd.example/incidents/1", "text": "Console"},
                {"href": "https://x.example", "text": "https://x.example"},
            ],
        }
    ]


async def test_an_alert_is_acknowledged_and_resolved() -> None:
    """The later events change the open incident with the key; after that a trigger opens a new one."""
    async with pagerduty() as server, telling(server) as performer:
        for action, status in (
            ("trigger", "triggered"),
            ("acknowledge", "acknowledged"),
            ("resolve", "resolved"),
        ):
            assert succeeded(await performer.perform(event(action)))["dedup_key"] == "inc-1"
            assert [one.status for one in server.account.incidents] == [status]
        succeeded(await performer.perform(event()))
        assert [one.status for one in server.account.incidents] == ["resolved", "triggered"]
    assert [sorted(one) for one in server.accepted[1:3]] == [["dedup_key", "event_action", "routing_key"]] * 2


@pytest.mark.parametrize("action", ["acknowledge", "resolve"])
async def test_what_is_not_open_is_left_alone(action: str) -> None:
    """PagerDuty drops an event about nothing without a word, and so it counts as told."""
    async with pagerduty() as server, telling(server) as performer:
        succeeded(await performer.perform(event(action)))
    assert (len(server.account.dropped), server.account.incidents) == (1, [])


async def test_a_repeat_makes_no_second_incident() -> None:
    """The same page twice is one incident that took in two triggers; another key is another incident."""
    async with pagerduty() as server, telling(server) as performer:
        for key in ("inc-1", "inc-1", "inc-2"):
            succeeded(await performer.perform(event(dedup_key=key)))
    assert [(one.key, len(one.events)) for one in server.account.incidents] == [("inc-1", 2), ("inc-2", 1)]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(drop=True, after=True), "connection_lost"),
        (Fault(hang=True, after=True), "timeout"),
        (Fault(status=500, after=True), "server_error"),
        (Fault(status=502, after=True), "server_error"),
    ],
    ids=["drop", "hang", "500", "502"],
)
async def test_a_page_in_doubt_is_repeated_safely(fault: Fault, kind: str) -> None:
    """When PagerDuty took the page and the answer is lost it is in doubt, and sent again it rings nobody twice."""
    async with pagerduty() as server, telling(server) as performer:
        succeeded(await performer.perform(event(dedup_key="warm up")))
        server.fail("/v2/enqueue", fault)
        page = event()
        lost = await performer.perform(Call(**{**vars_of(page), "timeout": timedelta(seconds=1)}))
        failed(lost, kind, OutcomeState.IN_DOUBT)
        succeeded(await performer.perform(page))
    assert [(one.key, len(one.events)) for one in server.account.incidents[1:]] == [("inc-1", 2)]


def vars_of(made: Call) -> dict[str, Any]:
    """The fields of a call."""
    return {name: getattr(made, name) for name in Call.__dataclass_fields__}


async def test_a_page_that_was_not_taken_is_repeated() -> None:
    """A page that PagerDuty did not take, for lack of time or of a server, gets through later."""
    async with pagerduty() as server, telling(server) as performer:
        server.fail("/v2/enqueue", Fault(status=503), Fault(status=429), Fault(drop=True))
        states = [(await performer.perform(event())).state for _ in range(4)]
    assert states == ["failed", "failed", "in_doubt", "succeeded"]
    assert [len(one.events) for one in server.account.incidents] == [1]


async def test_more_than_the_limit_waits() -> None:
    """The 121st event of a key in a minute is refused, `Retry-After` or not; other keys go on, and later so does it."""
    clock = SetClock()
    other = "0" * 32
    async with pagerduty(clock.now) as server, telling(server) as performer:
        server.account.add_service("Ledger", other)
        for _ in range(EVENTS_A_MINUTE):
            succeeded(await performer.perform(event()))
        for header, seconds in ((None, None), ("17", 17.0)):
            server.retry_after = header
            outcome = await performer.perform(event())
            assert "arriving too quickly" in failed(outcome, "rate_limited")
            assert outcome.failure is not None
            assert (outcome.failure.temporary, outcome.failure.retry_after) == (True, seconds)
        succeeded(await performer.perform(event(service_key=other)))
        clock.at += timedelta(seconds=60)
        succeeded(await performer.perform(event()))


async def test_an_unknown_key_is_refused() -> None:
    """A key PagerDuty does not know is a permanent failure in its words, without the key."""
    stranger = "f" * 32
    async with pagerduty() as server, performing(server.config(), pd=stranger) as performer:
        outcome = await performer.perform(event())
    assert "Invalid routing key" in failed(outcome, "invalid")
    assert stranger not in repr(outcome)


@pytest.mark.parametrize("key", ["canary-too-short", "canary" * 10, "canary-with-hyphens-and-32-chars", ""])
async def test_what_is_no_key_is_not_sent(key: str) -> None:
    """A key that cannot be one is refused before anything is sent, and is not told."""
    async with pagerduty() as server, performing(server.config(), pd=key) as performer:
        outcome = await performer.perform(event())
    assert "service_key" in failed(outcome, "invalid")
    assert "canary" not in repr(outcome)
    assert server.asked == []


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"action": "trigger"}, "summary"),
        ({"action": "page", "summary": "x"}, "action"),
        ({"summary": "x", "severity": "P0"}, "severity"),
        ({"summary": "x", "dedup_key": ""}, "dedup_key"),
        ({"summary": "x", "dedup_key": 7}, "dedup_key"),
        ({"summary": "x", "links": ["https://x.example"]}, "links"),
        ({"summary": "x", "urgency": "high"}, "urgency"),
    ],
    ids=str,
)
async def test_an_event_written_wrongly_is_refused(params: dict[str, Any], said: str) -> None:
    """What PagerDuty would not understand is refused before anything is sent."""
    about = {"service_key": SERVICE_KEY, "dedup_key": "inc-1"} | params
    async with pagerduty() as server, telling(server) as performer:
        assert said in failed(await performer.perform(call("pagerduty.send_event", about)), "invalid")
    assert server.asked == []


HOSTILE = {
    "mention": "<!channel> <@U1> @everyone",
    "html": "</p><script>alert(1)</script>",
    "lines": "two\r\nlines\u2028and\x85more\n\n",
    "controls": "nul\0 escape\x1b[31m bell\x07",
    "templates": "${secret.pd} {{7*7}} %s {0} $(id) `id`",
    "json": '"}], "routing_key": "x',
    "10 kB": "x" * 10_240,
    "emoji": "😀" * 5_000,
    "half surrogates": "\ud83d" * 600 + "\ude00\udc00",
    "blank": " \t\n\0 ",
    "empty": "",
    "right to left": "\u202egnp.exe",
}


@pytest.mark.parametrize("label", HOSTILE.values(), ids=list(HOSTILE))
async def test_no_label_stops_a_page(label: str) -> None:
    """Whatever a label holds, in whichever place, PagerDuty takes the page, and what fits arrives as it is."""
    page = event(
        summary=label,
        source=label,
        component=label,
        group=label,
        **{"class": label},
        dedup_key=f"inc-1 {label}",
        details={"label": label, f"key {label}": [label, {label: label}]},
        links=[{"href": f"https://x.example/{label}", "text": label}, {"href": label, "text": label}],
    )
    async with pagerduty() as server, telling(server) as performer:
        again = [succeeded(await performer.perform(page)) for _ in range(2)]
        succeeded(await performer.perform(event("acknowledge", dedup_key=f"inc-1 {label}")))
    (incident,) = server.account.incidents
    assert incident.status == "acknowledged"
    assert again[0] == again[1]
    payload = server.accepted[0]["payload"]
    assert "\n" not in payload["summary"]
    assert payload["summary"].strip()
    if label.isprintable() and label.strip() and len(label) < 1000:
        assert payload["summary"] == payload["class"] == payload["custom_details"]["label"] == label


async def test_what_is_too_long_is_cut_and_said() -> None:
    """Summary, key and details beyond PagerDuty's limits are cut to them, and the details and the result say so."""
    long = "y" * 300
    details = {"log": "z" * 600_000, "host": "db-1"}
    async with pagerduty() as server, telling(server) as performer:
        result = succeeded(
            await performer.perform(event(summary="x" * 5_000, dedup_key=long, details=details))
        )
        succeeded(await performer.perform(event("resolve", dedup_key=long)))
    (incident,) = server.account.incidents
    assert incident.status == "resolved"
    assert result["dedup_key"] == incident.key != long
    assert [cut.partition(":")[0] for cut in result["cut"]] == ["summary", "details"]
    payload = server.accepted[0]["payload"]
    assert len(payload["summary"]) == 1024
    assert payload["custom_details"]["host"] == "db-1"
    assert payload["custom_details"]["cut by runbookd"] == "; ".join(result["cut"])
    assert all(len(one.body.encode()) <= 512_000 for one in server.asked)


async def test_a_thousand_labels_fit() -> None:
    """Details of many large labels, in a script of three bytes a character, stay under 512 KB together."""
    details = {f"label {number}": "医" * 2_000 for number in range(1_000)}
    async with pagerduty() as server, telling(server) as performer:
        result = succeeded(await performer.perform(event(details=details)))
    assert len(server.asked[0].body.encode()) <= 512_000
    assert result["cut"][0].startswith("details: ")
    assert "label 0" in server.accepted[0]["payload"]["custom_details"]


async def test_the_time_is_the_server_s() -> None:
    """The incident is stamped by PagerDuty's clock: an event says no time of its own."""
    async with pagerduty(SetClock().now) as server, telling(server) as performer:
        succeeded(await performer.perform(event()))
    assert server.account.incidents[0].created_at == NOW
