"""Lives of the service that start in a tenth of a second and can be ended at a named point of their journal.

Run as a program it is the nursery: it imports runbookd once, and forks a process that serves for every line of
JSON on its standard input. A process born so is killed like any other; only the start is cheaper than that of
`runbookd serve`, so that a hundred kills fit into a test.

A point is `before` or `after` the commit that writes something, named as the journal does: `before
steps/rollback succeeded`, `after run verified`, `before delivery pending`; `*` and `?` as in file names. At its
point the process kills itself with SIGKILL, inside its own transaction or at once after it. At a point that
begins with `stall` the disk never answers: the transaction stays open, and `STALLED` is in the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Self

import runbookd
from runbookd import bootstrap, wiring
from runbookd.ports import Tx
from runbookd.runtime import clock, logs
from runbookd.settings import load_settings
from runbookd.store.sqlite import SqliteStore, open_sqlite
from tests.servers import STOP_WITHIN, eventually
from tests.service import Service

ROOT = Path(__file__).resolve().parents[2]
STALLED = "the disk does not answer"
WRITES: dict[tuple[str, str], Callable[..., str]] = {
    ("deliveries", "add"): lambda delivery: f"delivery {delivery.state}",
    ("deliveries", "settle"): lambda _id, state, *_more: f"delivery {state}",
    ("runs", "add"): lambda run: f"run {run.state}",
    ("runs", "save"): lambda run: f"run {run.state}",
    ("runs", "save_step"): lambda step: f"{step.path} {step.state}",
    ("incidents", "save"): lambda incident: f"incident {incident.state}",
    ("ledger", "archived"): lambda _anchor: "archive recorded",
    ("ledger", "forget"): lambda *_: "entries forgotten",
    ("retention", "forget"): lambda kind, _ids: f"{kind} forgotten",
}
"""How what is written is called, by repository and method."""


class Noticing:
    """A repository of a transaction that tells the names of what it is given to write."""

    def __init__(self, name: str, repository: object, tell: Callable[[str], None]) -> None:
        """`repository` does the work."""
        self._name, self._repository, self._tell = name, repository, tell

    def __getattr__(self, method: str) -> Any:
        """The repository's own method, told of first when it is one of `WRITES`."""
        own, named = getattr(self._repository, method), WRITES.get((self._name, method))
        if named is None:
            return own

        def telling(*args: Any, **kwargs: Any) -> Any:
            self._tell(named(*args, **kwargs))
            return own(*args, **kwargs)

        return telling


def ending_at(store: SqliteStore, point: str) -> SqliteStore:
    """The store, made to end its process at the point."""
    when, _, wanted = point.partition(" ")
    write = store.write

    async def watched(unit: Callable[[Tx], Awaitable[Any]]) -> Any:
        reached = False

        def tell(name: str) -> None:
            nonlocal reached
            reached = reached or fnmatchcase(name, wanted)

        async def noticed(tx: Any) -> Any:
            for name in {repository for repository, _ in WRITES}:
                setattr(tx, name, Noticing(name, getattr(tx, name), tell))
            answer = await unit(tx)
            if reached and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            if reached and when == "stall":
                os.write(2, f"{STALLED}\n".encode())
                threading.Event().wait()
            return answer

        answer = await write(noticed)
        if reached:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    store.write = watched  # type: ignore[method-assign]
    return store


def set_clock_off(minutes: int) -> None:
    """Let this process take the machine's clock for so many minutes ahead of what it is."""

    class Off(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.now(tz) + timedelta(minutes=minutes)

    clock.datetime = Off  # type: ignore[attr-defined]


async def live(config: Path, point: str | None) -> None:
    """Serve until SIGTERM, or until the point is reached; None is no point."""
    if point is not None:

        async def open_store(path: Path, **options: Any) -> SqliteStore:
            return ending_at(await open_sqlite(path, **options), point)

        wiring.open_sqlite = open_store  # type: ignore[attr-defined]
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings = load_settings(config)
    logs.set_up(settings.log_format, settings.log_level)
    await bootstrap.serve(settings, stop)


def nurse() -> None:
    """Fork a life for every line asked for, and print its pid; what has ended is reaped by the system."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in iter(sys.stdin.readline, ""):
        wanted = json.loads(line)
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            log = os.open(wanted["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(log, 1)
            os.dup2(log, 2)
            set_clock_off(wanted["minutes_off"])
            asyncio.run(live(Path(wanted["config"]), wanted["point"]))
            os._exit(0)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


@dataclass(slots=True)
class Nursery:
    """The running nursery."""

    process: asyncio.subprocess.Process
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def fork(self, config: Path, log: Path, point: str | None, minutes_off: int = 0) -> int:
        """Begin a life whose clock is so many minutes ahead, and return its pid."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        async with self.lock:
            wanted = {
                "config": str(config),
                "log": str(log),
                "point": point,
                "minutes_off": minutes_off,
            }
            self.process.stdin.write(f"{json.dumps(wanted)}\n".encode())
            await self.process.stdin.drain()
            return int(await self.process.stdout.readline())


@contextlib.asynccontextmanager
async def nursery() -> AsyncIterator[Nursery]:
    """A nursery; it ends with the block, and its lives are to have ended before."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.acceptance.nursery"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{Path(runbookd.__file__).parents[1]}:{ROOT}"},
    )
    assert process.stdin is not None
    try:
        yield Nursery(process)
    finally:
        process.stdin.close()
        await asyncio.wait_for(process.wait(), STOP_WITHIN)


@dataclass(slots=True)
class Mortal(Service):
    """A `Service` whose lives a nursery bears."""

    nursery: Nursery | None = None
    born: int | None = None
    minutes_off: int = 0

    @property
    def pid(self) -> int:
        """The process of this life."""
        assert self.born is not None, "the service was never started"
        return self.born

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        if self.born is None:
            return False
        try:
            os.kill(self.born, 0)
        except ProcessLookupError:
            return False
        return True

    async def start(self, *, ready: bool = True, point: str | None = None) -> Self:
        """Begin a life, which ends by itself at the point; by default return when it is ready, or gone."""
        assert self.nursery is not None
        assert not self.running, "the service runs already"
        self.born = await self.nursery.fork(self.config, self.folder / "log", point, self.minutes_off)
        if ready:
            await eventually(self._ready_or_ended, within=20, every=0.01, what="runbookd is ready")
            if point is None:
                assert self.running, self.log[-4000:]
        return self

    async def gone(self, within: float = 20.0) -> None:
        """Return when the life has ended."""
        try:
            await eventually(lambda: not self.running, within=within, every=0.005, what="this life has ended")
        except AssertionError as error:
            error.add_note(self.log[-6000:])
            raise

    async def kill(self) -> None:
        """End this life with SIGKILL, wherever it is, and wait until it is gone."""
        if self.born is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.born, signal.SIGKILL)
            await self.gone()

    async def stop(self, within: float = STOP_WITHIN) -> int:
        """Ask it to end (SIGTERM), and wait until it is gone; its exit status is not known here, and 0 is returned."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
        await self.gone(within)
        return 0


if __name__ == "__main__":
    nurse()
