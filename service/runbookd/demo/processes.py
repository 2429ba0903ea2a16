"""Child processes of the demo: started, waited for, and ended by their own process id, whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Self

import aiohttp

from runbookd.errors import RunbookdError

RUNBOOKD = (sys.executable, "-m", "runbookd.cli.main")
"""The command line of this very installation, whatever is on the PATH."""
READY_WITHIN = 30.0
STOP_WITHIN = 30.0
_EVERY = 0.05
_SHOWN_OF_A_LOG = 2000


class DemoError(RunbookdError):
    """A part of the demo did not do its part; the message says which, and what it said last."""


@dataclass(slots=True)
class Processes:
    """The children, in the order they were started; all are ended, the last one first, when the block ends.

    Each has a session of its own, so that Ctrl-C at the terminal reaches the demo alone, which ends them in order.
    """

    folder: Path
    _children: list[tuple[str, asyncio.subprocess.Process]] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for name, child in reversed(self._children):
            await _end(name, child)

    def log(self, name: str) -> Path:
        """Return where a child's output is kept."""
        return self.folder / "logs" / f"{name}.log"

    async def start(
        self, name: str, command: Sequence[str], ready_url: str, env: Mapping[str, str] | None = None
    ) -> None:
        """Start a child and return when `ready_url` answers 200. Raises DemoError when it ends or never does.

        `env` is added to this process's own environment, less its RUNBOOKD_ settings: they are not for the demo.
        """
        kept = {key: value for key, value in os.environ.items() if not key.startswith("RUNBOOKD_")}
        log = self.log(name)
        log.parent.mkdir(exist_ok=True)
        with log.open("ab") as output:
            child = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=kept | dict(env or {}),
                start_new_session=True,
            )
        self._children.append((name, child))
        deadline = time.monotonic() + READY_WITHIN
        while not await answers(ready_url):
            if child.returncode is not None or time.monotonic() > deadline:
                ended = child.returncode is not None
                why = f"ended with status {child.returncode}" if ended else f"is not ready at {ready_url}"
                raise DemoError(f"{name} {why}; {log} says:\n{_tail(log)}")
            await asyncio.sleep(_EVERY)

    def dead(self) -> list[str]:
        """Name the children that have ended although nobody ended them."""
        return [name for name, child in self._children if child.returncode is not None]


async def _end(name: str, child: asyncio.subprocess.Process) -> None:
    """Ask a child to end, and end it when it does not."""
    del name
    with contextlib.suppress(ProcessLookupError):
        child.terminate()
    try:
        await asyncio.wait_for(child.wait(), STOP_WITHIN)
    except TimeoutError:
        child.kill()
        await child.wait()


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-_SHOWN_OF_A_LOG:].strip() or "nothing"


async def answers(url: str) -> bool:
    """Tell whether an address answers 200."""
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session,
            session.get(url) as answer,
        ):
            return answer.status == HTTPStatus.OK
    return False


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 on which nobody listens at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def installed(*names: str) -> str | None:
    """Return the path of the first of these programs that is on the PATH, else None."""
    return next((path for name in names if (path := shutil.which(name))), None)
