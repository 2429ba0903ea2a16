"""A process that makes one call of an action and is killed while it waits: `python -m tests.e2e.child CONFIG CALL`."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from tests.e2e.acting import acting, step


async def main(config: str, text: str) -> None:
    """Make the call; `text` is its action, parameters and key as JSON."""
    told = json.loads(text)
    async with acting(Path(config)) as performer:
        await performer.perform(step(told["action"], told["params"], key=told["key"], within=60))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
