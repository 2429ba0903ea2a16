"""How quickly `runbookd audit verify` goes through a ledger, beside reading the same rows and hashing their texts.

The ledger is made by the store itself, of entries as a run of a playbook leaves them. The bare limit is measured in a
process of its own: `python -m tests.bench.ledger FILE`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from runbookd.model.audit import Entry, Stage
from runbookd.store.postgres import PostgresStore, open_postgres
from runbookd.store.sqlite import SqliteStore, open_sqlite
from tests.postgres import postgres_server

ENTRIES = 300_000
TIMES = 3
_AT_ONCE = 5_000
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
_KINDS = (
    (Stage.ADMIT, "admitted", {"source": "alertmanager", "sha256": "ab" * 32, "events": 1}),
    (
        Stage.MATCH,
        "matched",
        {"rule": "shop-errors", "why": 'alertname="ShopErrorsHigh", severity=~"critical|page"'},
    ),
    (
        Stage.EXECUTE,
        "step_succeeded",
        {"path": "steps/rollback", "action": "http.request", "params": {"to": "v1"}},
    ),
    (Stage.VERIFY, "run_verified", {"reason": "verified", "playbook": "rollback-release", "seconds": 7.25}),
)


@dataclass(frozen=True, slots=True)
class Figure:
    """Entries a second by the clock, and of processor time, the start of the process included; the best of some."""

    wall: float
    processor: float


def figures() -> tuple[Figure, Figure, Figure]:
    """What `audit verify` does on SQLite and on Postgres, and what the bare limit of the first is."""
    verify = ("runbookd.cli.main", "audit", "verify", "--output", "json")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ledger.db"
        asyncio.run(_fill(lambda: open_sqlite(file)))
        ours = _best(verify, RUNBOOKD_DATABASE=str(file))
        bare_limit = _best(("tests.bench.ledger", str(file)))
    with postgres_server() as server:
        url = server.url(asyncio.run(server.empty()))
        asyncio.run(_fill(lambda: open_postgres(url)))
        return ours, _best(verify, RUNBOOKD_DATABASE_URL=url), bare_limit


def _best(command: Sequence[str], **variables: str) -> Figure:
    """Run a command some times, which says in how many seconds it checked everything."""
    walls, processors = [], []
    for _ in range(TIMES):
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **variables},
        )
        assert process.stdout is not None
        told = json.loads(process.stdout.read())
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode or told["checked"] != ENTRIES:
            raise SystemExit(f"the ledger is not whole: {told}")
        walls.append(ENTRIES / told["seconds"])
        processors.append(ENTRIES / (used.ru_utime + used.ru_stime))
    return Figure(max(walls), max(processors))


async def _fill(opened: Callable[[], Awaitable[SqliteStore | PostgresStore]]) -> None:
    store = await opened()
    for first in range(0, ENTRIES, _AT_ONCE):
        made = [_entry(number) for number in range(first, first + _AT_ONCE)]
        await store.write(lambda tx, made=made: tx.ledger.append(made))  # type: ignore[misc]
    await store.close()


def _entry(number: int) -> Entry:
    stage, what, detail = _KINDS[number % len(_KINDS)]
    ref = f"01k{number:023d}"
    return Entry(
        at=_BEGIN + timedelta(milliseconds=number),
        stage=stage,
        what=what,
        delivery_id=f"dlv-{ref}" if stage is Stage.ADMIT else None,
        event_id=f"evt-{ref}" if stage is Stage.MATCH else None,
        incident_id=None if stage is Stage.ADMIT else f"inc-{ref}",
        run_id=f"run-{ref}" if stage in {Stage.EXECUTE, Stage.VERIFY} else None,
        detail=detail,
    )


def bare(file: Path) -> None:
    """Read every row and hash its text, and say how long that took; nothing is compared but the hash."""
    begun = time.monotonic()
    checked = 0
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as base:
        for text, previous, hash_ in base.execute(
            "SELECT text, previous, hash FROM ledger ORDER BY chain, seq"
        ):
            checked += hashlib.sha256(f"{previous}\n{text}".encode()).hexdigest() == hash_
    print(json.dumps({"checked": checked, "seconds": time.monotonic() - begun}))


if __name__ == "__main__":
    bare(Path(sys.argv[1]))
