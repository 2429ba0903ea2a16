"""Every page of the documentation can be reached from its index, and every link leads somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.tree import ROOT, files, listing, place
from tools.docs.markdown import anchor

DOCS = ROOT / "docs"
INDEX = DOCS / "README.md"
FENCE = re.compile(r"^( *)(```+|~~~+).*?^\1\2[ \t]*$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(`+).+?\1", re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)


def markdown_pages() -> list[Path]:
    """Every Markdown page of the repository."""
    return [path for path in files() if path.suffix == ".md"]


def unfenced(path: Path) -> str:
    """A page without its fenced blocks, line for line."""
    return FENCE.sub(lambda match: "\n" * match[0].count("\n"), path.read_text(encoding="utf-8"))


def links(path: Path) -> Iterator[tuple[int, Path, str]]:
    """A page's links within the repository: the line, the file and the anchor, "" when there is none."""
    text = CODE.sub(lambda match: "" if "](" in match[0] else match[0], unfenced(path))
    for number, line in enumerate(text.splitlines(), start=1):
        for target in LINK.findall(line):
            if ":" not in target:
                file, _, fragment = target.partition("#")
                yield number, (path.parent / file).resolve() if file else path, fragment


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings; a heading that stands again gets a number, as on GitHub."""
    found: set[str] = set()
    for heading in HEADING.findall(unfenced(path)):
        name, number = anchor(heading), 0
        while (numbered := f"{name}-{number}" if number else name) in found:
            number += 1
        found.add(numbered)
    return found


def test_the_index_links_every_page() -> None:
    """`docs/README.md` itself links every other page below `docs/`."""
    linked = {file for _, file, _ in links(INDEX)}
    missing = [
        str(path.relative_to(ROOT))
        for path in markdown_pages()
        if path.is_relative_to(DOCS) and path != INDEX and path not in linked
    ]
    assert not missing, f"link them in docs/README.md:{listing(missing)}"


def test_every_link_leads_somewhere() -> None:
    """Every relative link of every page names a file that exists, and a heading that page has."""
    offences = [
        f"{place(path, line)}: {file.name}#{fragment}"
        for path in markdown_pages()
        for line, file, fragment in links(path)
        if not file.exists() or (fragment and file.suffix == ".md" and fragment not in anchors(file))
    ]
    assert not offences, listing(offences)
