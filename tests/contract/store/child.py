"""A process of its own on the database of a test: `python child.py COMMAND PATH [ARGUMENT]`.

write PREFIX  write deliveries from 8 tasks for ever, printing each id once it is acknowledged
append PREFIX append 50 ledger entries one by one, counting in the switch `n`
open MOMENT   open the database at a moment of the system's clock, as others do
full          meet the limit of the file's size in the middle of a commit, then go on
read-only     try to open and to write
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from itertools import count
from pathlib import Path

from runbookd.errors import StoreError
from runbookd.ports import Tx
from runbookd.store.sqlite import open_sqlite
from tests.contract.store.samples import delivery, entry, read, write


async def keep_writing(path: Path, prefix: str) -> None:
    """Write until killed; what is printed was acknowledged."""
    store = await open_sqlite(path)
    numbers = count()

    async def client() -> None:
        for n in numbers:
            name = f"{prefix}{n}"
            await write(store, "deliveries.add", delivery(name, body=b"x" * 5000))
            os.write(1, f"{name}\n".encode())

    await asyncio.gather(*(client() for _ in range(8)))


async def append(path: Path, prefix: str) -> None:
    """Append to the ledger, and count, beside other processes."""
    store = await open_sqlite(path)

    async def unit(tx: Tx) -> None:
        n = int(await tx.switches.get("n") or 0)
        await tx.switches.set("n", str(n + 1))
        await tx.ledger.append([entry(f"{prefix}{n}")])

    for _ in range(50):
        await store.write(unit)
    await store.close()


async def open_at(path: Path, moment: str) -> None:
    """Open the database at the same moment as other processes."""
    while time.time() < float(moment):
        pass
    await (await open_sqlite(path)).close()


async def full(path: Path, _: str) -> None:
    """Print the errors of 20 units that do not fit on the disk, then what is there after it has room again."""
    store = await open_sqlite(path)
    await write(store, "deliveries.add", delivery("before"))
    limit = path.with_name(path.name + "-wal").stat().st_size + 20_000
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    units = (write(store, "deliveries.add", delivery(f"d{n}", body=b"x" * 9000)) for n in range(20))
    for error in await asyncio.gather(*units, return_exceptions=True):
        print(type(error).__name__, error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await write(store, "deliveries.add", delivery("after"))
    print(json.dumps([each.id for each in await read(store, "deliveries.recent", 99)]))
    await store.close()


async def read_only(path: Path, _: str) -> None:
    """Print the error of opening or writing."""
    try:
        store = await open_sqlite(path)
        await write(store, "switches.set", "a", "on")
    except StoreError as error:
        print(type(error).__name__, error)


COMMANDS = {"write": keep_writing, "append": append, "open": open_at, "full": full, "read-only": read_only}

if __name__ == "__main__":
    asyncio.run(COMMANDS[sys.argv[1]](Path(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else ""))
