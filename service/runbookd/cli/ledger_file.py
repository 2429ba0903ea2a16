"""A ledger outside the database: JSON Lines, one entry a line, with the very text that was hashed."""

from __future__ import annotations

import gzip
import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runbookd.model.audit import LedgerRow


@contextmanager
def opened_to_write(path: str) -> Iterator[IO[bytes] | gzip.GzipFile]:
    """Open a new file, compressed when it is named `.gz`; `-` is standard output.

    Raises UsageError when the file is there already.
    """
    if path == "-":
        yield sys.stdout.buffer
        return
    try:
        with open(path, "xb") as file:  # noqa: PTH123 - "-" is no path
            if not path.endswith(".gz"):
                yield file
                return
            with gzip.open(file, "wb") as packed:
                yield packed
    except FileExistsError:
        raise click.UsageError(f"{path} is there already; name a new file") from None


def rows_in(path: Path) -> Iterator[LedgerRow | str]:
    """Read the rows of a file, compressed or not, and as text the seals among them.

    Raises UsageError with the line that is neither.
    """
    from runbookd.stages.audit import row_of
    from runbookd.stages.checkpoint import is_statement

    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield line.decode().rstrip("\n") if is_statement(line) else row_of(line)
            except ValueError as error:
                message = f"{path}:{number}: not a line of `runbookd audit export` ({error})"
                raise click.UsageError(message) from None
