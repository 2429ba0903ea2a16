"""Postgres behind `driver.Driver`: one transaction on one connection; and what its errors mean for an operator.

Error codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from __future__ import annotations

import re
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from runbookd.errors import StoreError, StoreUnavailable
from runbookd.store.statements import text_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence

    from runbookd.store.driver import Row, Value

_PARAMETER = re.compile(r":(\w+)")
_ZERO, _ZERO_SHOWN = "\x00", "\u2400"
"""What Postgres cannot keep in text, and what is kept instead (SYMBOL FOR NULL)."""


class Mode(Enum):
    """What a transaction may do.

    WRITE is of statements that each stand for themselves; a unit that wants to read, and decide upon what it read,
    is begun again in a transaction of mode DECIDE.
    """

    READ = "read"
    WRITE = "write"
    DECIDE = "decide"


class Verdict(Enum):
    """What an error means for the transaction it ended."""

    CONFLICT = "conflict"  # another transaction was first: nothing was kept, and it may go again
    LOST = "lost"  # the connection is of no use any more: another may be
    PASSING = "passing"  # the server cannot do it for now
    LASTING = "lasting"  # it will never do it


_CONFLICTS = {"40001", "40P01"}
_LOST_CLASSES = {"08", "57P01", "57P02", "57P03", "25P03", "25P04", "25006"}
_POOLER = "a pooler in between gives our sessions to others (PgBouncer needs `pool_mode = session`)"
_MEANINGS = {
    "53100": "its disk is full: free some space",
    "53200": "it has no memory left: give it more",
    "53300": "it has no connection left for us: raise max_connections, or run fewer clients",
    "53": "it is short of something: look at its log",
    "55P03": "another transaction has held a lock too long: find who else writes to this database",
    "57014": "the statement took too long: look at the load of the server",
    "58": "it reported an I/O error: look at its log",
    "28": "it does not let us in: check user, password and pg_hba.conf",
    "3D000": "there is no such database: make it with createdb, or correct the URL",
    "42P05": _POOLER,
    "26000": _POOLER,
    "42501": "the right to do this is missing: the user must own the schema runbookd uses",
    "22": "a value cannot be kept",
    "23": "the row contradicts one that is there",
}
_PASSING = {"53", "55P03", "57014", "58"}


@cache
def driver_errors() -> tuple[type[Exception], ...]:
    """Return what a call of the driver may raise."""
    import asyncpg  # an extra: a service on SQLite does without it

    return asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError


def judge(error: Exception) -> Verdict:
    """Say what a driver's error means."""
    state = _state(error)
    if state is None:
        # Not from the server: the connection broke, or a value does not fit its column (a ValueError).
        return Verdict.LASTING if isinstance(error, ValueError) else Verdict.LOST
    if state in _CONFLICTS:
        return Verdict.CONFLICT
    if _among(state, _LOST_CLASSES):
        return Verdict.LOST
    return Verdict.PASSING if _among(state, _PASSING) else Verdict.LASTING


def explain(error: Exception) -> StoreError:
    """Turn the driver's error into ours: StoreUnavailable for what may pass, StoreError for the rest."""
    verdict, state = judge(error), _state(error)
    said = str(error).partition("\nHINT:")[0]  # asyncpg's own of a pooler is for those who write programs
    detail = f"{type(error).__name__}: {said}" if state is None else f"{state}: {said}"
    if verdict is Verdict.LASTING and state is None:
        return StoreError(f"The driver of Postgres refused: {error}.")
    if verdict is Verdict.CONFLICT:
        return StoreUnavailable(f"Other transactions were first, again and again; try again ({detail}).")
    if verdict is Verdict.LOST and _takes_no_writes(error):
        return StoreUnavailable(
            "The Postgres server takes no writes: it is a standby, or was made read-only. Name the primary in "
            f"database_url, or all hosts with commas between ({detail})."
        )
    if verdict is Verdict.LOST:
        return StoreUnavailable(
            f"The Postgres server cannot be reached for now: see whether it runs, and the network to it ({detail})."
        )
    meaning = next(
        (_MEANINGS[key] for key in _keys(state) if key in _MEANINGS), "it does not take this statement"
    )
    if verdict is Verdict.PASSING:
        return StoreUnavailable(f"Postgres cannot do this for now: {meaning} ({detail}).")
    return StoreError(f"Postgres refused: {meaning} ({detail}).")


def _takes_no_writes(error: Exception) -> bool:
    import asyncpg  # as above

    return isinstance(
        error, asyncpg.ReadOnlySQLTransactionError | asyncpg.exceptions.TargetServerAttributeNotMatched
    )


def _state(error: Exception) -> str | None:
    state: str | None = getattr(error, "sqlstate", None)
    return state


def _keys(state: str | None) -> tuple[str, ...]:
    return () if state is None else (state, state[:2])


def _among(state: str, codes: set[str]) -> bool:
    return any(key in codes for key in _keys(state))


class Query(NamedTuple):
    """A statement as Postgres takes it; `names` are its parameters in the order of their numbers."""

    text: str
    names: tuple[str, ...]
    reads: bool
    wakes: bool


@cache
def query_of(statement: str, where: tuple[str, ...]) -> Query:
    """Translate a named statement, once: `:name` becomes `$n`, and the comments for engines are filled in."""
    text = text_of(statement, where).replace("/*skip_locked*/", "FOR UPDATE SKIP LOCKED")
    names = tuple(dict.fromkeys(_PARAMETER.findall(text)))
    numbered = _PARAMETER.sub(lambda match: f"${names.index(match[1]) + 1}", text)
    reads = not re.search(r"\b(INSERT|UPDATE|DELETE)\b", re.sub(r"FOR UPDATE", "", numbered))
    return Query(numbered, names, reads, "/*wakes*/" in text)


class PostgresDriver:
    """One transaction on a connection, from its beginning until `end`.

    `fault` is the first error the database reported, `cause` what the driver raised then; both lose the unit.
    `busy` is True while a statement is under way, `moves` once the unit asked to read in a transaction that only
    writes, `wakes` once it left work to do.
    """

    __slots__ = ("_begin", "_connection", "_mode", "begun", "busy", "cause", "fault", "moves", "wakes")

    def __init__(self, connection: Any, mode: Mode, begin: Callable[[], Awaitable[None]]) -> None:
        """`begin` is called before the first statement, so that a unit that moves costs nothing."""
        self._connection = connection
        self._mode = mode
        self._begin = begin
        self.begun = False
        self.fault: StoreError | None = None
        self.cause: Exception | None = None
        self.busy = self.moves = self.wakes = False

    async def one(self, statement: str, /, **params: Value) -> Row | None:
        """Run a statement and return its first row, or None."""
        rows = await self._rows(query_of(statement, ()), params)
        return rows[0] if rows else None

    async def all(self, statement: str, /, *, where: tuple[str, ...] = (), **params: Value) -> Sequence[Row]:
        """Run a statement and return every row."""
        return await self._rows(query_of(statement, where), params)

    async def run(self, statement: str, /, **params: Value) -> int:
        """Run a statement and return how many rows it changed."""
        query = query_of(statement, ())
        self.wakes = self.wakes or query.wakes
        status: str = await self._guarded(
            lambda: self._connection.execute(query.text, *_values(query, params))
        )
        return int(status.rpartition(" ")[2])

    async def many(self, statement: str, /, rows: Sequence[Mapping[str, Value]]) -> None:
        """Run a statement once for each of `rows`, in order."""
        query = query_of(statement, ())
        values = [_values(query, row) for row in rows]
        await self._guarded(lambda: self._connection.executemany(query.text, values))

    def end(self) -> None:
        """Refuse every later statement: the connection belongs to other units now."""
        self.fault = StoreError("This transaction is over; begin another with store.write or store.read.")

    async def _rows(self, query: Query, params: Mapping[str, Value]) -> Sequence[Row]:
        if query.reads and self._mode is Mode.WRITE:
            self.moves = True
            await _Pause()
        rows: Sequence[Row] = await self._guarded(
            lambda: self._connection.fetch(query.text, *_values(query, params))
        )
        return rows

    async def _guarded(self, statement: Callable[[], Awaitable[Any]]) -> Any:
        """Run a statement; the first error loses the unit, and is what every later statement hears."""
        if self.fault is not None:
            raise type(self.fault)(str(self.fault))
        self.busy = True
        try:
            if not self.begun:
                self.begun = True
                await self._begin()
            return await statement()
        except driver_errors() as error:
            self.cause = error
            self.fault = _explain_read(error) if self._mode is Mode.READ else explain(error)
        finally:
            self.busy = False
        raise self.fault


def _explain_read(error: Exception) -> StoreError:
    """As `explain`, in a transaction that refuses to write whoever asks."""
    if _state(error) == "25006":
        return StoreError("A unit given to store.read tried to write; give it to store.write.")
    return explain(error)


def _values(query: Query, params: Mapping[str, Value]) -> list[Value]:
    values = (params[name] for name in query.names)
    return [
        value.replace(_ZERO, _ZERO_SHOWN) if isinstance(value, str) and _ZERO in value else value
        for value in values
    ]


class _Pause:
    """Gives control back to whoever drives the unit, for good."""

    def __await__(self) -> Generator[None, None, None]:
        yield
