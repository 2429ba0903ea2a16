"""The nine words of the path of one event are the same wherever they stand."""

from __future__ import annotations

from runbookd.model.audit import Stage
from tests.architecture.tree import PACKAGE

WORDS = ("receive", "normalize", "admit", "match", "plan", "execute", "verify", "escalate", "audit")


def test_each_word_is_a_stage_file() -> None:
    """Each of the nine words is a file in stages/."""
    missing = [word for word in WORDS if not (PACKAGE / "stages" / f"{word}.py").is_file()]
    assert not missing, f"no file in stages/ for: {', '.join(missing)}"


def test_the_log_field_and_ledger_kind_are_the_words() -> None:
    """`Stage`, which names log fields, metric labels and ledger kinds, begins with the nine words in order."""
    assert tuple(stage.value for stage in Stage)[: len(WORDS)] == WORDS
