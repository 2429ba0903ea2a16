"""What `ports.WorkQueue` promises of lanes: each is claimed by itself, and nothing is ever in none."""

from __future__ import annotations

import re

from runbookd.model.work import REST, RUNS, WorkKind, lane_of
from runbookd.ports import Store, Tx
from runbookd.store.statements import statements
from tests.contract.store.samples import LEASE, at


async def test_a_lane_is_claimed_by_itself(store: Store) -> None:
    """Deliveries wait by source, runs by themselves, and the rest together; no lane's limit is another's."""

    async def add(tx: Tx) -> None:
        for number in range(5):
            await tx.work.add(WorkKind.ADMIT, f"d{number}", at(0), "loud")
        await tx.work.add(WorkKind.ADMIT, "other", at(1), "quiet")
        await tx.work.add(WorkKind.ADVANCE, "run", at(1))
        await tx.work.add(WorkKind.CLOCK, "incident", at(1))
        await tx.work.add(WorkKind.ESCALATE, "incident", at(2))

    async def claim(tx: Tx) -> dict[str, list[str]]:
        lanes = (lane_of(WorkKind.ADMIT, "loud"), lane_of(WorkKind.ADMIT, "quiet"), RUNS, REST)
        return {
            lane: [work.ref for work in await tx.work.claim("w", at(1), LEASE, 2, lane)] for lane in lanes
        }

    await store.write(add)
    taken = await store.write(claim)
    assert taken == {
        "admit loud": ["d0", "d1"],
        "admit quiet": ["other"],
        "runs": ["run"],
        "rest": ["incident"],
    }
    left = await store.write(lambda tx: tx.work.claim("w", at(1), LEASE, 10))
    assert [work.ref for work in left] == ["d2", "d3", "d4"]


def test_every_kind_is_claimed() -> None:
    """Statements that leave the kinds of newer versions alone name all of ours."""
    ours = {kind.value for kind in WorkKind}
    for name in ("claim_work", "next_free", "next_lapse"):
        (named,) = re.findall(r"kind \|\| '' IN \(([^)]+)\)", statements()[name].text)
        assert set(re.findall(r"'(\w+)'", named)) == ours, name
