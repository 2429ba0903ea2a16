"""Nothing unfinished, and nothing that holds on one machine only, is in any file."""

from __future__ import annotations

import re
from pathlib import Path

from tests.architecture.tree import listing, place, texts

UNFINISHED = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")
# Where a checkout lies, or a package came from, is the reader's affair.
MACHINE = re.compile(
    r"(?<![\w.}-])/(?:work|root|home/\w+|opt/(?:pypi|wheels)|tmp/(?:bash_jobs|brief))/"
    r"|\b(?:pypi\.org|pythonhosted\.org|registry\.npmjs\.org|deb\.debian\.org)\b",
)
# The first holds the words themselves; the second is not ours to edit.
EXEMPT = {Path(__file__).name, "LICENSE"}


def offences(pattern: re.Pattern[str]) -> list[str]:
    """Every line of a text file that the pattern finds; minified scripts are others' work."""
    return [
        f"{place(path, number)}: {line.strip()[:120]}"
        for path, text in texts()
        if path.name not in EXEMPT and not path.name.endswith(".min.js")
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]


def test_nothing_is_left_to_do() -> None:
    """No file holds a note about work left undone."""
    found = offences(UNFINISHED)
    assert not found, listing(found)


def test_no_file_knows_one_machine() -> None:
    """No file names a path of one machine or the host of a package registry."""
    found = offences(MACHINE)
    assert not found, listing(found)
