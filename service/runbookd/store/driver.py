"""The port of a database: three ways to run a named statement inside one transaction.

The repositories are written once over this; an engine implements it and nothing else of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Value = str | int | float | bytes | None
"""What a parameter may be. Times travel as whole microseconds and trees as text, see `columns.py`."""


class Row(Protocol):
    """One row of an answer."""

    def __getitem__(self, column: str, /) -> Any:
        """Return the value of a column by its name."""
        ...

    def __iter__(self) -> Iterator[Any]:
        """Return the values in the order of the columns."""
        ...


class Driver(Protocol):
    """One transaction of a database.

    `statement` names a statement in `sql/`; `params` are its `:name` parameters. `where` names the filters to
    compare by equality, each with the parameter of its own name (see `statements.py`). Every method raises
    StoreError when the database refuses; after that the transaction is lost, whoever catches the error.
    """

    async def one(self, statement: str, /, **params: Value) -> Row | None:
        """Run a statement and return its first row, or None."""
        ...

    async def all(self, statement: str, /, *, where: tuple[str, ...] = (), **params: Value) -> Sequence[Row]:
        """Run a statement and return every row."""
        ...

    async def run(self, statement: str, /, **params: Value) -> int:
        """Run a statement and return how many rows it inserted, updated or deleted."""
        ...

    async def many(self, statement: str, /, rows: Sequence[Mapping[str, Value]]) -> None:
        """Run a statement once for each of `rows`, in order."""
        ...
