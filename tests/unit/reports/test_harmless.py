"""Texts on their way out of the house: on one line, bounded, and without mail addresses."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbookd.reports.harmless import HIDDEN, LONGEST, harmless


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("550 no such user <anna.b+x@mail.example.com>", f"550 no such user <{HIDDEN}>"),
        ("mailto:Anna@Example.COM, o'neil@example.org.", f"mailto:{HIDDEN}, {HIDDEN}."),
        ("müller@exämple.de", HIDDEN),
        ("registry.example.com/app@sha256:0123", "registry.example.com/app@sha256:0123"),
        ("@anna and a @ b.c", "@anna and a @ b.c"),
        ("root@localhost", HIDDEN),
        ("two\nlines\x00 and \u202eback \ud83d", "two lines and back \ufffd"),
        ("x" * 600, "x" * (LONGEST - 1) + "…"),
    ],
)
def test_a_text_is_made_harmless(text: str, told: str) -> None:
    """Addresses are hidden, those known from elsewhere too; images by their hash are none."""
    assert harmless(text, ["root@localhost", ""]) == told


@dataclass(frozen=True)
class Box:
    """Something with texts in it."""

    text: str
    inner: tuple[object, ...] = ()
    number: int = 0


def test_every_text_in_a_tree_is_made_harmless() -> None:
    """However deep it lies; what is no text stays as it is."""
    box = Box("a@b.c", (Box("d@e.f", number=3), "g@h.i", None, 1.5), number=2)
    assert harmless(box) == Box(HIDDEN, (Box(HIDDEN, number=3), HIDDEN, None, 1.5), number=2)


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=40), st.text(max_size=40))
def test_no_address_is_told(before: str, after: str) -> None:
    """Whatever stands around it."""
    told = harmless(f"{before} anna@example.com {after}")
    assert "anna@example.com" not in told
    assert "\n" not in told


def test_a_text_without_an_end_takes_no_time() -> None:
    """A megabyte of what could begin an address is cut before it is looked at."""
    assert len(harmless("a." * 500_000)) == LONGEST
    assert len(harmless("a@" * 500_000)) == LONGEST
