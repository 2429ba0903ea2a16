"""A signed statement says what was signed, by whom, and nothing that was changed since."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from runbookd.errors import SettingsError
from runbookd.model.audit import Entry, LedgerRow, Stage
from runbookd.stages.audit import GENESIS, Walk, broken_rows, chain_hash, line_of, row_of, seal
from runbookd.stages.checkpoint import (
    Signer,
    is_statement,
    key_id,
    new_key,
    public_key_of,
    public_pem,
    read_statement,
    signer_of,
)

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
SIGNER = signer_of(new_key())
KEYS = {SIGNER.id: SIGNER.public}
EVERY_ID = {"delivery_id": "d", "event_id": "e", "incident_id": "i", "run_id": "r"}


def rows(count: int, **about: str) -> list[LedgerRow]:
    """A chain as it stands in a database."""
    made: list[LedgerRow] = []
    for seq in range(1, count + 1):
        one = Entry(at=NOW, stage=Stage.PLAN, what="go", detail={"half": "\ud800", "n": seq}, **about)
        previous = made[-1].hash if made else GENESIS
        sealed = seal(one, chain="main", seq=seq, previous=previous)
        ids = (one.delivery_id, one.event_id, one.incident_id, one.run_id)
        made.append(LedgerRow("main", seq, sealed.text, previous, sealed.hash, "plan", "go", *ids))
    return made


def test_a_checkpoint_says_what_was_signed() -> None:
    """Chain, number, hash and time come back; it is about one entry alone."""
    statement = read_statement(SIGNER.checkpoint("main", 7, "ab", NOW), KEYS)
    assert (statement.chain, statement.seq, statement.hash) == ("main", 7, "ab")
    assert (statement.at, statement.key) == (NOW.isoformat(), SIGNER.id)
    assert not statement.is_seal


def test_a_seal_says_which_entries_it_is_of() -> None:
    """The first entry, what stands before it, and the last."""
    chain = rows(3)
    statement = read_statement(SIGNER.seal(chain[1], chain[2], NOW), KEYS)
    assert statement.is_seal
    assert (statement.first, statement.previous, statement.seq) == (2, chain[0].hash, 3)


@pytest.mark.parametrize("name", ["at", "chain", "hash", "is", "key", "seq", "signature"])
def test_a_changed_statement_is_refused(name: str) -> None:
    """Whatever is changed in a signed line, the signature is not of it."""
    fields = json.loads(SIGNER.checkpoint("main", 7, "ab", NOW))
    fields[name] = 8 if name == "seq" else fields[name][::-1]
    with pytest.raises(ValueError, match=r"signature|signed"):
        read_statement(json.dumps(fields), KEYS)


@pytest.mark.parametrize("line", ["", "{", "[]", "{}", '{"signature": "x"}', '{"signature": "", "seq": "x"}'])
def test_what_is_no_statement_is_refused(line: str) -> None:
    """A line that is none is told so."""
    with pytest.raises(ValueError, match="not a signed statement"):
        read_statement(line, KEYS)


def test_who_signed_must_be_known() -> None:
    """A line of another key is refused by its name; without keys nothing is checked."""
    stranger = signer_of(new_key())
    line = stranger.checkpoint("main", 1, "ab", NOW)
    with pytest.raises(ValueError, match=f"signed by the key {stranger.id}"):
        read_statement(line, KEYS)
    assert read_statement(line, None).key == stranger.id


def test_keys_are_pem() -> None:
    """A key comes back as it was written, by the same short name; the private half is in no public text."""
    assert key_id(public_key_of(public_pem(SIGNER.public).encode())) == SIGNER.id
    assert "PRIVATE" not in public_pem(SIGNER.public)
    for wrong in (b"", b"junk", public_pem(SIGNER.public).encode()):
        with pytest.raises(SettingsError, match="not a private Ed25519 key"):
            signer_of(wrong)
    for wrong in (b"junk", new_key()):
        with pytest.raises(SettingsError, match="not a public Ed25519 key"):
            public_key_of(wrong)


def test_signing_again_gives_the_same_line() -> None:
    """Ed25519 needs no chance: the same statement has one signature."""
    again = Signer(SIGNER._key)  # noqa: SLF001 - the same key, held twice
    assert again.checkpoint("main", 7, "ab", NOW) == SIGNER.checkpoint("main", 7, "ab", NOW)


@pytest.mark.parametrize("about", [{}, EVERY_ID, {"run_id": "r"}, {"run_id": 'quo"te', "incident_id": "ü"}])
def test_rows_as_they_were_written_are_whole(about: dict[str, str]) -> None:
    """No fault in an untouched chain, whatever ids it has; outside the database it reads the same."""
    chain = rows(3, **about)
    assert list(broken_rows(chain)) == []
    assert [row_of(line_of(row)) for row in chain] == chain
    assert not any(is_statement(line_of(row)) for row in chain)
    assert is_statement(SIGNER.checkpoint("main", 7, "ab", NOW).encode())


@pytest.mark.parametrize("about", [{}, EVERY_ID])
@pytest.mark.parametrize("column", LedgerRow._fields)
@pytest.mark.parametrize("value", ["", "x", '"', None])
def test_any_changed_column_is_found(about: dict[str, str], column: str, value: str | None) -> None:
    """Each column of a row, set to something else or to nothing, is a fault."""
    chain = rows(3, **about)
    if getattr(chain[1], column) == value:
        return
    other = {column: 9 if column == "seq" else "[]" if value is None and column == "text" else value}
    chain[1] = chain[1]._replace(**other)  # type: ignore[arg-type]
    assert list(broken_rows(chain))


def test_a_text_that_was_never_json_is_a_fault_of_its_columns() -> None:
    """A row whose hash fits a text that says nothing is found by its columns."""
    one = rows(1)[0]
    for text in ("[]", "{", "1"):
        walk = Walk("main")
        made = walk.fault([one._replace(text=text)])
        assert made is not None
        forged = one._replace(text=text, hash=chain_hash(GENESIS, text))
        assert walk.fault([forged]) == "entry 1: its columns differ from the text that was hashed"


@pytest.mark.parametrize("line", [b"", b"[]", b"{}", b'{"chain": "main", "seq": "x"}', b'{"seq": 1}'])
def test_a_line_of_no_ledger_is_refused(line: bytes) -> None:
    """A line that is no entry is told so; one whose text was spoilt is an entry no check takes."""
    with pytest.raises(ValueError, match=r"."):
        row_of(line)
    spoilt = row_of(line_of(rows(1)[0]._replace(text="spoilt")))
    assert list(broken_rows([spoilt]))


def test_a_walk_meets_what_it_must_hold() -> None:
    """Entries that were signed are met on the way, others are a fault, and what lies ahead is still wanted."""
    chain = rows(5)
    walk = Walk("main", {2: chain[1].hash, 4: chain[3].hash, 9: "ab"})
    assert walk.fault([]) is None
    assert walk.fault(chain[:3]) is None
    assert walk.fault(chain[3:]) is None
    assert (walk.seq, walk.count, walk.wanted) == (5, 5, {9: "ab"})
    fault = Walk("main", {2: "ab"}).fault(chain)
    assert fault == "entry 2: is not the one that was signed or noted; the chain was written anew"


def test_a_walk_may_begin_in_the_middle() -> None:
    """After an entry somebody vouches for, the rest follows."""
    chain = rows(5)
    walk = Walk("main")
    walk.begin(3, chain[2].hash)
    assert walk.fault(chain[3:]) is None
    assert walk.count == 2
