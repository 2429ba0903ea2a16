"""Misspelled words get a suggestion."""

from __future__ import annotations

import pytest

from runbookd.language.fuzzy import did_you_mean


@pytest.mark.parametrize(
    ("word", "answer"),
    [("wen", " Did you mean 'when'?"), ("WHEN", " Did you mean 'when'?"), ("zzz", ""), ("", "")],
)
def test_the_closest_known_word_is_suggested(word: str, answer: str) -> None:
    """A word close to a known one, in whatever case, brings a suggestion; a far one brings none."""
    assert did_you_mean(word, ["match", "when", "run"]) == answer


def test_nothing_known_suggests_nothing() -> None:
    """Without known words there is no suggestion."""
    assert did_you_mean("when", []) == ""
