"""G11: the ledger cannot be edited unseen. The intruder has the file, and every right but the private key."""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from runbookd.cli.main import cli
from runbookd.errors import NotFound
from runbookd.model.audit import Entry, LedgerRow, Stage
from runbookd.model.retention import Ages, Kept
from runbookd.runtime.checkpoint_keepers import FileKeeper
from runbookd.runtime.checkpoints import Checkpoints
from runbookd.runtime.metrics import Metrics
from runbookd.runtime.retention import Archiving, Pruner
from runbookd.stages.audit import GENESIS, chain_hash, row_of, seal
from runbookd.stages.checkpoint import Signer, new_key, public_pem, read_statement, signer_of
from runbookd.store.folder import Folder
from runbookd.store.sqlite import open_sqlite
from tests.acceptance.engine import NOON, SetClock
from tests.service import service

COLUMNS = ", ".join(LedgerRow._fields)
RULES = 'priorities: {P1: {name: High}}\nrules: [{name: x, match: [alertname="X"], priority: P1}]\n'
PLAYBOOK = "playbook: note\nsteps:\n  - {action: flow.log, with: {message: x}}\n"
TRIGGERS = (
    "ledger_never_changes",
    "ledger_never_forgets",
    "ledger_only_grows",
    "ledger_anchors_hold",
    "ledger_anchors_never_change",
)


@dataclass
class Place:
    """A ledger whose checkpoints are kept elsewhere, and the intruder's connection to it."""

    folder: Path
    signer: Signer
    file: sqlite3.Connection

    @property
    def checkpoints(self) -> Path:
        """The signed ends."""
        return self.folder / "checkpoints.jsonl"

    @property
    def archives(self) -> Path:
        """Where what was pruned is."""
        return self.folder / "archives"

    def verify(self, *extra: str) -> int:
        """Check the database as an auditor does who has the checkpoints and the public key; the exit code."""
        shared = ("--database", str(self.folder / "store.db"))
        against = ("--checkpoints", str(self.checkpoints), "--public-key", str(self.folder / "key.pub"))
        code: Any = cli.main([*shared, "audit", "verify", *against, *extra], standalone_mode=False)
        return int(code or 0)

    def rows(self) -> list[LedgerRow]:
        """The ledger as it stands."""
        found = self.file.execute(f"SELECT {COLUMNS} FROM ledger ORDER BY seq")  # noqa: S608 - our own columns
        return list(map(LedgerRow._make, found))

    def put(self, rows: list[LedgerRow]) -> None:
        """Make these the ledger."""
        self.file.execute("DELETE FROM ledger")
        holders = ", ".join("?" * len(LedgerRow._fields))
        self.file.executemany(f"INSERT INTO ledger ({COLUMNS}) VALUES ({holders})", rows)  # noqa: S608 - as above


def entries(count: int) -> list[Entry]:
    """What happened; some of it about things that have ids, some not."""
    ids: dict[str, Any] = {"delivery_id": "d1", "event_id": "e1", "incident_id": "i1", "run_id": "r1"}
    return [
        Entry(
            at=NOON + timedelta(seconds=n),
            stage=Stage.EXECUTE,
            what="step_succeeded",
            detail={"to": n},
            **(ids if n % 2 else {}),
        )
        for n in range(count)
    ]


async def made(folder: Path, *, pruned: bool = False) -> Signer:
    """Write five entries and sign them; with `pruned`, archive three of them first."""
    signer = signer_of(new_key())
    clock = SetClock()
    store = await open_sqlite(folder / "store.db")
    await store.write(lambda tx: tx.ledger.append(entries(3)))
    keepers = [FileKeeper(folder / "checkpoints.jsonl", signer)]
    checkpoints = Checkpoints(store, clock, signer, keepers, Metrics(CollectorRegistry()))
    await checkpoints.sign()
    if pruned:
        clock.at += timedelta(days=2)
        await store.write(lambda tx: tx.ledger.append([Entry(at=clock.at, stage=Stage.PLAN, what="go")]))
        ages = Ages(rows=dict.fromkeys(Kept), ledger=timedelta(days=1))
        pruner = Pruner(store, clock, ages, Archiving(place=Folder(folder / "archives"), signer=signer))
        work = await pruner.take("test/1")
        assert work is not None
        assert (await pruner.prune(work))["ledger"] == 3
    else:
        await store.write(lambda tx: tx.ledger.append(entries(2)))
    await checkpoints.sign()
    await store.close()
    (folder / "key.pub").write_text(public_pem(signer.public))
    return signer


def opened(folder: Path, signer: Signer) -> Iterator[Place]:
    """Open the file as an intruder does: with the triggers off."""
    with closing(sqlite3.connect(folder / "store.db", isolation_level=None)) as file:
        file.execute("PRAGMA synchronous = OFF")
        for trigger in TRIGGERS:
            file.execute(f"DROP TRIGGER {trigger}")
        yield Place(folder, signer, file)


@pytest.fixture
async def signed(tmp_path: Path) -> Signer:
    """The key that signed the five entries in the test's folder."""
    return await made(tmp_path)


@pytest.fixture
def place(tmp_path: Path, signed: Signer) -> Iterator[Place]:
    """Five entries, signed after the third and the fifth."""
    yield from opened(tmp_path, signed)


@pytest.fixture
async def pruned_by(tmp_path: Path) -> Signer:
    """The key that sealed an archive in the test's folder."""
    return await made(tmp_path, pruned=True)


@pytest.fixture
def pruned(tmp_path: Path, pruned_by: Signer) -> Iterator[Place]:
    """A chain whose first three entries are in an archive."""
    yield from opened(tmp_path, pruned_by)


def test_an_untouched_ledger_is_whole(place: Place) -> None:
    """Nothing is found where nothing was done."""
    assert place.verify() == 0


@pytest.mark.parametrize("column", LedgerRow._fields)
def test_any_flipped_byte_is_found(place: Place, column: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Any byte of any column of an entry, whether it is text still or not; and a value in the place of none."""
    whole = place.rows()
    for row in (whole[1], whole[2], whole[4]):
        value = getattr(row, column)
        where = f"UPDATE ledger SET {column} = %s WHERE chain = ? AND seq = ?"  # noqa: S608 - our own columns
        for flipped, sql in _flips(value):
            try:
                place.file.execute(where % sql, (flipped, row.chain, row.seq))
            except sqlite3.IntegrityError:  # two entries of one number: the database itself refuses
                continue
            assert place.verify() == 1, (column, row.seq, flipped)
            place.put(whole)
    assert place.verify() == 0
    capsys.readouterr()


def _flips(value: object) -> Iterator[tuple[object, str]]:
    """Other values for one: a bit of a number or of each byte flipped, or none at all."""
    if isinstance(value, int):
        yield from ((value ^ 1 << bit, "?") for bit in (0, 1, 2, 40))
    elif isinstance(value, str):
        raw = value.encode()
        for at in range(len(raw)):
            for bit in (1, 0x80) if at % 8 == 0 else (1,):  # the second is no UTF-8 any more
                yield raw[:at] + bytes([raw[at] ^ bit]) + raw[at + 1 :], "CAST(? AS TEXT)"
        yield "", "?"
    else:
        yield "x", "?"


EDITS: dict[str, Callable[[list[LedgerRow]], list[LedgerRow]]] = {
    "first dropped": lambda rows: rows[1:],
    "middle dropped": lambda rows: rows[:2] + rows[3:],
    "middle dropped and numbered anew": lambda rows: (
        rows[:2] + [row._replace(seq=row.seq - 1) for row in rows[3:]]
    ),
    "re-ordered": lambda rows: [rows[0], rows[2]._replace(seq=2), rows[1]._replace(seq=3), *rows[3:]],
    "one twice": lambda rows: [*rows, rows[4]._replace(seq=6)],
    "inserted": lambda rows: [
        *rows[:2],
        rows[1]._replace(seq=3),
        *[row._replace(seq=row.seq + 1) for row in rows[2:]],
    ],
    "put in before the first": lambda rows: [rows[0]._replace(seq=0), *rows],
    "put in long before the first": lambda rows: [rows[0]._replace(seq=-40), *rows],
    "tail cut": lambda rows: rows[:-1],
    "tail cut to an older checkpoint": lambda rows: rows[:3],
    "all gone": lambda _: [],
    "another chain": lambda rows: [row._replace(chain="other") for row in rows],
    "written anew": lambda rows: anew(rows, 0),
    "written anew from the middle": lambda rows: rows[:3] + anew(rows, 3),
    "written anew, and longer": lambda rows: anew([*rows, *rows], 0),
}


def anew(rows: list[LedgerRow], begin: int) -> list[LedgerRow]:
    """The chain from an entry on, as an intruder would have it: with other details and hashes that fit."""
    made_up: list[LedgerRow] = []
    previous = rows[begin - 1].hash if begin else GENESIS
    for seq, row in enumerate(rows[begin:], start=begin + 1):
        text = json.dumps(json.loads(row.text) | {"seq": seq, "detail": {"to": 99}}, separators=(",", ":"))
        made_up.append(row._replace(seq=seq, text=text, previous=previous, hash=chain_hash(previous, text)))
        previous = made_up[-1].hash
    return made_up


@pytest.mark.parametrize("edit", EDITS)
def test_any_edit_of_the_chain_is_found(place: Place, edit: str) -> None:
    """Dropped, inserted, moved, cut off or written anew with hashes that fit: each is found."""
    place.put(EDITS[edit](place.rows()))
    assert place.verify() == 1


def test_only_the_key_makes_it_look_right(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """A chain written anew with checkpoints of another key is found by the key; without checkpoints it is not."""
    forged = anew(place.rows(), 0)
    place.put(forged)
    stranger = signer_of(new_key())
    place.checkpoints.write_text(stranger.checkpoint("main", 5, forged[4].hash, NOON) + "\n")
    capsys.readouterr()
    assert place.verify() == 1
    assert f"signed by the key {stranger.id}, which was not given" in capsys.readouterr().out
    place.checkpoints.write_text("")
    with pytest.raises(NotFound, match=r"there is no checkpoint in .*checkpoints\.jsonl; is that the file"):
        place.verify()
    shared = ("--database", str(place.folder / "store.db"))
    assert not cli.main([*shared, "audit", "verify"], standalone_mode=False)


def test_a_sealed_entry_does_not_fit_elsewhere(place: Place) -> None:
    """A well-formed entry put in by the service's own function is found by its place."""
    rows = place.rows()
    extra = seal(entries(1)[0], chain="main", seq=6, previous=rows[2].hash)
    place.put(
        [
            *rows,
            LedgerRow(
                "main", 6, extra.text, rows[2].hash, extra.hash, "execute", "step_succeeded", *[None] * 4
            ),
        ]
    )
    assert place.verify() == 1


def test_a_pruned_ledger_is_whole(pruned: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """With the archives the chain is followed from its first entry, without them from its sealed anchor."""
    assert pruned.rows()[0].seq == 4
    capsys.readouterr()
    assert pruned.verify("--archives", str(pruned.archives)) == 0
    assert "checked 6 entries" in capsys.readouterr().out
    assert pruned.verify() == 0
    assert "chain main begins after entry 3, by a signed seal" in capsys.readouterr().out


@pytest.mark.parametrize("archives", [False, True])
def test_what_was_pruned_cannot_be_put_in_again(
    pruned: Place, capsys: pytest.CaptureFixture[str], *, archives: bool
) -> None:
    """A forged entry where others were archived is found, with the archives and without."""
    against = ("--archives", str(pruned.archives)) if archives else ()
    whole = pruned.rows()
    for seq in (-1, 0, 1, 2, 3):
        pruned.put([anew(whole[:1], 0)[0]._replace(seq=seq), *whole])
        capsys.readouterr()
        assert pruned.verify(*against) == 1
        assert f"chain main, entry {seq}: was put in" in capsys.readouterr().out
    pruned.put(whole)
    assert pruned.verify(*against) == 0


def test_what_waits_to_be_deleted_is_no_forgery(pruned: Place) -> None:
    """Entries that are archived and still there, since the process that forgets them died, are the chain's own."""
    (file,) = pruned.archives.iterdir()
    rows = [row_of(line) for line in gzip.decompress(file.read_bytes()).splitlines()[:-1]]
    left = pruned.rows()
    for kept in (rows, rows[1:], rows[2:]):
        pruned.put([*kept, *left])
        assert pruned.verify() == 0
    pruned.put([rows[0], rows[2], *left])
    assert pruned.verify() == 1


def test_nobody_can_prune_but_the_key(pruned: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Entries deleted behind an anchor of the intruder's own making are missed."""
    rows = pruned.rows()
    stranger = signer_of(new_key())
    own = pruned.file.execute("SELECT seal FROM ledger_anchors").fetchone()[0]
    for seal_ in (
        stranger.seal(rows[0], rows[1], NOON),
        own,
        "junk",
        stranger.checkpoint("main", 5, rows[1].hash, NOON),
    ):
        pruned.file.execute("UPDATE ledger_anchors SET seq = 5, hash = ?, seal = ?", (rows[1].hash, seal_))
        pruned.file.execute("DELETE FROM ledger WHERE seq <= 5")
        assert pruned.verify() == 1
        assert "by an anchor whose seal" in capsys.readouterr().out


@pytest.mark.parametrize("spoil", ["gone", "cut", "other"])
def test_a_spoilt_archive_is_found(pruned: Place, spoil: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An archive that is gone, damaged, or not the one that was sealed is told."""
    (file,) = pruned.archives.iterdir()
    whole = file.read_bytes()
    if spoil == "gone":
        file.unlink()
    else:
        file.write_bytes(whole[:-9] if spoil == "cut" else whole[:30] + b"\xff" + whole[31:])
    assert pruned.verify("--archives", str(pruned.archives)) == 1
    assert "archive" in capsys.readouterr().out


async def test_a_service_signs_where_it_stopped(tmp_path: Path) -> None:
    """What a service leaves behind at its end is signed, in the file the settings name."""
    (tmp_path / "key").write_bytes(new_key())
    file = tmp_path / "checkpoints.jsonl"
    settings = {"ledger": {"key_file": str(tmp_path / "key"), "checkpoints_file": str(file)}}
    async with service(rules=RULES, playbooks=PLAYBOOK, settings=settings) as it:
        assert await it.stop() == 0
        (line,) = file.read_text().splitlines()
        signed = read_statement(line, None)
        (last,) = it.rows("SELECT max(seq) AS seq, hash FROM ledger")
        assert (signed.seq, signed.hash) == (last["seq"], last["hash"])
        assert line in it.log.replace("\\", "")
