"""The bare limits of deadlines: `python -m tests.bench.bare_deadlines KIND PENDING A_SECOND SECONDS FILE`.

`timers` has them as timers of an asyncio loop, which forgets them when it dies. `claims` has them as rows of SQLite
(WAL, synchronous=FULL): the loop sleeps to the nearest, claims what is due with one UPDATE ... RETURNING, and deletes
it, each with a commit on disk. Prints how late each was, in seconds, as a JSON list.
"""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import sys
import time

BATCH = 32
DAY = 86_400.0
SETTING = 20e-6  # seconds it may take to set one


def deadlines(pending: int, per_second: float, seconds: float) -> list[float]:
    """So many due times: some a second from when all are set, and the rest spread over the day after that."""
    chance = random.Random(1)
    begin = time.time() + 1 + pending * SETTING
    soon = [begin + chance.random() * seconds for _ in range(int(per_second * seconds))]
    return soon + [begin + seconds + chance.random() * DAY for _ in range(pending - len(soon))]


async def timers(pending: int, per_second: float, seconds: float) -> list[float]:
    """A timer each."""
    loop = asyncio.get_running_loop()
    late: list[float] = []
    skew = loop.time() - time.time()
    for due in deadlines(pending, per_second, seconds):
        loop.call_at(due + skew, lambda due=due: late.append(time.time() - due))  # type: ignore[misc]
    await asyncio.sleep(seconds + 2 + pending * SETTING)
    return late


def claims(path: str, pending: int, per_second: float, seconds: float) -> list[float]:
    """A row each."""
    base = sqlite3.connect(path, isolation_level=None)
    base.execute("PRAGMA journal_mode=WAL")
    base.execute("PRAGMA synchronous=FULL")
    base.execute("CREATE TABLE work (id INTEGER PRIMARY KEY, due_at REAL NOT NULL, owner TEXT)")
    base.execute("CREATE INDEX work_due ON work (due_at)")
    base.execute("BEGIN")
    rows = [(due,) for due in deadlines(pending, per_second, seconds)]
    base.executemany("INSERT INTO work (due_at) VALUES (?)", rows)
    base.execute("COMMIT")
    late: list[float] = []
    end = time.time() + seconds + 2 + pending * SETTING
    while (now := time.time()) < end:
        claimed = base.execute(
            "UPDATE work SET owner = 'me' WHERE id IN "
            "(SELECT id FROM work WHERE due_at <= ? AND owner IS NULL ORDER BY due_at LIMIT ?) RETURNING id, due_at",
            (now, BATCH),
        ).fetchall()
        done = time.time()
        late += [done - due for _, due in claimed]
        if claimed:
            base.execute("BEGIN")
            base.executemany("DELETE FROM work WHERE id = ?", [(each,) for each, _ in claimed])
            base.execute("COMMIT")
            continue
        (due,) = base.execute("SELECT min(due_at) FROM work WHERE owner IS NULL").fetchone()
        time.sleep(max(0.0, min(1.0, due - time.time(), end - time.time())))
    return late


def main(kind: str, pending: str, per_second: str, seconds: str, path: str) -> None:
    """Measure one kind."""
    load = int(pending), float(per_second), float(seconds)
    late = asyncio.run(timers(*load)) if kind == "timers" else claims(path, *load)
    print(json.dumps(late))


if __name__ == "__main__":
    main(*sys.argv[1:])
