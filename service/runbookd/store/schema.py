"""The numbered migrations of an engine, and what a database that was made by another version is told."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from runbookd.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_NEEDS = re.compile(r"^-- needs: (?P<version>\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step of the schema; `checksum` is the SHA-256 of its text in hex.

    `needs` is the lowest version that may go on beside it: a program that knows migrations up to there may still use
    the database. Its text says so in a line `-- needs: N`; None is only those who know it.
    """

    version: int
    name: str
    text: str
    checksum: str
    needs: int | None = None


class Applied(NamedTuple):
    """A migration as the database tells of it; `needs` as above."""

    name: str
    checksum: str
    needs: int | None = None


def migrations_of(engine: str) -> list[Migration]:
    """Return every migration of an engine (its folder in `migrations/`), in order."""
    found = []
    for file in files("runbookd.store").joinpath("migrations", engine).iterdir():
        if file.name.endswith(".sql"):
            text = file.read_text(encoding="utf-8")
            checksum = hashlib.sha256(text.encode()).hexdigest()
            said = _NEEDS.search(text)
            needs = None if said is None else int(said["version"])
            found.append(Migration(int(file.name.partition("_")[0]), file.name, text, checksum, needs))
    return sorted(found, key=lambda migration: migration.version)


def applied_of(rows: Iterable[Sequence[Any]]) -> dict[int, Applied]:
    """Read the rows of the table of migrations; in older ones the last column, `needs`, is not there yet."""
    return {version: Applied(*others) for version, *others in rows}


def missing(known: list[Migration], applied: Mapping[int, Applied]) -> list[Migration]:
    """Return what is yet to be applied; `applied` is what the database tells, by version.

    A database of a newer version will do where each migration of it that is not known here can be shared. Raises
    StoreError when one cannot, and when what was applied is not what this version knows.
    """
    newest = known[-1].version
    for version, one in sorted(applied.items()):
        if version > newest and (one.needs is None or one.needs > newest):
            raise StoreError(
                f"it was brought up to date by a newer runbookd, and {one.name} cannot be shared with this one (schema "
                f"{version}; this one knows up to {newest}). Start the newer version in place of this one."
            )
    for migration in known:
        there = applied.get(migration.version)
        if there is not None and there.checksum != migration.checksum:
            raise StoreError(
                f"its schema was made by another {migration.name} than the one installed. Install the version that "
                "made it; a released migration is never edited."
            )
    return [migration for migration in known if migration.version not in applied]
