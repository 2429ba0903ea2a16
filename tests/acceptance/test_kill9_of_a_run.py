"""G1, G4, G5: kill -9 at any moment loses nothing acknowledged and repeats nothing that was done.

`RUNBOOKD_KILLS` says how many times in all the service is killed (default 15; `make crash` says 100), and
`RUNBOOKD_SEED` repeats a run's random instants.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import aiohttp
import pytest

from tests.acceptance.broken_shop import BEGAN, Sender, Trouble, body, hold_to_promises, mender, told
from tests.acceptance.nursery import STALLED, Mortal, nursery
from tests.servers import Shop, answers, eventually

# Each is a commit of its own, or one that comes about again after a crash (an intent): a border is met only once.
KILLS = int(os.environ.get("RUNBOOKD_KILLS", "15"))
BEFORE_THE_END = [
    "run running",
    "evidence/metrics intent",
    "evidence/metrics succeeded",
    "steps/seen intent",
    "steps/seen succeeded",
    "steps/rollback intent",
    "steps/rollback succeeded",
    "steps/settle succeeded",
    "steps/health intent",
    "steps/health succeeded",
    "verify/0@* intent",
    "verify/0@* succeeded",
]
AT_THE_END = ["incident resolved", "run verified"]
FAULTS = 3


def share(points: list[str]) -> list[str]:
    """Every border, before and after its commit; in a short run as many as fit, the rollback's always."""
    both = [f"{when} {point}" for point in points for when in ("before", "after")]
    if KILLS >= 100:
        return both
    return [point for point in both if "rollback" in point or point == "after run running"]


@pytest.fixture
async def service() -> AsyncIterator[Mortal]:
    """The mender, not started."""
    async with nursery() as born_by, mender(born_by) as it:
        yield it


async def test_a_delivery_is_not_acknowledged_before_it_is_on_disk(service: Mortal) -> None:
    """While the disk does not answer no sender is told yes; killed then, the delivery was never there."""
    alert = told({"alertname": "Unheard"}, began=BEGAN)
    await service.start(point="stall delivery pending")
    posting = asyncio.create_task(service.post(body(alert)))
    await eventually(lambda: STALLED in service.log, within=10, every=0.01)
    assert await answers(f"{service.url}/healthz")
    assert not posting.done()
    await service.kill()
    with pytest.raises(aiohttp.ClientError):
        await posting
    await service.start()
    assert service.rows("SELECT * FROM deliveries") == []
    sender = Sender(service)
    await sender.send(alert)
    await service.until("SELECT 1 FROM events WHERE outcome = 'new_alert'")


async def test_a_kill_at_every_border_of_a_run_changes_nothing_of_its_outcome(
    service: Mortal, shop: Callable[..., Awaitable[Shop]]
) -> None:
    """Before and after every commit of one run the service dies once; one rollback is made, and verified."""
    sender = Sender(service)
    trouble = Trouble(await shop(users=20), "one", sender)
    first, *others = share(BEFORE_THE_END)
    await service.start(point=first)
    breaking = asyncio.create_task(trouble.breaks())
    for point in others:
        await service.gone()
        await service.start(point=point)
    await service.gone()
    await service.start()
    await breaking
    await trouble.mended()
    last = share(AT_THE_END)
    if last:
        await service.stop()
        first, *others = last
        await service.start(point=first)
        resolving = asyncio.create_task(trouble.resolves())
        for point in others:
            await service.gone()
            await service.start(point=point)
        await service.gone()
        await service.start()
        await resolving
    else:
        await trouble.resolves()
    await service.runs_ended(1)
    print(await hold_to_promises(service, sender, [trouble]))


async def test_a_kill_while_a_rollback_is_under_way_never_makes_a_second_one(
    service: Mortal, shop: Callable[..., Awaitable[Shop]]
) -> None:
    """Killed before the shop acts, after it acted, and when its answer was lost: one rollback per episode."""
    sender = Sender(service)
    trouble = Trouble(await shop(users=20), "one", sender)
    faults: list[tuple[dict[str, int], str]] = [
        ({"delay_before_ms": 300}, "received"),
        ({"delay_after_ms": 300}, "applied"),
        ({"drop": 1, "delay_after_ms": 100}, "applied"),
    ]
    await service.start()
    for fault, phase in faults:
        await trouble.shop.admin("POST", "faults", fault)
        await trouble.breaks()
        await eventually(partial(_in_phase, trouble, phase), within=20, every=0.01)
        await service.kill()
        await trouble.shop.admin("POST", "faults", {})
        await service.start()
        await trouble.mended()
        await trouble.resolves()
        await service.runs_ended(trouble.episodes)
    print(await hold_to_promises(service, sender, [trouble]))


async def _in_phase(trouble: Trouble, phase: str) -> bool:
    """Whether the shop's latest rollback stands so, and its caller has no answer."""
    last = (await trouble.shop.admin("GET", "calls"))["calls"][-1]
    return "rollback" in last["path"] and last["phase"] == phase and not last["answered"]


async def test_kills_at_random_instants_under_load_lose_nothing(
    service: Mortal, shop: Callable[..., Awaitable[Shop]]
) -> None:
    """Three shops break again and again while the service dies at random: all mended once each, nothing lost."""
    seed = int(os.environ.get("RUNBOOKD_SEED", str(time.time_ns() % 1_000_000)))
    print(f"RUNBOOKD_SEED={seed}")
    dice = random.Random(seed)
    sender = Sender(service)
    troubles = [Trouble(await shop(users=20, delay_ms=40), f"shop-{n}", sender) for n in range(3)]
    over = asyncio.Event()
    used = len(share(BEFORE_THE_END)) + len(share(AT_THE_END)) + FAULTS
    await service.start()
    at_work = [asyncio.create_task(_episodes(trouble, over)) for trouble in troubles]
    noise = asyncio.create_task(_noise(sender, over))
    for _ in range(max(3, KILLS - used)):
        await asyncio.sleep(dice.uniform(0, 1.4))
        await service.kill()
        await service.start(ready=False)
    over.set()
    await asyncio.gather(noise, *at_work)
    await service.runs_ended(sum(trouble.episodes for trouble in troubles), within=60)
    await eventually(lambda: not service.rows("SELECT 1 FROM deliveries WHERE state = 'pending'"), within=30)
    print(await hold_to_promises(service, sender, troubles))


async def _episodes(trouble: Trouble, over: asyncio.Event) -> None:
    """Break, be mended, resolve, and begin anew until it is over; the last episode is brought to its end."""
    while not over.is_set():
        await trouble.breaks()
        await trouble.mended(within=90)
        await trouble.resolves()
        await _all_ended(trouble)


async def _all_ended(trouble: Trouble) -> None:
    """Return when no run of this shop goes on."""
    service = trouble.sender.service
    query = "SELECT count(*) AS n FROM runs WHERE target = ? AND state <> 'running'"
    await eventually(
        lambda: service.rows(query, f"shops/{trouble.name}")[0]["n"] >= trouble.episodes,
        within=90,
        every=0.1,
    )


async def _noise(sender: Sender, over: asyncio.Event) -> None:
    """Other alerts, each told once, twenty a second."""
    number = 0
    while not over.is_set():
        number += 1
        await sender.try_once(told({"alertname": "Noise", "number": str(number)}, began=BEGAN))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), 0.05)
