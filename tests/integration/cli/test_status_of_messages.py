"""`runbookd status` tells whether messages get through."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from runbookd.model.escalation import MessageState
from runbookd.ports import Tx
from runbookd.wiring import wire
from tests.contract.store.samples import message
from tests.integration.cli.conftest import Runbookd


@pytest.fixture
async def kept(runbookd: Runbookd) -> None:
    """Messages: one waiting for an hour, two that failed today, one the day before yesterday, one sent."""
    now = datetime.now(UTC)
    states = {
        MessageState.PENDING: [timedelta(hours=1)],
        MessageState.FAILED: [timedelta(hours=2), timedelta(hours=23), timedelta(days=2)],
        MessageState.SENT: [timedelta(hours=3)],
    }
    kept = [
        message(f"{state}-{number}", state=state, created_at=now - ago, address={"to": "canary@example.com"})
        for state, ages in states.items()
        for number, ago in enumerate(ages)
    ]

    async def unit(tx: Tx) -> None:
        for one in kept:
            await tx.messages.add(one)

    async with wire(runbookd.settings()) as parts:
        await parts.store.write(unit)


async def test_status_counts_messages(runbookd: Runbookd, kept: None) -> None:
    """Those on their way and since when, and those of the last day that failed, with how to look at them."""
    text = runbookd("status").stdout
    assert "1 on their way, the oldest for 1h" in text
    assert "2 failed in the last day: `runbookd messages --state failed`" in text
    assert "canary" not in text
    told = runbookd.json("status")["messages"]
    assert (told["waiting"], told["failed_last_day"]) == (1, 2)
    assert told["oldest"]


async def test_status_of_no_messages(runbookd: Runbookd) -> None:
    """Where there is nothing to look at, nothing is offered."""
    async with wire(runbookd.settings()):
        pass
    assert "0 on their way, 0 failed in the last day\n" in runbookd("status").stdout
