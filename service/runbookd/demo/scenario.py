"""The story of the demo: a bad release breaks a small shop, and runbookd takes it back.

Everything is real: the shop, the service, and where they are installed Prometheus and Alertmanager are processes of
their own that talk HTTP on loopback. Nothing outside one temporary folder is written, and all of it is ended.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self

from runbookd.demo import senders
from runbookd.demo.endpoints import TOKEN_VARIABLE
from runbookd.demo.invitation import to_look_around, to_ones_own
from runbookd.demo.people import TOKEN_VARIABLE as PEOPLE_TOKEN_VARIABLE
from runbookd.demo.processes import RUNBOOKD, DemoError, Processes
from runbookd.demo.screen import Screen
from runbookd.demo.shop_client import ShopClient
from runbookd.demo.summary import show_steps, sum_up
from runbookd.demo.timeline import Timeline
from runbookd.demo.workspace import Workspace
from runbookd.store.sqlite import open_sqlite

USERS: Final = 20
"""Visits to the shop per second."""
_ENDS_WITHIN: Final = 90.0
_LOOK_EVERY: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the reader asked for: end after the story, keep the folder, leave real monitoring out."""

    once: bool = False
    keep: bool = False
    without_prometheus: bool = False


async def tell(options: Options, screen: Screen, stop: asyncio.Event) -> bool | None:
    """Tell the story, then stay until `stop` unless it is told once; returns whether it ended well.

    None when `stop` was set in the middle of it. Raises DemoError when a part does not start or does not answer.
    """
    workspace = Workspace.made()
    try:
        async with AsyncExitStack() as stack:
            stage = await stack.enter_async_context(_Stage(workspace, options, screen, stop))
            good = await stage.play()
            if good is not None and not options.once:
                stage.invite()
                await stage.watch_until(stop.is_set, None)
            screen.line()
            screen.say("demo", "ending what it started")
        for line in to_ones_own().splitlines() if good else ():
            screen.line(line)
        return good
    finally:
        if options.keep:
            screen.line(f"Kept: {workspace.folder}")
        else:
            workspace.remove()


class _Stage:
    """Everything that runs while the story is told."""

    def __init__(self, workspace: Workspace, options: Options, screen: Screen, stop: asyncio.Event) -> None:
        self._workspace, self._options, self._screen, self._stop = workspace, options, screen, stop
        self._shop = ShopClient(workspace.shop_url, workspace.shop_token)
        self._processes = Processes(workspace.folder)
        self._stack = AsyncExitStack()
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        """Start the shop, the people, the service and whoever tells it of errors, in this order."""
        workspace, screen = self._workspace, self._screen
        await self._stack.enter_async_context(self._processes)
        screen.say("demo", f"everything is kept in {workspace.folder}")
        shop = (sys.executable, "-m", "runbookd.demo.shop")
        await self._processes.start(
            "shop",
            [*shop, "--port", str(workspace.shop_port), "--users", str(USERS)],
            f"{workspace.shop_url}/metrics",
            {TOKEN_VARIABLE: workspace.shop_token},
        )
        screen.say("shop", f"{workspace.shop_url} has {USERS} visits a second; release v1 serves them")
        await self._start_people()
        await self._processes.start(
            "runbookd",
            [*RUNBOOKD, "--config", str(workspace.config), "serve"],
            f"{workspace.service_url}/readyz",
        )
        store = await open_sqlite(workspace.database, readers=1)
        self._stack.push_async_callback(store.close)
        self._store = store
        self.timeline = Timeline(store, screen)
        await self.timeline.look()
        if senders.real() and not self._options.without_prometheus:
            prometheus, alertmanager = await senders.start_real(workspace, self._processes)
            screen.say(
                "prometheus", f"{prometheus} looks at the shop, and tells Alertmanager at {alertmanager}"
            )
        else:
            self._watching = await self._stack.enter_async_context(senders.stand_in(workspace, self._shop))
            screen.say("alertmanager", "not used: the demo posts the notifications of an Alertmanager itself")

    async def _start_people(self) -> None:
        """Start whoever is told of the incident."""
        workspace = self._workspace
        people = (sys.executable, "-m", "runbookd.demo.people")
        await self._processes.start(
            "people",
            [*people, "--port", str(workspace.people_port), "--mail-port", str(workspace.mail_port)],
            f"{workspace.people_url}/healthz",
            {PEOPLE_TOKEN_VARIABLE: workspace.people_token},
        )
        self._screen.say("people", "servers of the demo's own stand in for Slack, PagerDuty and mail")
        for way in sorted(workspace.left_out):
            called = {"slack": "Slack", "pagerduty": "PagerDuty"}[way]
            self._screen.say("people", f"{called} is left out: the extra `{way}` is not installed")

    async def play(self) -> bool | None:
        """Break the shop, watch, and sum up; None when it was stopped in the middle."""
        await self._shop.proven()
        if self._stop.is_set():
            return None
        screen, timeline = self._screen, self.timeline
        broken_at = datetime.now(UTC)
        await self._shop.deploy("v2", "bad")
        screen.say(
            "shop", "release v2 goes out, and it is bad: users get errors", style="bold red", at=broken_at
        )

        def over() -> bool:
            ended = timeline.first(lambda entry: entry.run_id is not None and entry.what.startswith("run_"))
            closed = timeline.first(lambda entry: entry.what == "incident_resolved")
            return ended is not None and closed is not None and timeline.waiting == 0

        await self.watch_until(lambda: over() or self._stop.is_set(), _ENDS_WITHIN)
        if self._stop.is_set():
            return None
        await show_steps(self._store, timeline, screen)
        verdict = await sum_up(timeline, self._shop, self._workspace, broken_at, screen)
        screen.line()
        if verdict.wrong:
            screen.line(f"The story did not end well. {'; '.join(verdict.wrong)}", "bold red")
            screen.line(f"The logs are in {self._workspace.folder / 'logs'} (with --keep they stay there).")
        else:
            screen.line(
                "The story ended well: the bad release was taken back once, and users are served.", "green"
            )
        return not verdict.wrong

    async def watch_until(self, done: Callable[[], bool], within: float | None) -> None:
        """Show the ledger as it grows until `done()`, or until so many seconds have passed (None: no limit)."""
        deadline = None if within is None else time.monotonic() + within
        while not done() and (deadline is None or time.monotonic() < deadline):
            await self.timeline.look()
            self._all_alive()
            await asyncio.sleep(_LOOK_EVERY)

    def _all_alive(self) -> None:
        """Raise DemoError when a part has ended that should not."""
        dead = self._processes.dead()
        if dead:
            raise DemoError(f"{dead[0]} has ended unasked; see {self._processes.log(dead[0])}")
        if self._watching is not None and self._watching.done():
            self._watching.result()

    def invite(self) -> None:
        """Tell the reader what to look at, how to break the shop again, and how to go on with one's own."""
        for line in to_look_around(self._workspace).splitlines():
            self._screen.line(line)
