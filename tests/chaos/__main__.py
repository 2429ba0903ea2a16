"""`make chaos`: every scenario in order, a table of figures, and exit status 1 when a promise was broken.

`RUNBOOKD_SEED` repeats the chances of an earlier time.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from random import Random

from runbookd.runtime.logs import set_up
from tests.chaos.disk import disk
from tests.chaos.one_process import one_process
from tests.chaos.replicas import replicas
from tests.chaos.scene import Report
from tests.chaos.stops import stops
from tests.chaos.storm import flood, storm

Scenario = Callable[[Report, Random, bool], Awaitable[None]]

SCENARIOS: dict[str, Scenario] = {
    "kills": lambda report, dice, short: one_process(report, dice, kills=30 if short else 300),
    "replicas": lambda report, dice, short: replicas(report, dice, blows=12 if short else 120),
    "stops": lambda report, dice, _short: stops(report, dice),
    "disk": lambda report, dice, short: disk(report, dice, short=short),
    "flood": lambda report, _dice, short: flood(report, bodies=40 if short else 120),
    "storm": lambda report, dice, short: storm(report, dice, seconds=15 if short else 60),
}


async def play(names: list[str], seed: int, *, short: bool) -> Report:
    """Play the scenarios, each with chances of its own."""
    report = Report()
    for name in names:
        begun = time.monotonic()
        await SCENARIOS[name](report, Random(f"{seed} {name}"), short)
        report.row(name, "seconds", round(time.monotonic() - begun))
    return report


def main() -> None:
    """Read the command line, play, and say how it went."""
    parser = argparse.ArgumentParser(prog="make chaos")
    parser.add_argument("--short", action="store_true", help="fewer kills, less load: what CI runs")
    parser.add_argument("scenario", nargs="*", choices=[[], *SCENARIOS], help="default: all")
    asked = parser.parse_args()
    seed = int(os.environ.get("RUNBOOKD_SEED", str(time.time_ns() % 1_000_000)))
    set_up("json", "ERROR")
    print(f"RUNBOOKD_SEED={seed}\n\n| scenario | figure | found |\n|---|---|---|", flush=True)
    report = asyncio.run(play(asked.scenario or list(SCENARIOS), seed, short=asked.short))
    for broken in report.failed:
        print(f"broken: {broken}", file=sys.stderr)
    sys.exit(1 if report.failed else 0)


if __name__ == "__main__":
    main()
