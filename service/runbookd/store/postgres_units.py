"""Running a unit of work on Postgres: it awaits its transaction, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from runbookd.errors import StoreError
from runbookd.store.transaction import AWAITED_SOMETHING_ELSE, Transaction, whole

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from runbookd.ports import Tx
    from runbookd.store.postgres_driver import PostgresDriver

T = TypeVar("T")


class WantsToDecide(StoreError):
    """The unit reads, so it is begun again in a transaction that may; met by nobody outside the store."""


async def run_unit(unit: Callable[[Tx], Awaitable[T]], driver: PostgresDriver, chain: str) -> T:
    """Run a unit on the driver's transaction and return its answer.

    Raises what the unit raises, StoreError when it awaits anything but its transaction or hides an error of the
    database, and WantsToDecide.
    """
    answer: T = await _Watched(whole(unit, Transaction(driver, chain)), driver)
    if driver.fault is not None:
        raise driver.fault
    return answer


class _Watched:
    """A coroutine that is closed when it waits for something while its driver waits for nothing."""

    def __init__(self, coroutine: Awaitable[Any], driver: PostgresDriver) -> None:
        self._steps: Generator[Any, Any, Any] = coroutine.__await__()
        self._driver = driver

    def __await__(self) -> _Watched:
        return self

    def __iter__(self) -> _Watched:
        return self

    def __next__(self) -> Any:
        return self._passed(next(self._steps))

    def send(self, value: Any) -> Any:
        """Go on with what was waited for."""
        return self._passed(self._steps.send(value))

    def throw(self, *error: Any) -> Any:
        """Go on with an error of what was waited for."""
        return self._passed(self._steps.throw(*error))

    def close(self) -> None:
        """Give up."""
        self._steps.close()

    def _passed(self, waits: Any) -> Any:
        if self._driver.busy:
            return waits
        self._steps.close()
        if self._driver.moves:
            raise WantsToDecide
        raise StoreError(AWAITED_SOMETHING_ELSE)
