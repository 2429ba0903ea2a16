"""`backup`, `restore`, `prune` and `audit key`: what is kept, where, and for how long."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from runbookd.model.retention import Kept
from runbookd.stages.checkpoint import new_key
from tests.integration.cli.conftest import Runbookd, alert

Tell = Callable[..., Awaitable[None]]


def configured(runbookd: Runbookd, **variables: str) -> Runbookd:
    """The same script with settings in its environment."""
    return runbookd.having({f"RUNBOOKD_{name.upper()}": value for name, value in variables.items()})


def edit(database: Path, sql: str) -> None:
    """Change the file behind the store's back."""
    with closing(sqlite3.connect(database, isolation_level=None)) as file:
        file.execute(sql)


async def test_a_backup_is_restored(runbookd: Runbookd, told: Tell) -> None:
    """The copy is private and verifies; put back, it goes on from its moment, and what was there is kept aside."""
    await told(alert("DiskFull", host="db-1", severity="critical"))
    runbookd("backup", "copy.db")
    copy = runbookd.folder / "copy.db"
    assert copy.stat().st_mode & 0o777 == 0o600
    assert "the ledger is whole" in runbookd("audit", "verify", "--database", "copy.db").stdout
    assert "is there already" in runbookd("backup", "copy.db", code=4).stderr
    before = runbookd.json("incidents")
    await told(alert("DiskFull", host="db-2", severity="critical"))
    refused = runbookd("restore", "copy.db", code=4).stderr
    assert "is newer than the backup: its ledger (main) ends with entry" in refused
    assert len(runbookd.json("incidents")) == 2
    done = runbookd("restore", "copy.db", "--older").stdout
    assert "what was there is runbookd.db.before-" in done
    assert runbookd.json("incidents") == before
    assert runbookd.json("audit", "verify")["ok"] is True
    assert runbookd.json("audit", "show", "--what", "restored")[0]["detail"] == {"file": "copy.db"}
    (aside,) = runbookd.folder.glob("runbookd.db.before-*")
    assert len(runbookd.json("incidents", "--database", str(aside))) == 2
    names = {path.name for path in runbookd.folder.iterdir() if path.name.startswith(".")}
    assert not names


async def test_a_backup_is_restored_where_nothing_is(runbookd: Runbookd, told: Tell) -> None:
    """On a new machine there is nothing to keep aside; a damaged database in place is no reason to refuse."""
    await told(alert("DiskFull", host="db-1", severity="critical"))
    runbookd("backup", "copy.db")
    runbookd.database.unlink()
    assert "what was there" not in runbookd("restore", "copy.db").stdout
    runbookd.database.write_bytes(b"junk" * 5000)
    assert "what was there" in runbookd("restore", "copy.db").stdout
    assert runbookd.json("audit", "verify")["ok"] is True


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ("junk", "not a SQLite database"),
        ("UPDATE migrations SET version = 999 WHERE version = 1", "newer runbookd"),
        ("PRAGMA application_id = 7", "is not a database of runbookd"),
        ("cut", "copy.db"),
    ],
)
async def test_a_bad_backup_is_refused(runbookd: Runbookd, told: Tell, spoil: str, message: str) -> None:
    """A file that is none, not ours, newer or damaged changes nothing."""
    await told(alert("DiskFull", host="db-1", severity="critical"))
    runbookd("backup", "copy.db")
    copy = runbookd.folder / "copy.db"
    if spoil == "junk":
        copy.write_bytes(b"junk" * 5000)
    elif spoil == "cut":
        copy.write_bytes(copy.read_bytes()[:-20_000])
    else:
        edit(copy, spoil)
    assert message in runbookd("restore", "copy.db", "--older", code=4).stderr
    assert len(runbookd.json("incidents")) == 1


async def test_a_served_database_is_not_replaced(runbookd: Runbookd, told: Tell) -> None:
    """While a service has the file, a restore is refused."""
    from runbookd.runtime.limits import only_server_of  # noqa: PLC0415 - what `serve` holds

    await told(alert("DiskFull", host="db-1", severity="critical"))
    runbookd("backup", "copy.db")
    with only_server_of(runbookd.database):
        assert "another runbookd serves" in runbookd("restore", "copy.db", code=2).stderr


def test_there_must_be_something_to_back_up(runbookd: Runbookd) -> None:
    """A database that is not there, or is Postgres, is told; nothing is made."""
    assert "there is no database" in runbookd("backup", "copy.db", code=4).stderr
    postgres = configured(runbookd, database_url="postgresql://x@127.0.0.1:1/x")
    assert "pg_dump" in postgres("backup", "copy.db", code=2).stderr
    assert not (runbookd.folder / "copy.db").exists()
    assert "there is no database" in runbookd("prune", "--dry-run", code=4).stderr


async def test_pruning_is_counted_then_done(runbookd: Runbookd, told: Tell) -> None:
    """A dry run counts and changes nothing; the ledger goes only into a signed archive, and still verifies."""
    await told(alert("DiskFull", host="db-1", severity="critical"), alert("Broken"))
    runbookd("audit", "key", "ledger.key")
    key = runbookd("audit", "key", "ledger.key")
    assert "is there already" in key.stderr
    assert (runbookd.folder / "ledger.key").stat().st_mode & 0o777 == 0o600
    (runbookd.folder / "ledger.pub").write_text(key.stdout)
    ages = {f"retention__{kind}": "0" for kind in (*Kept, "ledger")}
    unsigned = configured(runbookd, ledger__archives="archives", **ages)
    assert "ledger.archives needs a key" in unsigned("prune", code=2).stderr
    edit(runbookd.database, "UPDATE alerts SET resolved_at = first_seen")
    edit(runbookd.database, "UPDATE incidents SET state = 'resolved', resolved_at = opened_at")
    edit(runbookd.database, "DELETE FROM work")
    old = configured(runbookd, ledger__archives="archives", ledger__key_file="ledger.key", **ages)
    kept = configured(runbookd, **dict.fromkeys(ages, "forever"))
    assert set(kept.json("prune", "--dry-run").values()) == {True, 0}
    counted = old.json("prune", "--dry-run")
    entries = len(runbookd.json("audit", "show"))
    assert counted == {
        "dry_run": True,
        "deliveries": 1,
        "events": 2,
        "runs": 0,
        "alerts": 0,
        "incidents": 0,
        "acts": 0,
        "messages": 0,
    } | {"ledger": entries - 1}  # what rules look back upon for a day stays
    assert "deliveries: 1 gone" in old("prune").stdout
    assert runbookd.json("events") == []
    assert len(runbookd.json("runs")) == 2
    _verified(runbookd, entries)


async def test_a_broken_chain_is_not_pruned_in_silence(runbookd: Runbookd, told: Tell) -> None:
    """Who prunes by hand hears it, and `status` and the ledger tell it as they do of archives that fail."""
    await told(alert("DiskFull", host="db-1", severity="critical"))
    (runbookd.folder / "ledger.key").write_bytes(new_key())
    old = configured(
        runbookd, ledger__archives="archives", ledger__key_file="ledger.key", retention__ledger="0"
    )
    edit(runbookd.database, "DROP TRIGGER ledger_never_changes")
    edit(runbookd.database, "UPDATE ledger SET what = 'x' WHERE seq = 2")
    error = old("prune", code=4).stderr
    assert "it is broken: chain main, entry 2: its columns differ" in error
    assert "runbookd audit verify" in error
    assert "chain main, entry 2" in runbookd("status").stdout
    assert runbookd.json("audit", "show", "--what", "archiving_failed")


def _verified(runbookd: Runbookd, archived: int) -> None:
    """Check what is left, alone, with its archive, and exported."""
    against = ("--public-key", "ledger.pub")
    alone = runbookd.json("audit", "verify", *against)
    assert "by a signed seal" in alone["notes"][0]
    whole = runbookd.json("audit", "verify", *against, "--archives", "archives")
    assert whole["checked"] == alone["checked"] + archived - 1
    assert "unchecked" in runbookd("audit", "verify").stdout
    unsigned = runbookd.json("audit", "verify", "--archives", "archives")
    assert "archives of archives, their signatures unchecked: give --public-key" in unsigned["notes"]
    runbookd("audit", "export", "--to", "left.jsonl")
    exported = runbookd.json("audit", "verify", "--file", "left.jsonl", *against)
    assert exported["head"] == alone["head"]
    lines = (runbookd.folder / "left.jsonl").read_text().splitlines(keepends=True)
    (runbookd.folder / "headless.jsonl").write_text("".join(lines[1:]))
    assert "expected number 1" in runbookd("audit", "verify", "--file", "headless.jsonl", code=1).stdout
    seal = json.loads(lines[0]) | {"seq": 1}
    (runbookd.folder / "forged.jsonl").write_text("".join([json.dumps(seal) + "\n", *lines[1:]]))
    assert "seal" in runbookd("audit", "verify", "--file", "forged.jsonl", *against, code=1).stdout


async def test_no_checkpoint_is_no_proof(runbookd: Runbookd, told: Tell) -> None:
    """A file without a checkpoint, and an empty folder of S3, get the same answer: that it may be the wrong one."""
    await told(alert("DiskFull", host="db-1", severity="critical"))
    (runbookd.folder / "c.jsonl").write_text("")
    error = runbookd("audit", "verify", "--checkpoints", "c.jsonl", code=3).stderr
    assert "there is no checkpoint in c.jsonl; is that the file?" in error


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["junk"], "not a signed statement"),
        (["{}"], "not a signed statement"),
    ],
)
async def test_checkpoints_that_are_none_are_told(
    runbookd: Runbookd, told: Tell, lines: list[str], message: str
) -> None:
    """A line that is no checkpoint is a fault, with its place."""
    await told(alert("DiskFull", host="db-1", severity="critical"))
    (runbookd.folder / "c.jsonl").write_text("\n".join(lines))
    found: Any = runbookd.json("audit", "verify", "--checkpoints", "c.jsonl", code=1)
    assert found["fault"].startswith("c.jsonl:1: ")
    assert message in found["fault"]


def test_a_key_that_cannot_be_used_is_told(runbookd: Runbookd) -> None:
    """A missing or wrong key is named when the service starts, and no word of it is shown."""
    hooks = '{"alertmanager": {"bearer": ["x"]}}'
    missing = configured(runbookd, web__hooks=hooks, ledger__key_file="none.key", ledger__archives="a")
    assert "ledger.key_file none.key: No such file" in missing("serve", code=2).stderr
    (runbookd.folder / "bad.key").write_text("hidden")
    wrong = configured(runbookd, web__hooks=hooks, ledger__key_file="bad.key", ledger__archives="a")
    told_of = wrong("serve", code=2).stderr
    assert "not a private Ed25519 key" in told_of
    assert "hidden" not in told_of
    secret = configured(runbookd, web__hooks=hooks, ledger__key_secret="ledger_key", ledger__archives="a")
    assert "ledger_key" in secret("serve", code=3).stderr
