"""The numbered migrations of an engine, and what a database that was made by another version is told."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from runbookd.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step of the schema; `checksum` is the SHA-256 of its text in hex."""

    version: int
    name: str
    text: str
    checksum: str


def migrations_of(engine: str) -> list[Migration]:
    """Return every migration of an engine (its folder in `migrations/`), in order."""
    found = []
    for file in files("runbookd.store").joinpath("migrations", engine).iterdir():
        if file.name.endswith(".sql"):
            text = file.read_text(encoding="utf-8")
            checksum = hashlib.sha256(text.encode()).hexdigest()
            found.append(Migration(int(file.name.partition("_")[0]), file.name, text, checksum))
    return sorted(found, key=lambda migration: migration.version)


def missing(known: list[Migration], applied: Mapping[int, str]) -> list[Migration]:
    """Return what is yet to be applied; `applied` are checksums by version.

    Raises StoreError when what was applied is not what this version knows.
    """
    newest = max(applied, default=0)
    if newest > known[-1].version:
        raise StoreError(
            f"it was written by a newer runbookd (schema {newest}; this one knows up to {known[-1].version}). "
            "Install that version, or restore a backup made before it."
        )
    for migration in known:
        if applied.get(migration.version, migration.checksum) != migration.checksum:
            raise StoreError(
                f"its schema was made by another {migration.name} than the one installed. Install the version that "
                "made it; a released migration is never edited."
            )
    return [migration for migration in known if migration.version not in applied]
