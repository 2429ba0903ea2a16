"""`docs/reference/errors.md`: every error runbookd raises on purpose, and what an action's failure is called."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import runbookd
from runbookd.actions import failures
from tools.docs.markdown import block, code, prose
from tools.docs.markdown import page as make_page

PACKAGE = Path(runbookd.__file__).parent
BASE = "RunbookdError"

_INTRO = """The message of an error says what, where and what to do next; this page says what its kind means. Commands
end with the exit codes on the page of the [command line](cli.md)."""


@dataclass(frozen=True, slots=True)
class Raised:
    """One error class: its module's path in the package, its name, its bases and its docstring."""

    module: str
    name: str
    bases: tuple[str, ...]
    about: str


def page() -> str:
    """Make the page."""
    parts = [
        _INTRO,
    ]
    module = ""
    for each in errors():
        if each.module != module:
            module = each.module
            parts.append(f"## `service/runbookd/{module}`")
        parts += [f"### {each.name}", *_kind(each), prose(each.about)]
    head, _, kinds = prose(failures.__doc__).partition("`Failure.kind` is one of:")
    parts += [
        "## Failures of actions",
        head.strip(),
        "The kind of a failure is one of:",
        block(_flush(kinds), "text"),
    ]
    return make_page("Errors", ["service/runbookd/errors.py", "service/runbookd/actions/failures.py"], *parts)


def errors() -> list[Raised]:
    """Return every class of the package that comes from the base, that of `errors.py` first, then by module."""
    classes = [each for path in sorted(PACKAGE.rglob("*.py")) for each in _classes(path)]
    names = {BASE}
    while True:
        more = {each.name for each in classes if names.intersection(each.bases)} - names
        if not more:
            break
        names |= more
    found = [each for each in classes if each.name in names]
    return sorted(found, key=lambda each: each.module != "errors.py")


def _classes(path: Path) -> Iterator[Raised]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            bases = tuple(ast.unparse(base) for base in node.bases)
            yield Raised(
                path.relative_to(PACKAGE).as_posix(), node.name, bases, ast.get_docstring(node) or ""
            )


def _kind(each: Raised) -> Iterator[str]:
    if each.name != BASE:
        yield f"A kind of {', '.join(code(base) for base in each.bases)}."


def _flush(text: str) -> str:
    """Take the common indentation away."""
    return "\n".join(line.removeprefix("    ") for line in text.strip("\n").splitlines())
