"""Ids sort by the time they were made and never repeat."""

from __future__ import annotations

import re

from runbookd.runtime.ids import Ulids


def test_ids_sort_as_they_were_made_and_never_repeat() -> None:
    """Ten thousand in one breath are in order and all different."""
    ids = Ulids()
    made = [ids.new("evt") for _ in range(10_000)]
    assert made == sorted(set(made))
    assert all(re.fullmatch(r"evt-[0-7][0-9a-hjkmnp-tv-z]{25}", one) for one in made)
