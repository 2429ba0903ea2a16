"""A path that prose names exists, so that prose cannot outlive a rename.

Looked at: inline code and relative links of the Markdown files, and inline code of the docstrings. Fenced blocks
are left out: they show what an operator would write. What counts as a path is decided by `names_a_path`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.tree import PACKAGE, ROOT, docstrings, files, listing, modules, place

FENCE = re.compile(r"^( *)(```+|~~~+).*?^\1\2[ \t]*$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"\]\(([^)\s]+)\)")
PLAIN = re.compile(r"[\w.-]+(?:/[\w.-]+)*/?")
SOURCE_SUFFIXES = {".md", ".py", ".sql"}
FILE_SUFFIXES = SOURCE_SUFFIXES | {".css", ".html", ".js", ".json", ".lock", ".toml", ".yaml", ".yml"}


def names_a_path(token: str) -> bool:
    """Whether inline code is a path of this repository rather than a word, a URL, or a path elsewhere.

    It is one when it begins with a folder of the repository, ends in `/`, is a file of a known kind in a folder,
    or is a source file's bare name.
    """
    if not PLAIN.fullmatch(token):
        return False
    suffix = Path(token).suffix
    if "/" not in token:
        return suffix in SOURCE_SUFFIXES and token != suffix
    return token.endswith("/") or suffix in FILE_SUFFIXES or (ROOT / token.split("/", maxsplit=1)[0]).is_dir()


def exists(token: str, beside: Path) -> bool:
    """Whether the path is there: from the root, the package or the file's own folder, or, a bare name, anywhere."""
    bases = (ROOT, PACKAGE, ROOT / "service", beside.parent)
    if any((base / token).exists() for base in bases):
        return True
    return "/" not in token and any(path.name == token for path in files())


def blank(match: re.Match[str]) -> str:
    """A fenced block's line breaks and nothing else, so that later lines keep their numbers."""
    return "\n" * match.group().count("\n")


def named_in_markdown(path: Path) -> Iterator[tuple[int, str]]:
    """Paths in a Markdown file's inline code and relative links, with their lines."""
    text = FENCE.sub(blank, path.read_text(encoding="utf-8"))
    for number, line in enumerate(text.splitlines(), start=1):
        yield from ((number, token) for token in INLINE.findall(line) if names_a_path(token))
        for target in LINK.findall(line):
            file = target.split("#")[0]
            if file and ":" not in file:
                yield number, file


def named_in_docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Paths in a module's docstrings, with the line the docstring begins on."""
    for line, text in docstrings(path):
        yield from ((line, token) for token in INLINE.findall(text) if names_a_path(token))


def test_paths_in_markdown_exist() -> None:
    """Every path named in a Markdown file exists."""
    offences = [
        f"{place(path, line)}: {token}"
        for path in files()
        if path.suffix == ".md"
        for line, token in named_in_markdown(path)
        if not exists(token, path)
    ]
    assert not offences, listing(offences)


def test_paths_in_docstrings_exist() -> None:
    """Every path named in a docstring exists."""
    offences = [
        f"{place(path, line)}: {token}"
        for path in modules(ROOT)
        for line, token in named_in_docstrings(path)
        if not exists(token, path)
    ]
    assert not offences, listing(offences)


@pytest.mark.parametrize(
    "token",
    ["service/runbookd/pipeline.py", "tests/unit", "runtime/", "pipeline.py", "rules/deployments.yaml"],
)
def test_paths_of_the_repository_are_looked_at(token: str) -> None:
    """A path of the repository is recognised in prose."""
    assert names_a_path(token)


@pytest.mark.parametrize(
    "token",
    ["steps/rollback", "application/json", "alertmanager.yml", "/etc/hosts", "<kind>/x.py", "a b.py", ".py"],
)
def test_other_words_with_slashes_are_left_alone(token: str) -> None:
    """A word that only looks like a path, or a path elsewhere, is not looked for."""
    assert not names_a_path(token)
