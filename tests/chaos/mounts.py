"""Disks for one service: a small one that can be filled, and one that fails. Nobody outside of its namespace sees it.

https://man7.org/linux/man-pages/man7/mount_namespaces.7.html
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

SIZE = "24m"
"""Room for a database, its log of at most 16 MiB, and not much more."""
_FILLED_BY = 64 * 1024


class NotAllowedError(Exception):
    """This machine does not let us mount a disk; says why."""


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk mounted at `folder` in the namespace of process `holder`; `entering` runs a command there."""

    folder: Path
    holder: int
    entering: tuple[str, ...]

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Fill it to its last byte for a while."""
        filler = Path(f"/proc/{self.holder}/root{self.folder}/filler")
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"x" * _FILLED_BY)
        with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"x")
        yield
        filler.unlink()

    def fail(self) -> None:
        """Let the file system take its disk for broken: from now on it refuses to write."""
        self._run("mount", "-o", "remount,abort", str(self.folder))

    def repair(self, image: Path) -> None:
        """Take it down, look it through, and mount it anew. Nobody may use it meanwhile."""
        self._run("umount", str(self.folder))
        self._run("sh", "-c", 'e2fsck -p "$1" || [ $? -le 2 ]', "sh", str(image))
        self._run("mount", "-o", "loop", str(image), str(self.folder))

    def _run(self, *command: str) -> None:
        subprocess.run([*self.entering, *command], check=True, capture_output=True, timeout=30)


Mounting = Callable[[Path], AbstractAsyncContextManager[Disk]]
"""Mounts a disk at a folder, for the time of a block. Raises NotAllowedError."""


def small(folder: Path) -> AbstractAsyncContextManager[Disk]:
    """A disk of `SIZE`, in memory, which any user may mount in a namespace of users of their own."""
    return _mounted(folder, "-Urm", ("mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)))


def breakable(folder: Path) -> AbstractAsyncContextManager[Disk]:
    """A disk that is a file, beside the folder and named `image_of` it; only root may mount one."""
    _need("mkfs.ext4", "e2fsck")
    image = image_of(folder)
    with image.open("wb") as file:
        file.truncate(64 * 1024 * 1024)
    made = subprocess.run(["mkfs.ext4", "-q", str(image)], check=False, capture_output=True, text=True)
    if made.returncode:
        raise NotAllowedError(made.stderr.strip())
    return _mounted(folder, "-m", ("mount", "-o", "loop", str(image), str(folder)))


def image_of(folder: Path) -> Path:
    """The file that is the disk of `breakable`."""
    return folder.with_suffix(".img")


def _need(*programs: str) -> None:
    """Raise NotAllowedError when a program is not there."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise NotAllowedError(f"there is no {' or '.join(missing)}")


@contextlib.asynccontextmanager
async def _mounted(folder: Path, namespaces: str, mount: tuple[str, ...]) -> AsyncIterator[Disk]:
    """Mount in new namespaces, which a process keeps until its input is closed: so not even a crash leaves them."""
    _need("unshare", "nsenter")
    holder = await asyncio.create_subprocess_exec(
        *("unshare", namespaces, "sh", "-c", '"$@" && echo mounted && exec cat', "sh", *mount),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"LC_ALL": "C"},
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stderr is not None
    try:
        if await holder.stdout.readline() != b"mounted\n":
            raise NotAllowedError((await holder.stderr.read()).decode().strip())
        users = ("--user", "--preserve-credentials") if "U" in namespaces else ()
        entering = ("nsenter", *users, "--mount", "--target", str(holder.pid))
        yield Disk(folder, holder.pid, entering)
    finally:
        holder.stdin.close()
        await holder.wait()
