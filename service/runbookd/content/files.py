"""Which files are content: `*.yaml` and `*.yml` below the given folders, in an order that is the same everywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from runbookd.content.yaml_text import MAX_BYTES
from runbookd.errors import ContentError, Problem

SUFFIXES = {".yaml", ".yml"}


def find(folders: Sequence[Path]) -> list[Path]:
    """Return the content files of the folders: folder by folder, by name within each, subfolders in their place.

    Names that start with a dot are left out: editors keep their own there, and Kubernetes the versions behind a
    mounted ConfigMap (`..data`, `..2026_01_01`), whose files are seen as links beside them. Links are followed,
    to a folder once. Raises ContentError when a folder is not there, is not a folder, or cannot be read.
    """
    problems = [Problem(str(each), None, None, _not_a_folder(each)) for each in folders if not each.is_dir()]
    if problems:
        raise ContentError(tuple(problems))
    seen: set[Path] = set()
    try:
        return [file for folder in folders for file in _walk(folder, seen)]
    except OSError as error:
        raise ContentError((_unread(error.filename, error),)) from None


def read(files: Sequence[Path]) -> tuple[list[tuple[str, bytes]], list[Problem]]:
    """Return name and bytes of every file that can be read, and a problem for each that cannot.

    A file that is too large is read until that is known.
    """
    bodies: list[tuple[str, bytes]] = []
    problems = []
    for file in files:
        try:
            if file.exists() and not file.is_file():  # reading a pipe would wait for ever
                problems.append(Problem(str(file), None, None, "is not a regular file; remove or rename it"))
                continue
            with file.open("rb") as opened:
                bodies.append((str(file), opened.read(MAX_BYTES + 1)))
        except OSError as error:
            problems.append(_unread(str(file), error))
    return bodies, problems


def version(bodies: Sequence[tuple[str, bytes]]) -> str:
    """Return a hash (hex) that changes when any file's name, bytes or place in the order does."""
    digest = hashlib.sha256()
    for name, body in bodies:
        digest.update(f"{len(name)}:{name}:{len(body)}:".encode())
        digest.update(body)
    return digest.hexdigest()


def _walk(folder: Path, seen: set[Path]) -> Iterator[Path]:
    real = folder.resolve()
    if real in seen:
        return
    seen.add(real)
    for entry in sorted(folder.iterdir(), key=lambda each: each.name):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(entry, seen)
        elif entry.suffix in SUFFIXES:
            yield entry


def _unread(file: str, error: OSError) -> Problem:
    return Problem(file, None, None, f"cannot be read: {error.strerror or type(error).__name__}")


def _not_a_folder(path: Path) -> str:
    what = "is not a folder" if path.exists() else "there is no such folder"
    return f"{what}; name the folder that holds the rules or playbooks"
