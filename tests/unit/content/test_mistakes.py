"""Every mistake is told once, where it stands, in words that say what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbookd.content.load import examine
from tests.unit.content.catalogue import FakeCatalogue
from tests.unit.content.mistakes import MEANINGS, SHAPES, YAML

BASE = Path(__file__).parent / "base"
MARK = "‸"


def place_of_mark(text: str) -> tuple[int, int]:
    """Line and column of the mark, from 1."""
    before = text[: text.index(MARK)]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def check_one(folder: Path, text: str, fragment: str) -> None:
    """Expect exactly one problem, at the mark."""
    line, column = place_of_mark(text)
    file = folder / "it.yaml"
    file.write_text(text.replace(MARK, ""), encoding="utf-8")
    report = examine([BASE / "rules", folder], BASE / "playbooks", FakeCatalogue())
    found = [str(problem) for problem in report.problems]
    assert len(found) == 1, "\n".join(found)
    assert found[0].startswith(f"{file}:{line}:{column}: ")
    assert fragment in found[0]
    assert "pydantic" not in found[0]
    assert report.library is None


@pytest.mark.parametrize("name", YAML)
def test_yaml_mistakes(name: str, tmp_path: Path) -> None:
    """A file that is not YAML, or more than we take, is refused at the character."""
    check_one(tmp_path, *YAML[name])


@pytest.mark.parametrize("name", SHAPES)
def test_shape_mistakes(name: str, tmp_path: Path) -> None:
    """A key or value that cannot stand where it does is told at that key or value."""
    check_one(tmp_path, *SHAPES[name])


@pytest.mark.parametrize("name", MEANINGS)
def test_meaning_mistakes(name: str, tmp_path: Path) -> None:
    """A name that does not exist, or an expression that cannot work, is told at load, inside the text."""
    check_one(tmp_path, *MEANINGS[name])


def test_the_table_is_long() -> None:
    """The table does not shrink unseen."""
    assert len(YAML) + len(SHAPES) + len(MEANINGS) >= 150
