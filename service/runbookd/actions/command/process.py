"""Running one program: no shell, no inherited environment, bounded output, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class Stream:
    """One of a program's two streams: its end, at most so many bytes, and whether more came before."""

    content: bytes
    truncated: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """A program that has ended. `exit_code` is negative when a signal ended it."""

    exit_code: int
    stdout: Stream
    stderr: Stream


async def start(argv: Sequence[str], env: Mapping[str, str], cwd: str) -> asyncio.subprocess.Process:
    """Start the program, leader of a session and process group of its own; raises OSError when it cannot be."""
    return await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(env),
        cwd=cwd,
        start_new_session=True,
    )


async def finish(process: asyncio.subprocess.Process, max_output: int) -> Ended:
    """Read both streams to their end and wait for the program.

    When this is cancelled (its time is up), the whole process group is killed before the cancellation goes on. A
    program that leaves a child holding its streams has not ended.
    """
    if process.stdout is None or process.stderr is None:
        raise TypeError("the program was not started with its streams piped")
    try:
        stdout, stderr, exit_code = await asyncio.gather(
            _tail(process.stdout, max_output), _tail(process.stderr, max_output), process.wait()
        )
    except asyncio.CancelledError:
        await _kill_group(process)
        raise
    return Ended(exit_code, stdout, stderr)


async def _tail(stream: asyncio.StreamReader, most: int) -> Stream:
    """The last bytes of a stream, read to its end so that the program never waits for a reader."""
    kept, truncated = bytearray(), False
    while chunk := await stream.read(_CHUNK):
        kept += chunk
        if len(kept) > most:
            truncated = True
            del kept[:-most]
    return Stream(bytes(kept), truncated)


async def _kill_group(process: asyncio.subprocess.Process) -> None:
    """Kill the program and its children, and wait until it is gone.

    A child that made a session of its own is out of reach.
    """
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
