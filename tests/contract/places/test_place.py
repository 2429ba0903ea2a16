"""What `ports.Place` promises, of a folder and of a bucket in S3 alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runbookd.actions.aws.config import AwsConfig
from runbookd.ports import Place
from runbookd.runtime.places import place_at
from tests.fakes.s3 import S3


@pytest.fixture(params=["folder", "s3", "s3 without a prefix"])
async def place(request: pytest.FixtureRequest, tmp_path: Path, s3: S3) -> AsyncIterator[Place]:
    """A place with nothing in it."""
    if request.param == "folder":
        it = place_at(tmp_path / "made" / "by itself", AwsConfig())
    else:
        address = s3.address("a/prefix" if request.param == "s3" else "")
        it = place_at(address, AwsConfig.model_validate(s3.settings()))
    yield it
    await it.close()


async def names(place: Place, *args: str) -> list[str]:
    """All names at once."""
    return [name async for name in place.names(*args)]


async def test_a_file_is_kept_as_it_is(place: Place) -> None:
    """Every byte comes back, and what was never put is None; an empty file is one."""
    everything = bytes(range(256)) * 4_000
    assert await place.read("x.gz") is None
    assert await place.put("x.gz", everything)
    assert await place.put("empty", b"")
    assert await place.read("x.gz") == everything
    assert await place.read("empty") == b""


async def test_a_file_is_never_changed(place: Place) -> None:
    """A second one of that name is refused, whatever it holds; of many at once exactly one is taken."""
    assert await place.put("x", b"first")
    assert not await place.put("x", b"second")
    assert not await place.put("x", b"first")
    assert await place.read("x") == b"first"
    taken = await asyncio.gather(*(place.put("y", str(n).encode()) for n in range(8)))
    assert taken.count(True) == 1
    assert await place.read("y") == str(taken.index(True)).encode()


async def test_names_come_in_order(place: Place) -> None:
    """Those that begin so and come after another, each once; nothing where nothing is."""
    assert await names(place) == []
    for name in ("b-2", "a-1", "b%2F-1", "b-10", "c"):
        await place.put(name, b"x")
    assert await names(place) == ["a-1", "b%2F-1", "b-10", "b-2", "c"]
    assert await names(place, "b") == ["b%2F-1", "b-10", "b-2"]
    assert await names(place, "b", "b-1") == ["b-10", "b-2"]
    assert await names(place, "", "b-2") == ["c"]
    assert await names(place, "d") == []


async def test_a_place_says_where_a_file_is(place: Place) -> None:
    """The words for a file begin with those for the place."""
    assert place.where("x.gz").startswith(place.where())
    assert place.where("x.gz").endswith("/x.gz")
