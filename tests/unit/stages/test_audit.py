"""No entry of the ledger can be changed, dropped, inserted or moved unseen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbookd.model.audit import Entry, LedgerEntry, LedgerRow, Stage
from runbookd.stages.audit import GENESIS, Walk, broken_links, chain_hash, line_of, merged, row_of, seal

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


def entry(number: int) -> Entry:
    """Something that happened."""
    return Entry(
        at=NOW + timedelta(seconds=number),
        stage=Stage.EXECUTE,
        what="step_succeeded",
        delivery_id="d",
        event_id="e",
        incident_id="i",
        run_id=f"run-{number}",
        detail={"took": timedelta(seconds=number), "text": "ü\ud800"},
    )


def chained(entries: Sequence[Entry]) -> list[LedgerEntry]:
    """A chain of these entries."""
    previous, chain = GENESIS, []
    for number, one in enumerate(entries, 1):
        chain.append(seal(one, chain="main", seq=number, previous=previous))
        previous = chain[-1].hash
    return chain


CHAIN = chained([entry(number) for number in range(5)])


def test_a_chain_as_it_was_written_is_whole() -> None:
    """Nothing is found in an untouched chain, from its beginning or from any entry on."""
    assert list(broken_links(CHAIN)) == []
    assert list(broken_links([])) == []
    assert list(broken_links(CHAIN[2:], previous=CHAIN[1].hash, seq=2)) == []


def test_an_entry_is_hashed_in_one_canonical_form() -> None:
    """The text is canonical JSON of everything the entry says and where it stands; the hash covers the one before."""
    one = CHAIN[1]
    assert json.loads(one.text)["detail"] == {"took": {"$duration": 1}, "text": "ü\ud800"}
    assert {"chain", "seq", "at", "what", "run", "actor"} < set(json.loads(one.text))
    assert one.previous == CHAIN[0].hash
    assert one.hash == chain_hash(CHAIN[0].hash, one.text)
    assert len(one.hash) == 64


@given(index=st.integers(0, 4), name=st.sampled_from(["text", "hash", "previous"]), data=st.data())
def test_any_flipped_character_is_found(index: int, name: str, data: st.DataObject) -> None:
    """One other character anywhere in text or hashes of any entry is seen."""
    old: str = getattr(CHAIN[index], name)
    at = data.draw(st.integers(0, len(old) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda character: character != old[at]))
    changed: Any = {name: old[:at] + other + old[at + 1 :]}
    assert list(broken_links([*CHAIN[:index], replace(CHAIN[index], **changed), *CHAIN[index + 1 :]]))


OTHER: dict[str, Any] = {"at": NOW, "stage": Stage.PLAN, "detail": {"took": timedelta(seconds=9)}}


@pytest.mark.parametrize("name", [field.name for field in fields(Entry)])
def test_any_changed_column_is_found(name: str) -> None:
    """Columns that differ from the text that was hashed are seen, although text and hash are untouched."""
    forged = replace(CHAIN[3], entry=replace(CHAIN[3].entry, **{name: OTHER.get(name, "other")}))
    assert list(broken_links([*CHAIN[:3], forged, *CHAIN[4:]])) == [
        "entry 4: its columns differ from the text that was hashed"
    ]


@pytest.mark.parametrize("change", [{"chain": "other"}, {"seq": 9}])
def test_an_entry_cannot_be_moved_to_another_place(change: dict[str, Any]) -> None:
    """Chain and number are part of what is hashed."""
    assert list(broken_links([*CHAIN[:3], replace(CHAIN[3], **change), *CHAIN[4:]]))


@pytest.mark.parametrize("index", range(4))
def test_a_dropped_entry_is_found(index: int) -> None:
    """Any entry but the last leaves a gap; the last is held by checkpoints kept elsewhere."""
    assert list(broken_links([*CHAIN[:index], *CHAIN[index + 1 :]]))


@pytest.mark.parametrize("index", range(4))
def test_reordered_entries_are_found(index: int) -> None:
    """Two neighbours that changed places are seen, even when they were numbered anew."""
    swapped = [*CHAIN[:index], CHAIN[index + 1], CHAIN[index], *CHAIN[index + 2 :]]
    assert list(broken_links(swapped))
    assert list(broken_links([replace(one, seq=number) for number, one in enumerate(swapped, 1)]))


def test_an_inserted_entry_is_found() -> None:
    """An entry sealed after the fact does not fit between two others."""
    forged = seal(entry(99), chain="main", seq=3, previous=CHAIN[1].hash)
    problems = list(broken_links([*CHAIN[:2], forged, *CHAIN[2:]]))
    assert "entry 3: does not follow the entry before it" in problems
    assert "entry 3: expected number 4; entries were dropped, inserted or re-ordered" in problems


def test_rows_known_to_be_sound_are_held_to_their_place() -> None:
    """Of rows that were checked elsewhere only the first is looked at: whether it follows from what was passed."""
    rows = [row_of(line_of(_row(one))) for one in chained([entry(n) for n in range(6)])]
    walk = Walk("main", {5: rows[4].hash})
    assert walk.fault(rows[:2]) is None
    assert "expected number 3" in str(walk.fault(rows[3:], sound=True))
    assert walk.fault(rows[2:], sound=True) is None
    assert (walk.seq, walk.hash, walk.count, walk.wanted) == (6, rows[5].hash, 6, {})
    other = Walk("main", {5: GENESIS})
    assert "is not the one that was signed or noted" in str(other.fault(rows, sound=True))


def _row(one: LedgerEntry) -> LedgerRow:
    ids = (one.entry.delivery_id, one.entry.event_id, one.entry.incident_id, one.entry.run_id)
    return LedgerRow(
        one.chain, one.seq, one.text, one.previous, one.hash, one.entry.stage.value, one.entry.what, *ids
    )


def test_chains_are_merged_by_time_each_in_its_own_order() -> None:
    """Entries of several chains come by time; one that tells of an earlier time stays behind the one before it."""

    def placed(chain: str, *seconds: int) -> list[LedgerEntry]:
        return [
            seal(entry(second), chain=chain, seq=seq, previous=GENESIS)
            for seq, second in enumerate(seconds, 1)
        ]

    both = [*placed("a", 1, 5, 3, 9), *placed("b", 2, 4, 6)]
    order = [(one.chain, one.seq) for one in merged(reversed(both))]
    assert order == [("a", 1), ("b", 1), ("b", 2), ("a", 2), ("a", 3), ("b", 3), ("a", 4)]
    assert merged([]) == []
