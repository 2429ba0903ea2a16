"""A known sender's delivery is kept before it is answered, and every other request gets the answer it needs."""

from __future__ import annotations

import asyncio
import gzip
import json
from datetime import timedelta
from unittest import mock

import pytest
from aiohttp.streams import StreamReader
from aiohttp.test_utils import make_mocked_request
from aiohttp.web import RequestPayloadError

from runbookd.model.event import DeliveryState
from runbookd.web.body import KEPT_OF_REFUSED, BodyReader, BodyRefused
from tests.integration.web.doors import BEARER, GOOD, HOOK, TOKEN, Door, read_answer, running_door
from tests.servers import eventually

POST = f"POST {HOOK} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"


async def test_a_delivery_is_kept_and_its_alerts_counted(door: Door) -> None:
    """202 has the id under which the delivery was kept, and how many alerts it holds."""
    answer = await door.post(GOOD, {**BEARER, "User-Agent": "Alertmanager/0.34.0"})
    assert answer.status == 202
    assert answer.json == {"delivery": "d-1", "alerts": 1}
    (kept,) = door.inbox.kept
    assert kept.body == GOOD
    assert kept.remote == "127.0.0.1"
    assert kept.headers == {"user-agent": "Alertmanager/0.34.0", "content-length": str(len(GOOD))}


async def test_no_secret_is_kept(door: Door) -> None:
    """The sender's credentials are in nothing that is stored."""
    await door.post(GOOD, {**BEARER, "Cookie": TOKEN, "X-Runbookd-Token": TOKEN})
    assert TOKEN not in repr(door.inbox.kept)


async def test_a_body_nobody_understands_is_a_dead_letter(door: Door) -> None:
    """400 is a problem document with the fault and the id of the dead letter."""
    answer = await door.post(b'{"version":"4","alerts":[{"status":"firing","labels":{"x":1}}]}')
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": 'alerts[0].labels["x"]: expected text, got number',
        "error": "invalid_payload",
        "delivery": "d-1",
    }
    assert door.inbox.kept[0].state is DeliveryState.DEAD


@pytest.mark.parametrize("path", ["/v1/hooks/nobody", "/v1/hooks/%ff%00", "/v1/hooks/alertmanager-reconcile"])
async def test_unknown_sources_are_not_enumerated(door: Door, path: str) -> None:
    """404 tells neither what was asked for nor what there is."""
    answer = await door.post(GOOD, path=path)
    assert answer.status == 404
    assert answer.json["detail"] == "no source of this name takes webhooks"
    assert not door.inbox.kept


@pytest.mark.parametrize(
    "path", ["/", "/v1/hooks", "/v1/hooks/", "/v1/hooks/alertmanager/x", "/v1/hooks/a%2Fb"]
)
async def test_other_addresses_are_not_found(door: Door, path: str) -> None:
    """404 at any other address is a problem document."""
    answer = await door.post(GOOD, path=path)
    assert (answer.status, answer.json["error"]) == (404, "not_found")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_hooks_are_posted(door: Door, method: str) -> None:
    """405 says which method is taken."""
    answer = await door.ask(method, HOOK, BEARER)
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert answer.json["detail"] == "this address takes POST only"


async def test_a_database_that_cannot_write_is_temporary(door: Door) -> None:
    """503 with Retry-After, never a 4xx: the sender shall try again."""
    door.inbox.full = True
    for body in (GOOD, b"never"):
        answer = await door.post(body)
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert answer.json["detail"] == "the disk is full; free some space"


async def test_a_dead_letter_that_cannot_be_kept_is_temporary() -> None:
    """A 413 or 415 would end the sender's tries, so without a record it is 503."""
    async with running_door() as door:
        door.inbox.full = True
        answer = await door.post(GOOD, {**BEARER, "Content-Encoding": "gzip"})
        assert (answer.status, answer.json["error"]) == (503, "store_unavailable")


async def test_a_body_past_the_limit_is_told_the_limit() -> None:
    """413 with the limit, whether the length was announced or not; what was read is kept."""
    async with running_door({"max_body": 100_000}) as door:
        announced = await door.raw(f"{POST}Content-Length: 100001\r\n\r\n".encode())
        chunked = await door.raw(
            f"{POST}Transfer-Encoding: chunked\r\n\r\n".encode()
            + b"186a1\r\n"
            + b" " * 100_001
            + b"\r\n0\r\n\r\n"
        )
        for answer in (announced, chunked):
            assert answer.status == 413
            assert "larger than 100000 bytes" in answer.json["detail"]
        first, second = door.inbox.kept
        assert (first.body, len(second.body)) == (b"", KEPT_OF_REFUSED)
        assert second.state is DeliveryState.DEAD
        assert second.reason == chunked.json["detail"]


async def test_a_body_at_the_limit_is_taken() -> None:
    """The limit itself is allowed."""
    async with running_door({"max_body": 2048}) as door:
        assert (await door.post(GOOD.ljust(2048))).status == 202


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, identity", "x"])
async def test_compressed_bodies_are_refused(door: Door, encoding: str) -> None:
    """415, and nothing is decompressed."""
    answer = await door.post(gzip.compress(GOOD), {**BEARER, "Content-Encoding": encoding})
    assert (answer.status, answer.json["error"]) == (415, "encoded_body")
    assert door.inbox.kept[0].body == b""


async def test_identity_is_no_encoding(door: Door) -> None:
    """`identity` says that the body is as it is."""
    assert (await door.post(GOOD, {**BEARER, "Content-Encoding": "Identity"})).status == 202


async def test_a_slow_body_is_temporary() -> None:
    """A body that does not arrive in time is 503, not kept, and its connection is closed."""
    async with running_door({"read_timeout": timedelta(milliseconds=20)}) as door:
        answer = await door.raw(f"{POST}Content-Length: 10\r\n\r\n{{".encode())
        assert (answer.status, answer.json["error"]) == (503, "slow_body")
        assert answer.headers["connection"] == "close"
        assert not door.inbox.kept


async def test_a_body_in_pieces_is_whole(door: Door) -> None:
    """Chunks and packets are nothing to the delivery."""
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in GOOD) + b"0\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(f"{POST}Transfer-Encoding: chunked\r\n\r\n".encode())
    for start in range(0, len(chunks), 50):
        writer.write(chunks[start : start + 50])
        await writer.drain()
    assert (await read_answer(reader)).status == 202
    assert door.inbox.kept[0].body == GOOD
    writer.close()


async def test_malformed_chunks_do_not_hold_the_door() -> None:
    """Chunks that are no chunks, all at once or after good ones, are refused in the time a body has."""
    async with running_door({"read_timeout": timedelta(milliseconds=20)}) as door:
        at_once = await door.raw(f"{POST}Transfer-Encoding: chunked\r\n\r\n1\r\n{{\r\nzz\r\n".encode())
        assert at_once.status == 400
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(f"{POST}Transfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n".encode())
        await door.ask("GET", "/healthz")
        writer.write(b"zz\r\n")
        assert (await read_answer(reader)).status in {400, 503}
        writer.close()
        assert not door.inbox.kept


async def test_a_body_that_breaks_is_refused_with_what_came() -> None:
    """Where the parser reports a broken body, the refusal has its beginning, and nothing counts as held."""
    reader = BodyReader(max_body=100, max_held=100, timeout=timedelta(seconds=5))
    payload = StreamReader(mock.Mock(), 2**16, loop=asyncio.get_running_loop())
    payload.feed_data(b"{")
    request = make_mocked_request("POST", HOOK, payload=payload)
    reading = asyncio.create_task(reader.read(request))
    await eventually(lambda: reader.held == 1, within=5)
    payload.set_exception(RequestPayloadError())
    with pytest.raises(BodyRefused) as refused:
        await reading
    assert (refused.value.status, refused.value.start, reader.held) == (400, b"{", 0)


async def test_a_sender_that_goes_away_is_nothing(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    """A connection that ends within a body leaves no delivery and no error in the log; the next request is served."""
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(f"{POST}Content-Length: 10\r\n\r\n{{".encode())
    await writer.drain()
    writer.close()
    await reader.read()
    assert (await door.post(GOOD)).status == 202
    assert len(door.inbox.kept) == 1
    assert not caplog.records


async def test_too_many_held_bodies_are_temporary() -> None:
    """Past the bound on all bodies together the answer is 503; once they are stored there is room again."""
    async with running_door({"max_body": 1024, "max_held": 1024}) as door:
        door.inbox.open.clear()
        first = asyncio.create_task(door.post(GOOD.ljust(1000)))
        await eventually(lambda: door.inbox.waiting == 1, within=5)
        refused = await door.post(GOOD)
        assert (refused.status, refused.json["error"]) == (503, "busy")
        door.inbox.open.set()
        assert (await first).status == 202
        assert (await door.post(GOOD)).status == 202


async def test_a_flood_of_one_source_leaves_room_for_another() -> None:
    """One source holds three quarters of the memory for bodies at most; another's body is taken then."""
    reader = BodyReader(max_body=300, max_held=1000, timeout=timedelta(seconds=5))

    async def read(source: str, size: int) -> bytes:
        payload = StreamReader(mock.Mock(), 2**16, loop=asyncio.get_running_loop())
        payload.feed_data(b"x" * size)
        payload.feed_eof()
        return await reader.read(make_mocked_request("POST", HOOK, payload=payload), source)

    held = [await read("loud", 250) for _ in range(3)]
    with pytest.raises(BodyRefused) as refused:
        await read("loud", 1)
    assert refused.value.status == 503
    assert len(await read("quiet", 250)) == 250
    reader.release(held[0], "loud")
    assert len(await read("loud", 250)) == 250


async def test_a_storm_of_connections_is_served(door: Door) -> None:
    """Five hundred senders at the same instant are all answered 202."""
    answers = await asyncio.gather(*(door.post(GOOD) for _ in range(500)))
    assert {answer.status for answer in answers} == {202}
    assert len(door.inbox.kept) == 500


async def test_one_connection_serves_many(door: Door) -> None:
    """A kept-alive connection takes one delivery after another, pipelined ones too."""
    request = f"{POST}Content-Length: {len(GOOD)}\r\n\r\n".encode() + GOOD
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(request * 3)
    assert [(await read_answer(reader)).status for _ in range(3)] == [202, 202, 202]
    writer.close()


async def test_answers_are_counted(door: Door) -> None:
    """The metric has each known source and status; strangers' sources are in no metric."""
    await door.post(GOOD)
    await door.post(GOOD)
    await door.post(GOOD, {})
    await door.post(GOOD, path="/v1/hooks/evil")
    count = door.registry.get_sample_value
    assert count("runbookd_hook_answers_total", {"source": "alertmanager", "status": "202"}) == 2
    assert count("runbookd_hook_answers_total", {"source": "alertmanager", "status": "401"}) == 1
    assert count("runbookd_hook_answers_total", {"source": "evil", "status": "404"}) is None


async def test_answers_tell_no_version(door: Door) -> None:
    """Neither aiohttp nor Python is named to strangers."""
    for answer in (await door.post(GOOD), await door.post(GOOD, {}), await door.ask("GET", "/none")):
        assert answer.headers["server"] == "runbookd"
        assert answer.headers["cache-control"] == "no-store"
        assert json.loads(answer.body)
