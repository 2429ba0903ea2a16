"""`docs/reference/reasons.md`: every word that says why something came to what it came to."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import runbookd
from tools.docs.markdown import code, prose, table
from tools.docs.markdown import page as make_page

PACKAGE = Path(runbookd.__file__).parent
MODEL = PACKAGE / "model"


@dataclass(frozen=True, slots=True)
class Words:
    """One enum: its name, its docstring, and each word with the comment beside it."""

    name: str
    about: str
    words: tuple[tuple[str, str], ...]


def page() -> str:
    """Make the page."""
    reasons = list(words_of(MODEL / "reasons.py"))
    states = [
        each for path in sorted(MODEL.glob("*.py")) if path.name != "reasons.py" for each in words_of(path)
    ]
    intro = (
        "One word per reason, the same in the ledger, the logs, the metrics and on the screen. "
        "What an action's failure is called is on the page of [errors](errors.md)."
    )
    parts = [intro, *(part for each in reasons for part in _section(each, "##"))]
    parts += ["## States and other words", *(part for each in states for part in _section(each, "###"))]
    return make_page("Reasons", ["service/runbookd/model/"], *parts)


def words_of(path: Path) -> Iterator[Words]:
    """Yield the enums of text that a module defines, in its order."""
    source = path.read_text(encoding="utf-8")
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base) == "StrEnum" for base in node.bases):
            members = [
                (ast.unparse(each.targets[0]), str(each.value.value), comments.get(each.lineno, ""))
                for each in node.body
                if isinstance(each, ast.Assign) and isinstance(each.value, ast.Constant)
            ]
            about = ast.get_docstring(node) or ""
            for member, word, _ in members:
                about = about.replace(code(member), code(word))
            yield Words(node.name, about, tuple((word, comment) for _, word, comment in members))


def _section(enum: Words, level: str) -> Iterator[str]:
    yield f"{level} {enum.name}"
    yield prose(enum.about)
    if any(meaning for _, meaning in enum.words):
        yield table(("word", "meaning"), [[code(word), meaning] for word, meaning in enum.words])
    else:
        yield ", ".join(code(word) for word, _ in enum.words)
