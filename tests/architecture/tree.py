"""What the laws look at: the files of the repository, and the functions of the service."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "service" / "runbookd"

FunctionDef = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def files() -> tuple[Path, ...]:
    """Every file of the repository that git tracks or would track; without git, every file not hidden."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        output = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True).stdout
        found = [ROOT / name for name in output.decode().split("\0") if name]
    except (FileNotFoundError, subprocess.CalledProcessError):
        found = [path for path in ROOT.rglob("*") if not hidden(path.relative_to(ROOT))]
    return tuple(sorted(path for path in found if path.is_file()))


def hidden(path: Path) -> bool:
    """Whether a relative path lies in a cache, an environment or another hidden folder."""
    return any(part.startswith(".") or part == "__pycache__" for part in path.parts)


def texts() -> Iterator[tuple[Path, str]]:
    """Every file that is text, with its text."""
    for path in files():
        try:
            yield path, path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def modules(folder: Path = PACKAGE) -> tuple[Path, ...]:
    """Every Python module below a folder."""
    return tuple(path for path in files() if path.suffix == ".py" and path.is_relative_to(folder))


@cache
def parsed(path: Path) -> ast.Module:
    """A module's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def functions(path: Path) -> Iterator[FunctionDef]:
    """Every function and method of a module, nested ones too."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, FunctionDef):
            yield node


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Every docstring of a module, with the line it begins on."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Module | ast.ClassDef | FunctionDef):
            text = ast.get_docstring(node)
            if text is not None:
                yield node.body[0].lineno, text


def place(path: Path, line: int) -> str:
    """`file:line`, as an editor opens it."""
    return f"{path.relative_to(ROOT)}:{line}"


def listing(offences: list[str]) -> str:
    """Offences one a line, for the message of a failed law."""
    return "\n" + "\n".join(offences)
