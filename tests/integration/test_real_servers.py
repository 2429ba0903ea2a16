"""The demo shop, Prometheus and Alertmanager as real processes, and what they say to each other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.servers import Alertmanager, Server, Shop, Sink, call_json, eventually
from tests.servers import shop as running_shop

DATA = Path(__file__).parents[1] / "data"

StartShop = Callable[..., Awaitable[Shop]]
StartSink = Callable[[], Awaitable[Sink]]
StartPrometheus = Callable[..., Awaitable[Server]]
StartAlertmanager = Callable[..., Awaitable[Alertmanager]]
StartPair = Callable[..., Awaitable[tuple[Alertmanager, Alertmanager]]]

ERRORS_RULE = {
    "groups": [
        {
            "name": "shop",
            "interval": "1s",
            "rules": [
                {
                    "alert": "ShopErrorRateHigh",
                    "expr": 'sum by (job) (rate(shop_requests_total{code="500"}[2s]))'
                    " / sum by (job) (rate(shop_requests_total[2s])) > 0.1",
                    "labels": {"severity": "critical", "service": "shop"},
                    "annotations": {"summary": "{{ $value | humanizePercentage }} of visits fail"},
                }
            ],
        }
    ]
}


WRONG_CALLS: list[tuple[str, dict[str, Any], int]] = [
    ("rollback", {"to": "v9"}, 404),
    ("rollback", {"to": 1}, 400),
    ("rollback", {}, 400),
    ("rollback", {"to": "v1", "force": True}, 400),
    ("releases", {"name": "v1", "quality": "good"}, 409),
    ("releases", {"name": 'v"2', "quality": "good"}, 400),
    ("releases", {"name": "v2", "quality": "fair"}, 400),
    ("faults", {"drop": -1}, 400),
    ("faults", {"drop": None}, 400),
    ("faults", {"status": 200}, 400),
    ("faults", {"surprise": 1}, 400),
]


def scraping(shop: Shop, alertmanager: Alertmanager) -> dict[str, Any]:
    """A Prometheus configuration: look at the shop twice a second, tell the Alertmanager."""
    return {
        "global": {"scrape_interval": "500ms", "evaluation_interval": "1s"},
        "scrape_configs": [{"job_name": "shop", "static_configs": [{"targets": [host(shop.url)]}]}],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [host(alertmanager.url)]}]}]},
    }


def notifying(sink: Sink) -> dict[str, Any]:
    """An Alertmanager configuration: send everything to the sink, without waiting."""
    return {
        "route": {
            "receiver": "runbookd",
            "group_by": ["alertname"],
            "group_wait": "0s",
            "group_interval": "1s",
            "repeat_interval": "1h",
        },
        "receivers": [{"name": "runbookd", "webhook_configs": [{"url": sink.url, "send_resolved": True}]}],
    }


def host(url: str) -> str:
    """The host and port of a URL."""
    return url.removeprefix("http://")


def status_is(status: str) -> Callable[[dict[str, Any]], bool]:
    """Whether a webhook body has this status."""
    return lambda body: body["status"] == status


def same_shape(one: object, other: object) -> bool:
    """Whether two JSON values have the same fields and types; lists are compared by their first item."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_shape(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list) and one and other:
        return same_shape(one[0], other[0])
    return type(one) is type(other)


async def health(shop: Shop) -> tuple[int, str]:
    """The status of `/` and what `/health` says, as one user sees them."""
    async with aiohttp.ClientSession() as session:
        async with session.get(shop.url) as page:
            status = page.status
        async with session.get(f"{shop.url}/health") as answer:
            return status, (await answer.json())["status"]


async def phases(shop: Shop) -> list[str]:
    """What became of each rollback, in order of arrival."""
    calls = (await shop.admin("GET", "calls"))["calls"]
    return [call["phase"] for call in calls if call["path"] == "/admin/rollback"]


async def phases_become(shop: Shop, *wanted: str) -> None:
    """Return once the rollbacks have come this far."""

    async def reached() -> bool:
        return await phases(shop) == list(wanted)

    await eventually(reached, within=10, what=f"the rollbacks are {wanted}")


async def lose(caller: asyncio.Task[dict[str, Any]]) -> None:
    """Let a caller go away while it waits for its answer."""
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller


async def test_a_bad_release_breaks_the_shop_and_a_rollback_mends_it(shop: StartShop) -> None:
    """Users see errors from the moment a bad release serves until the last good one serves again."""
    it = await shop(users=20)
    await it.proven()
    assert await health(it) == (200, "ok")
    assert await it.last_good() is None

    assert await it.deploy("v2", "bad") == {"current": "v2", "previous": "v1", "changed": True}
    assert await health(it) == (500, "failing")
    seen = await it.admin("GET", "releases")
    assert (seen["current"], seen["last_good"], seen["rollbacks"]) == ("v2", "v1", 0)
    assert seen["changed_at"].endswith("Z")
    assert 0 <= seen["changed_ago_seconds"] < 60

    assert (await it.roll_back("v1"))["current"] == "v1"
    assert await health(it) == (200, "ok")
    seen = await it.admin("GET", "releases")
    assert (seen["current"], seen["last_good"], seen["rollbacks"]) == ("v1", None, 1)
    assert {r["name"]: r["good"] for r in seen["releases"]} == {"v1": True, "v2": False}


async def test_last_good_is_the_newest_release_that_proved_itself(shop: StartShop) -> None:
    """A release replaced before it proved itself is never offered to go back to."""
    it = await shop(users=20, proven_after=0.3)
    await it.proven()
    await it.deploy("v2")
    await it.proven()
    await it.deploy("v3", "bad")
    await it.deploy("v4", "bad")
    assert await it.last_good() == "v2"


async def test_the_same_key_is_answered_and_not_rolled_back_twice(shop: StartShop) -> None:
    """A repeated Idempotency-Key gets the recorded answer; only a new key is a second rollback."""
    it = await shop()
    await it.deploy("v2", "bad")
    first = await it.roll_back("v1", key="run-1")
    assert await it.roll_back("v1", key="run-1") == first
    seen = await it.admin("GET", "releases")
    assert (seen["rollbacks"], seen["repeated_keys"]) == (1, 1)

    with pytest.raises(aiohttp.ClientResponseError, match="422"):
        await it.roll_back("v2", key="run-1")
    assert await it.roll_back("v1", key="run-2") == {"current": "v1", "previous": "v1", "changed": False}
    calls = await it.admin("GET", "calls")
    assert [(c["key"], c["phase"]) for c in calls["calls"]] == [
        (None, "applied"),
        ("run-1", "applied"),
        ("run-1", "repeated"),
        ("run-1", "refused"),
        ("run-2", "applied"),
    ]
    assert (calls["rollbacks"], calls["repeated_keys"]) == (2, 1)


async def test_a_wrong_call_is_refused_and_changes_nothing(shop: StartShop) -> None:
    """A call the shop does not understand, or cannot carry out, gets a 4xx and the same release serves."""
    it = await shop()
    for path, body, status in WRONG_CALLS:
        with pytest.raises(aiohttp.ClientResponseError) as refused:
            await it.admin("POST", path, body)
        assert (path, body, refused.value.status) == (path, body, status)
    headers = {"Authorization": f"Bearer {it.token}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{it.url}/admin/rollback", data=b"{", headers=headers) as answer,
    ):
        assert answer.status == 400
    seen = await it.admin("GET", "releases")
    assert (seen["current"], seen["rollbacks"], len(seen["releases"])) == ("v1", 0, 1)


async def test_only_the_token_opens_the_administration(shop: StartShop) -> None:
    """Without the bearer token every administrative path answers 401 and tells nothing."""
    it = await shop()
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer "}):
        with pytest.raises(aiohttp.ClientResponseError, match="401"):
            await call_json("GET", f"{it.url}/admin/releases", headers=headers)
        with pytest.raises(aiohttp.ClientResponseError, match="401"):
            await call_json("POST", f"{it.url}/admin/rollback", {"to": "v1"}, headers=headers)


async def test_without_a_token_the_administration_is_off(shop: StartShop) -> None:
    """A shop started without a token refuses every administrative call, the empty token's too."""
    it = await shop(token="")
    for headers in ({}, {"Authorization": "Bearer "}):
        with pytest.raises(aiohttp.ClientResponseError, match="403"):
            await call_json("GET", f"{it.url}/admin/releases", headers=headers)


async def test_a_caller_that_dies_before_the_rollback_still_gets_it_done_once(shop: StartShop) -> None:
    """A rollback that has arrived is carried out though its caller is gone; its key repeats nothing later."""
    it = await shop()
    await it.deploy("v2", "bad")
    await it.admin("POST", "faults", {"delay_before_ms": 500})
    caller = asyncio.create_task(it.roll_back("v1", key="run-1"))
    await phases_become(it, "received")
    await lose(caller)
    await phases_become(it, "applied")
    await it.admin("POST", "faults", {})
    assert (await it.roll_back("v1", key="run-1"))["previous"] == "v2"
    assert await phases(it) == ["applied", "repeated"]


async def test_a_caller_can_be_lost_between_rollback_and_answer(shop: StartShop) -> None:
    """With a delay after it, or a dropped answer, the rollback is done and the caller does not know."""
    it = await shop()
    await it.deploy("v2", "bad")
    await it.admin("POST", "faults", {"delay_after_ms": 60_000})
    caller = asyncio.create_task(it.roll_back("v1", key="run-1"))
    await phases_become(it, "applied")
    await lose(caller)

    await it.admin("POST", "faults", {"drop": 1})
    with pytest.raises(aiohttp.ClientError):
        await it.roll_back("v2", key="run-2")
    assert await it.roll_back("v1", key="run-3") == {"current": "v1", "previous": "v2", "changed": True}
    calls = (await it.admin("GET", "calls"))["calls"]
    assert [(c["key"], c["answered"]) for c in calls[1:]] == [
        ("run-1", False),
        ("run-2", False),
        ("run-3", True),
    ]


async def test_a_refused_rollback_can_be_tried_again_under_its_key(shop: StartShop) -> None:
    """A set status refuses so many rollbacks, does nothing, and leaves the key free for another try."""
    it = await shop()
    await it.deploy("v2", "bad")
    await it.admin("POST", "faults", {"status": 503, "times": 2})
    for _ in range(2):
        with pytest.raises(aiohttp.ClientResponseError, match="503"):
            await it.roll_back("v1", key="run-1")
    assert (await it.roll_back("v1", key="run-1"))["changed"]
    assert await phases(it) == ["refused", "refused", "applied"]

    await it.admin("POST", "faults", {"status": 500})
    with pytest.raises(aiohttp.ClientResponseError, match="500"):
        await it.roll_back("v1")


async def test_the_shop_remembers_over_a_restart(tmp_path: Path) -> None:
    """With a state file, releases, verdicts, calls and keys outlive the process; counters start from 0."""
    state = tmp_path / "shop.json"
    async with running_shop(users=20, state=state) as before:
        await before.proven()
        await before.deploy("v2", "bad")
        answer = await before.roll_back("v1", key="run-1")
        await before.deploy("v3", "bad")
    async with running_shop(state=state) as after:
        seen = await after.admin("GET", "releases")
        assert (seen["current"], seen["last_good"], seen["rollbacks"]) == ("v3", "v1", 1)
        assert await after.roll_back("v1", key="run-1") == answer
        assert (await after.admin("GET", "releases"))["current"] == "v3"
        async with aiohttp.ClientSession() as session, session.get(f"{after.url}/metrics") as metrics:
            text = await metrics.text()
        assert 'shop_requests_total{code="500",release="v3"} 0' in text
        assert 'shop_release_info{release="v3"} 1' in text


async def test_a_state_file_that_is_none_is_said_so(tmp_path: Path) -> None:
    """A shop that cannot read its state file ends with a line that names the file and what to do."""
    state = tmp_path / "shop.json"
    state.write_text('{"half":')
    with pytest.raises(AssertionError) as failed:
        async with running_shop(state=state):
            pass
    assert "move it away to start anew" in "".join(failed.value.__notes__)


async def test_an_outage_of_the_shop_reaches_a_webhook_and_so_does_its_end(
    shop: StartShop,
    prometheus: StartPrometheus,
    alertmanager: StartAlertmanager,
    webhook_sink: StartSink,
) -> None:
    """Prometheus and Alertmanager tell of the bad release and of its rollback, in the shape kept in data."""
    sink = await webhook_sink()
    store = await shop(users=20)
    manager = await alertmanager(notifying(sink))
    await prometheus(scraping(store, manager), ERRORS_RULE)
    await store.proven()

    await store.deploy("v2", "bad")
    firing = await sink.wait_for(status_is("firing"), within=10)
    assert (firing["version"], firing["receiver"]) == ("4", "runbookd")
    assert firing["alerts"][0]["labels"]["alertname"] == "ShopErrorRateHigh"
    assert firing["alerts"][0]["endsAt"] == "0001-01-01T00:00:00Z"

    await store.roll_back("v1")
    resolved = await sink.wait_for(status_is("resolved"), within=10)
    assert resolved["alerts"][0]["fingerprint"] == firing["alerts"][0]["fingerprint"]
    assert resolved["alerts"][0]["startsAt"] == firing["alerts"][0]["startsAt"]
    starts_at, ends_at = (
        datetime.fromisoformat(resolved["alerts"][0][key]) for key in ("startsAt", "endsAt")
    )
    assert ends_at > starts_at
    for body in (firing, resolved):
        kept = json.loads((DATA / f"alertmanager-0.25-{body['status']}.json").read_bytes())
        assert same_shape(body, kept)


async def test_two_alertmanagers_of_a_cluster_share_what_they_know(
    alertmanager_pair: StartPair, webhook_sink: StartSink
) -> None:
    """A silence set at one member is known to the other, and an alert posted to both is delivered."""
    sink = await webhook_sink()
    first, second = await alertmanager_pair(notifying(sink))
    silence = {
        "matchers": [{"name": "alertname", "value": "Quiet", "isRegex": False}],
        "startsAt": "2020-01-01T00:00:00Z",
        "endsAt": "2099-01-01T00:00:00Z",
        "createdBy": "test",
        "comment": "seen by both",
    }
    made = await call_json("POST", f"{first.url}/api/v2/silences", silence)

    async def shared() -> bool:
        found = await call_json("GET", f"{second.url}/api/v2/silence/{made['silenceID']}")
        return bool(found["status"]["state"] == "active")

    await eventually(shared, within=5, what="the silence reaches the other member")
    for member in (first, second):
        await member.post_alerts({"labels": {"alertname": "Loud"}}, {"labels": {"alertname": "Quiet"}})
    body = await sink.wait_for(status_is("firing"), within=10)
    assert [alert["labels"]["alertname"] for alert in body["alerts"]] == ["Loud"]
