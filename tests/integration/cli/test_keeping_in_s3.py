"""`prune`, `status` and `audit verify` where archives and checkpoints are in S3."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing

import pytest

from runbookd.actions.aws.config import AwsConfig
from runbookd.model.audit import LedgerRow
from runbookd.runtime.checkpoint_keepers import PlaceKeeper
from runbookd.runtime.places import place_at
from runbookd.stages.checkpoint import new_key, public_pem, signer_of
from runbookd.store.sqlite import open_sqlite
from tests.acceptance.engine import NOON
from tests.fakes.s3 import S3
from tests.integration.cli.conftest import Runbookd, alert
from tests.servers import free_port

Tell = Callable[..., Awaitable[None]]
PEM = new_key()
SIGNER = signer_of(PEM)
KINDS = ("deliveries", "events", "runs", "alerts", "incidents", "ledger")


def keeping(runbookd: Runbookd, s3: S3, **variables: str) -> Runbookd:
    """The script, whose ledger goes to S3 whatever its age; everything else stays."""
    variables = {
        **{f"retention__{kind}": "0" if kind == "ledger" else "forever" for kind in KINDS},
        "ledger__archives": s3.address("archives"),
        "ledger__key_file": "ledger.key",
        "aws__endpoint_url": s3.behind,
        **variables,
    }
    return runbookd.having({f"RUNBOOKD_{name.upper()}": value for name, value in variables.items()})


@pytest.fixture
async def rows(runbookd: Runbookd, told: Tell, s3: S3) -> list[LedgerRow]:
    """A ledger of some entries, each with its checkpoint in S3."""
    (runbookd.folder / "ledger.key").write_bytes(PEM)
    (runbookd.folder / "ledger.pub").write_text(public_pem(SIGNER.public))
    await told(alert("DiskFull", host="db-1", severity="critical"))
    with closing(sqlite3.connect(runbookd.database)) as file, file:
        file.execute("DELETE FROM work")
    store = await open_sqlite(runbookd.database)
    found = await store.read(lambda tx: tx.ledger.rows("main", 0, 99))
    await store.close()
    place = place_at(s3.address("checkpoints"), AwsConfig.model_validate({"endpoint_url": s3.behind}))
    for row in found:
        await PlaceKeeper(place, SIGNER).keep(SIGNER.checkpoint(row.chain, row.seq, row.hash, NOON))
    await place.close()
    return found


async def test_a_ledger_in_s3_verifies(runbookd: Runbookd, rows: list[LedgerRow], s3: S3) -> None:
    """Pruned into the bucket, the chain is followed from its first entry, and held to every checkpoint there."""
    it = keeping(runbookd, s3)
    assert it.json("prune")["ledger"] == len(rows) - 1
    against = ("--archives", s3.address("archives"), "--checkpoints", s3.address("checkpoints"))
    whole = it.json("audit", "verify", *against, "--public-key", "ledger.pub")
    assert whole["ok"]
    assert whole["checked"] == len(rows) + 2
    assert whole["notes"] == [f"{len(rows)} checkpoints of {s3.address('checkpoints')}"]
    (archive,) = await s3.keys("archives/")
    kept = await s3.get(archive)
    await s3.put(archive, kept[:-9])
    broken = it.json("audit", "verify", *against, code=1)
    assert f"s3://{s3.bucket}/{archive} cannot be read" in broken["fault"]
    await s3.delete(archive)
    assert "no archive begins with it" in it.json("audit", "verify", *against, code=1)["fault"]
    await s3.put(archive, kept)
    first = (await s3.keys("checkpoints/"))[0]
    await s3.put(first, (await s3.get(first)).replace(rows[0].hash.encode(), b"f" * 64))
    forged = it.json("audit", "verify", *against, "--public-key", "ledger.pub", code=1)
    assert forged["fault"] == f"s3://{s3.bucket}/{first}: its signature is not of the key it names"
    assert "was signed or noted" in it.json("audit", "verify", *against, code=1)["fault"]


async def test_a_place_that_is_none_is_told(runbookd: Runbookd, rows: list[LedgerRow], s3: S3) -> None:
    """A wrong address, an empty prefix, a bucket or a server that is not there: none is a broken ledger."""
    it = keeping(runbookd, s3)
    wrong = it("audit", "verify", "--archives", "s3://No_Bucket", code=2).stderr
    assert "'s3://No_Bucket' is not an address in S3" in wrong
    assert "does not exist" in it("audit", "verify", "--archives", "nowhere", code=2).stderr
    empty = it("audit", "verify", "--checkpoints", s3.address("typo"), code=3).stderr
    assert f"there is no checkpoint at {s3.address('typo')}" in empty
    gone = it("audit", "verify", "--archives", "s3://not-there", code=4).stderr
    assert "make the bucket, or correct its name" in gone
    down = keeping(runbookd, s3, aws__endpoint_url=f"http://127.0.0.1:{free_port()}")
    assert "Could not connect" in down("audit", "verify", "--archives", s3.address(), code=4).stderr
    unset = keeping(runbookd, s3, ledger__archives="s3://No_Bucket")
    assert "setting 'ledger.archives'" in unset("status", code=2).stderr


async def test_an_outage_is_told_by_prune_and_status(
    runbookd: Runbookd, rows: list[LedgerRow], s3: S3
) -> None:
    """The ledger stays whole; `status` says since when and why, until a pruning succeeds."""
    it = keeping(runbookd, s3)
    down = keeping(runbookd, s3, aws__endpoint_url=f"http://127.0.0.1:{free_port()}")
    said = down("prune", code=4).stderr
    assert "what is left of it stays (all else is pruned)" in said
    assert "Could not connect" in said
    assert len(it.json("audit", "show", "--limit", "99")) == len(rows) + 1
    told = it.json("status")["archiving"]
    assert set(told) == {"since", "at", "error"}
    assert "nothing is taken from the ledger: s3://" in " ".join(it("status").stdout.split())
    assert it.json("prune")["ledger"] == len(rows)
    assert it.json("status")["archiving"] is None


def test_what_s3_needs_is_told_at_the_start(runbookd: Runbookd, s3: S3) -> None:
    """Without a key to sign with, the service does not start."""
    hooks = '{"alertmanager": {"bearer": ["x"]}}'
    for setting in ("ledger__archives", "ledger__checkpoints_s3"):
        variables = {f"RUNBOOKD_{setting.upper()}": s3.address(), "RUNBOOKD_WEB__HOOKS": hooks}
        it = runbookd.having(variables)
        assert f"{setting.replace('__', '.')} needs a key" in it("serve", code=2).stderr
