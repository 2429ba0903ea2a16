"""Scripts and screens turn the switch by the API, in the name of their token, once for each Idempotency-Key."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from runbookd.units.desk import PAUSED
from tests.integration.web.doors import Answer
from tests.integration.web.house import API, House, house

ACTS = {"pause": "paused", "resume": "resumed"}


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    """Everything, running."""
    async with house(tmp_path) as running:
        yield running


async def turn(home: House, what: str, reason: str, headers: Mapping[str, str] = API) -> Answer:
    """Ask for a pause, or for its end."""
    return await home.api("POST", f"/v1/{what}", json.dumps({"reason": reason}).encode(), headers)


async def switch(home: House) -> dict[str, Any] | None:
    """What the switch says in the database; None when it is not set."""
    value = await home.engine.store.read(lambda tx: tx.switches.get(PAUSED))
    return None if value is None else dict(json.loads(value))


async def test_pause_and_resume(home: House) -> None:
    """The switch is turned by the token's holder, for the reason given; the ledger and `/v1/status` tell."""
    assert (await home.api("GET", "/v1/status")).json["paused"] is None
    paused = await turn(home, "pause", "the network is being mended")
    assert (paused.status, paused.json["changed"]) == (200, True)
    assert paused.json["said"].startswith("paused: nothing is changed from now on; 0 runs under way")
    said = await switch(home)
    assert said is not None
    assert (said["by"], said["reason"]) == ("api:console", "the network is being mended")
    assert (await home.api("GET", "/v1/status")).json["paused"] == said == paused.json["paused"]
    resumed = await turn(home, "resume", "mended")
    assert (resumed.status, resumed.json["changed"], resumed.json["paused"]) == (200, True, None)
    assert await switch(home) is None
    for what in ACTS.values():
        ((entry),) = await home.entries(what)
        assert entry.entry.actor == "api:console"


async def test_turning_it_again_changes_nothing(home: House) -> None:
    """The same pause twice is one, and so is the end of it; another reason is told as it is."""
    answers = [await turn(home, "pause", reason) for reason in ("one", "one", "two")]
    assert [answer.json["changed"] for answer in answers] == [True, False, True]
    assert [(await turn(home, "resume", "over")).json["changed"] for _ in range(2)] == [True, False]
    assert len(await home.entries("paused")) == 2
    assert len(await home.entries("resumed")) == 1


async def test_the_same_key_is_done_once(home: House) -> None:
    """A pause sent again after the switch was turned back does not pause again, and nobody can take it for one."""
    keyed = {**API, "Idempotency-Key": "7f3k9x2b"}
    assert (await turn(home, "pause", "one", keyed)).json["changed"] is True
    assert (await turn(home, "resume", "over", keyed)).json["changed"] is True
    late = await turn(home, "pause", "one", keyed)
    assert (late.status, late.json["changed"], late.json["paused"]) == (409, False, None)
    assert "it is not paused; send it with another key" in late.json["said"]


async def test_status_tells_budget_and_brake(home: House) -> None:
    """Bounds, windows and what is used of them."""
    told = (await home.api("GET", "/v1/status")).json
    assert told["budget"] == {"runs": 30, "window": "1h", "used": 0}
    assert told["brake"] == {"runs": 20, "window": "1m", "used": 0, "braked": False}


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/status"), ("POST", "/v1/pause"), ("POST", "/v1/resume")]
)
async def test_strangers_turn_nothing(home: House, method: str, path: str) -> None:
    """Without one of the tokens nothing is told and nothing done."""
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        answer = await home.api(method, path, b'{"reason": "x"}', headers)
        assert (answer.status, answer.json["error"]) == (401, "unauthorized")
        assert "www-authenticate" in answer.headers
    assert await switch(home) is None


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b"{", 400, ""),
        (b"", 422, "reason: Field required"),
        (b"[]", 422, "expected object"),
        (b'{"reason": "  "}', 422, "reason"),
        (b'{"reason": 7}', 422, "reason"),
        (b'{"reason": "x", "actor": "root"}', 422, "actor: Extra inputs"),
        (json.dumps({"reason": "x" * 1001}).encode(), 422, "reason"),
        (b'"' + b"x" * 70_000 + b'"', 413, ""),
    ],
)
async def test_a_reason_is_needed(home: House, body: bytes, status: int, told: str) -> None:
    """A body that is not as it has to be is told by the field, and turns nothing."""
    answer = await home.api("POST", "/v1/pause", body)
    assert answer.status == status
    assert told in answer.json["detail"]
    assert await switch(home) is None


async def test_a_key_has_to_be_one(home: House) -> None:
    """An Idempotency-Key that is none is told."""
    answer = await turn(home, "pause", "x", {**API, "Idempotency-Key": "a b"})
    assert answer.status == 422
    assert "Idempotency-Key" in answer.json["detail"]
