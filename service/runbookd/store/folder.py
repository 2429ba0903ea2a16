"""A folder as a place for archives (`ports.Place`)."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from runbookd.errors import PlaceUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

T = TypeVar("T")


class Folder:
    """A folder, made (mode 0700) with its first file.

    A file is made beside its place (mode 0600), written to the disk, and only then given its name.
    """

    def __init__(self, path: Path) -> None:
        """Nothing is touched yet."""
        self._path = path

    def where(self, name: str = "") -> str:
        """Return the path of a file, or of the folder."""
        return str(self._path / name)

    async def names(self, prefix: str = "", after: str = "") -> AsyncIterator[str]:
        """Yield the names that begin so and come after another; none where there is no folder yet."""
        for name in await self._do(lambda: _names(self._path)):
            if name.startswith(prefix) and name > after:
                yield name

    async def read(self, name: str) -> bytes | None:
        """Return what a file holds; None when there is none."""
        return await self._do(lambda: _read(self._path / name))

    async def put(self, name: str, data: bytes) -> bool:
        """Keep a new file; False when one of that name is there."""
        return await self._do(lambda: _put(self._path / name, data))

    async def close(self) -> None:
        """There is nothing to let go of."""

    async def _do(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            raise PlaceUnavailable(
                f"{error.filename or self._path}: {error.strerror}; give the service room and the right to write there"
            ) from error


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except FileNotFoundError:
        return []


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _put(path: Path, data: bytes) -> bool:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # mode 0600
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(beside)
    except FileExistsError:
        return False
    finally:
        beside.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)  # the name must outlive a power cut as the file does
    finally:
        os.close(folder)
    return True
