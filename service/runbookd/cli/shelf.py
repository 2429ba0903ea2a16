"""Archives and checkpoints as commands read them: in a folder, or in S3."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from runbookd.runtime.places import place_at
from runbookd.store.archives import archives_in, read_archive

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from runbookd.cli.shared import Shared
    from runbookd.model.audit import LedgerRow
    from runbookd.ports import Place
    from runbookd.store.archives import Archive

_AT_ONCE = 256


class PathOrS3(click.Path):
    """A path that is there, or as text an address in S3."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a Path, or the address."""
        from runbookd.actions.aws.config import S3, bucket_and_prefix

        if not isinstance(value, str) or not value.startswith(S3):
            return super().convert(value, param, ctx)
        try:
            bucket_and_prefix(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return value


class Shelf:
    """A place, asked by a command, which has no event loop of its own."""

    def __init__(self, place: Place, runner: asyncio.Runner) -> None:
        """`runner` keeps the loop that connections live in."""
        self._place, self._runner = place, runner
        self.where = place.where()

    def archives(self) -> list[Archive]:
        """Return every archive there is. Raises PlaceUnavailable."""
        return self._runner.run(archives_in(self._place))

    def rows(self, archive: Archive, keys: Mapping[str, Ed25519PublicKey] | None) -> list[LedgerRow]:
        """Read an archive, and check it by the keys. Raises PlaceUnavailable and DamagedFile."""
        return self._runner.run(read_archive(self._place, archive, keys))[0]

    def checkpoints(self) -> Iterator[tuple[str, str]]:
        """Yield every checkpoint's line, after where it is. Raises PlaceUnavailable."""
        names = self._runner.run(self._names())
        for first in range(0, len(names), _AT_ONCE):
            some = names[first : first + _AT_ONCE]
            for name, line in zip(some, self._runner.run(self._read(some)), strict=True):
                yield self._place.where(name), line

    async def _names(self) -> list[str]:
        from runbookd.runtime.checkpoint_keepers import PREFIX

        return [name async for name in self._place.names(PREFIX)]

    async def _read(self, names: list[str]) -> list[str]:
        """Read files at the same time; one that is gone is empty."""
        found = await asyncio.gather(*(self._place.read(name) for name in names))
        return [(each or b"").decode(errors="replace").rstrip("\n") for each in found]


@contextmanager
def shelf_at(shared: Shared, location: Path | str) -> Iterator[Shelf]:
    """Open a folder, or an address in S3, which is reached as the settings say."""
    from runbookd.actions.aws.config import AwsConfig

    place = place_at(location, shared.settings().aws if isinstance(location, str) else AwsConfig())
    with asyncio.Runner() as runner:
        try:
            yield Shelf(place, runner)
        finally:
            runner.run(place.close())
