"""One transaction as a unit of work sees it (`ports.Tx`), and how an engine runs such a unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from runbookd.errors import StoreError
from runbookd.store.alerts import Alerts
from runbookd.store.deliveries import Deliveries
from runbookd.store.incidents import Incidents
from runbookd.store.ledger import Ledger
from runbookd.store.levels import Levels
from runbookd.store.messages import Messages
from runbookd.store.retention import Retention
from runbookd.store.runs import Runs
from runbookd.store.switches import Switches
from runbookd.store.work import WorkQueue

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from runbookd.ports import Tx
    from runbookd.store.driver import Driver

T = TypeVar("T")

AWAITED_SOMETHING_ELSE = (
    "A unit of work awaited something other than its transaction, and was undone. Do what takes time before "
    "or after it: a unit holds up everyone who writes."
)


class Transaction:
    """Every repository over one driver, so that what they do is kept or undone together."""

    __slots__ = (
        "alerts",
        "deliveries",
        "incidents",
        "ledger",
        "levels",
        "messages",
        "retention",
        "runs",
        "switches",
        "work",
    )

    def __init__(self, driver: Driver, chain: str) -> None:
        self.deliveries = Deliveries(driver)
        self.alerts = Alerts(driver)
        self.incidents = Incidents(driver)
        self.levels = Levels(driver)
        self.messages = Messages(driver)
        self.runs = Runs(driver)
        self.work = WorkQueue(driver)
        self.ledger = Ledger(driver, chain)
        self.switches = Switches(driver)
        self.retention = Retention(driver)


def complete(unit: Callable[[Tx], Awaitable[T]], transaction: Transaction) -> T:
    """Run a unit whose driver never suspends, on whatever thread this is, and return its answer.

    Raises what the unit raises, and StoreError when it awaits anything but its transaction.
    """
    steps = whole(unit, transaction).__await__()
    try:
        next(steps)
    except StopIteration as done:
        answer: T = done.value
        return answer
    steps.close()
    raise StoreError(AWAITED_SOMETHING_ELSE)


async def whole(unit: Callable[[Tx], Awaitable[T]], transaction: Transaction) -> T:
    """Run the unit, and write what it left to be written at its end."""
    answer = await unit(transaction)
    await transaction.ledger.flush()
    return answer
