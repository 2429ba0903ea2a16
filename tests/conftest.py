"""Fixtures for every folder of tests: real servers on loopback, ended with the test that asked for them.

`prometheus`, `alertmanager`, `alertmanager_pair`, `shop` and `webhook_sink` are given as functions that start
one, as often as a test likes: `server = await prometheus(config, rules)`. Their arguments are those of the
context managers of the same name in `tests/servers.py`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from itertools import count
from typing import ParamSpec, TypeVar

import pytest

from runbookd.runtime.logs import set_up
from tests import servers
from tests.fakes.s3 import S3, moto_server, s3_door, sign_in
from tests.postgres import PostgresServer, postgres_server

# The service's own plain logs: tracebacks with every local variable take seconds, and show what must not be shown.
set_up("json", "INFO")

# Each client reads all the authorities the system trusts, which takes longer than most tests; none speaks for loopback.
os.environ["SSL_CERT_FILE"] = os.devnull

P = ParamSpec("P")
S = TypeVar("S")


@pytest.fixture
def free_port() -> int:
    """A free TCP and UDP port of 127.0.0.1; `servers.free_port()` gives more."""
    return servers.free_port()


@pytest.fixture
async def running() -> AsyncIterator[AsyncExitStack]:
    """What was started in this test; ended in reverse order when it is over."""
    async with AsyncExitStack() as stack:
        yield stack


def starter(
    stack: AsyncExitStack, server: Callable[P, AbstractAsyncContextManager[S]]
) -> Callable[P, Awaitable[S]]:
    """The function that starts one such server and leaves its end to the stack."""

    async def start(*args: P.args, **kwargs: P.kwargs) -> S:
        return await stack.enter_async_context(server(*args, **kwargs))

    return start


@pytest.fixture
def prometheus(running: AsyncExitStack) -> Callable[..., Awaitable[servers.Server]]:
    """A function that starts a Prometheus from a configuration and a rule file's content."""
    return starter(running, servers.prometheus)


@pytest.fixture
def alertmanager(running: AsyncExitStack) -> Callable[..., Awaitable[servers.Alertmanager]]:
    """A function that starts an Alertmanager from a configuration."""
    return starter(running, servers.alertmanager)


@pytest.fixture
def alertmanager_pair(
    running: AsyncExitStack,
) -> Callable[..., Awaitable[tuple[servers.Alertmanager, servers.Alertmanager]]]:
    """A function that starts two Alertmanagers in one cluster from a configuration."""
    return starter(running, servers.alertmanager_pair)


@pytest.fixture
def shop(running: AsyncExitStack) -> Callable[..., Awaitable[servers.Shop]]:
    """A function that starts the demo shop with so many users a second."""
    return starter(running, servers.shop)


@pytest.fixture
def webhook_sink(running: AsyncExitStack) -> Callable[..., Awaitable[servers.Sink]]:
    """A function that starts a webhook receiver."""
    return starter(running, servers.webhook_sink)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A Postgres server for all tests; each takes a database of its own."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The address of a moto server for all tests; each takes a bucket of its own."""
    with moto_server() as address:
        yield address


_BUCKETS = count(1)


@pytest.fixture
async def s3(moto: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[S3]:
    """S3 with an empty bucket, and credentials for it in the environment."""
    sign_in(monkeypatch)
    async with s3_door(moto, f"bucket-{next(_BUCKETS)}") as door:
        yield door
