"""A performer over the real catalogue, and loopback servers for it to call; for every test of an action."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from runbookd.actions.base import AnyAction, Context, Shared
from runbookd.actions.catalogue import ActionCatalogue
from runbookd.actions.config import ActionsConfig
from runbookd.actions.performer import CataloguePerformer
from runbookd.errors import NotFound
from runbookd.model.action import Call, Mode, Outcome, OutcomeState, Probed

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
KEY = "run-1/steps/act"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class SetClock:
    """A clock that stands at `at`, and goes on by `tick` each time it is read."""

    at: datetime = NOW
    tick: timedelta = timedelta(0)

    def now(self) -> datetime:
        """The time, then a tick later."""
        now = self.at
        self.at += self.tick
        return now


@dataclass(slots=True)
class KnownSecrets:
    """Secrets from a dictionary."""

    known: Mapping[str, str] = field(default_factory=dict)

    def get(self, name: str) -> str:
        """Return it; raises NotFound."""
        if name not in self.known:
            raise NotFound(f"the secret {name!r} is not set")
        return self.known[name]


def call(
    action: str,
    params: Mapping[str, object] | None = None,
    *,
    mode: Mode = Mode.ACT,
    timeout: float = 10.0,
    key: str = KEY,
) -> Call:
    """One attempt at a step; `timeout` in seconds."""
    return Call(
        run_id="run-1",
        path="steps/act",
        attempt=1,
        action=action,
        key=key,
        params=params or {},
        mode=mode,
        timeout=timedelta(seconds=timeout),
        intended_at=NOW,
    )


def context_of(made: Call, config: ActionsConfig | None = None, **secrets: str) -> Context:
    """What a call is given, for an action that no catalogue holds."""
    return Context(made, config or ActionsConfig(), SetClock(), Shared(), KnownSecrets(secrets))


class OneCluster(CataloguePerformer):
    """A performer that says which cluster is meant when the settings name one, so that each test need not."""

    def __init__(self, catalogue: ActionCatalogue, secrets: KnownSecrets, clock: SetClock) -> None:
        """Read the clusters of the settings."""
        super().__init__(catalogue, secrets, clock)
        self._names = list(catalogue.config.kubernetes.clusters)

    async def perform(self, call: Call) -> Outcome:
        """Carry a call out."""
        return await super().perform(self._of_one(call))

    async def probe(self, call: Call) -> tuple[Probed, Outcome | None]:
        """Ask whether it took effect."""
        return await super().probe(self._of_one(call))

    async def undo(self, call: Call, output: Mapping[str, object]) -> Outcome:
        """Reverse it."""
        return await super().undo(self._of_one(call), output)

    def _of_one(self, call: Call) -> Call:
        named = call.action.startswith(("kubernetes.", "velero.", "certmanager."))
        if not named or len(self._names) != 1 or "cluster" in call.params:
            return call
        return replace(call, params={**call.params, "cluster": self._names[0]})


@contextlib.asynccontextmanager
async def performing(
    config: Mapping[str, Any] | None = None, *, clock: SetClock | None = None, **secrets: str
) -> AsyncIterator[CataloguePerformer]:
    """A performer with this configuration and these secrets, closed at the end."""
    catalogue = ActionCatalogue(ActionsConfig.model_validate(config or {}))
    performer = OneCluster(catalogue, KnownSecrets(secrets), clock or SetClock())
    try:
        yield performer
    finally:
        await performer.close()


async def perform(
    action: str,
    params: Mapping[str, object],
    config: Mapping[str, Any] | None = None,
    *,
    mode: Mode = Mode.ACT,
    within: float = 10.0,
) -> Outcome:
    """One call with a performer of its own, left after so many seconds."""
    async with performing(config) as performer:
        return await performer.perform(call(action, params, mode=mode, timeout=within))


def succeeded(outcome: Outcome) -> Mapping[str, Any]:
    """The output; AssertionError with the failure when there is none."""
    assert outcome.state is OutcomeState.SUCCEEDED, outcome.failure
    return outcome.output


def failed(outcome: Outcome, kind: str, state: OutcomeState = OutcomeState.FAILED) -> str:
    """The message of a failure of this kind; AssertionError when it is another."""
    assert outcome.failure is not None, outcome
    assert (outcome.state, outcome.failure.kind) == (state, kind), outcome.failure
    return outcome.failure.message


@contextlib.asynccontextmanager
async def serving(handler: Handler, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """An HTTP server on loopback that answers everything with `handler`; its URL."""
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        port = runner.addresses[0][1]
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def deaf_server() -> AsyncIterator[int]:
    """A TCP server that takes connections and never says a word; its port."""
    done = asyncio.Event()

    async def listen(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()
        writer.transport.abort()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        done.set()
        server.close()


def json_answer(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON answer."""
    return web.json_response(body, status=status, headers=headers)


def every_action() -> Mapping[str, AnyAction]:
    """The whole catalogue."""
    return ActionCatalogue().actions
