"""How answers look: tables and fields for people, one JSON value for machines.

At a terminal `rich` fits them to its width and colours the words that matter; anywhere else they are aligned text
without colour or cuts. What senders wrote is data: control characters are shown, never obeyed.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from rich.console import Console
    from rich.text import Text

GOOD, BAD_LOOK, BUSY, QUIET = "green", "bold red", "cyan", "dim"
STYLES = {
    **dict.fromkeys(("verified", "succeeded", "resolved", "matched", "ok", "met", "go"), GOOD),
    **dict.fromkeys(("failed", "unverified", "in_doubt", "breached", "paused", "dead"), BAD_LOOK),
    **dict.fromkeys(("refused", "cancelled", "open", "firing", "intent"), "yellow"),
    **dict.fromkeys(("running", "waiting", "pending", "new_alert", "observed"), BUSY),
    **dict.fromkeys(("skipped", "repeat", "-"), QUIET),
}
"""Colours by word, the same in every table; a cell that begins with the word has its colour."""

_PRECISE = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Column:
    """One column. Of those that `grow`, a narrow terminal shows less or more lines; the others are shown whole."""

    title: str
    grow: bool = False
    right: bool = False


def output_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--output text|json`, as its argument `output`."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="Text for people, or JSON: names of fields are stable, times are RFC 3339 in UTC.",
    )(command)


def limit_option(default: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command `--limit`."""
    return click.option(
        "-n",
        "--limit",
        type=click.IntRange(1, 100_000),
        default=default,
        show_default=True,
        metavar="N",
        help="At most so many, the newest.",
    )


def print_json(value: object) -> None:
    """Print a tree of JSON types."""
    click.echo(json.dumps(value, indent=2))


def at_terminal() -> bool:
    """Whether a person looks at standard output."""
    return sys.stdout.isatty()


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, indent: int = 0) -> None:
    """Print rows under their titles; no rows print nothing."""
    if not rows:
        return
    shown = [[clean(cell) for cell in row] for row in rows]
    if at_terminal():
        _rich_table(columns, shown, indent)
    else:
        titles = [[column.title for column in columns]] if any(column.title for column in columns) else []
        _plain_table(columns, [*titles, *shown], indent)


def fields(pairs: Iterable[tuple[str, str]], *, indent: int = 0) -> None:
    """Print names with their values below each other; a pair without a value is left out."""
    table([Column(""), Column("", grow=True)], [pair for pair in pairs if pair[1]], indent=indent)


def heading(text: str) -> None:
    """Print a heading with an empty line before it."""
    click.echo(f"\n{click.style(clean(text), bold=True)}")


def clean(text: str) -> str:
    """Make sender's text safe to print on one line: line ends become spaces, other controls visible escapes."""
    if text.isprintable():
        return text
    spaced = " ".join(text.split())
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in spaced
    )


def moment(at: datetime | None) -> str:
    """Write a time in UTC, to the second; `-` for None."""
    return "-" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"


def age(at: datetime, now: datetime) -> str:
    """Write how long ago something was: nothing is to come, though the clock of its host may be ahead of ours."""
    return length(max(now - at, timedelta(0)))


def listed(at: datetime, now: datetime) -> str:
    """Write a time for a list: at a terminal without what today goes without saying; else whole."""
    if not at_terminal():
        return moment(at)
    return f"{at:%H:%M:%S}" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M}"


def length(took: timedelta | None) -> str:
    """Write how long something took as people say it: `0.4s`, `12s`, `5m3s`, `2d4h`; `-` for None."""
    if took is None:
        return "-"
    if abs(took) < _PRECISE:
        return f"{took.total_seconds():.1f}s"
    seconds = round(took.total_seconds())
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts[:2])


def short(identity: str | None) -> str:
    """Return an id as tables show it: at a terminal its last eight letters, which every command takes; else whole."""
    if identity is None:
        return "-"
    return identity[-8:] if at_terminal() else identity


def style_of(cell: str) -> str:
    """Return the colour of a cell; empty when it has none."""
    return STYLES.get(cell.partition(" ")[0], "")


def console() -> Console:
    """Return a terminal that takes every text as it is; with NO_COLOR set, without bold and dim as well."""
    from rich.console import Console

    made = Console(highlight=False, markup=False, emoji=False)
    return Console(highlight=False, markup=False, emoji=False, color_system=None) if made.no_color else made


def _rich_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], indent: int) -> None:
    from rich.padding import Padding
    from rich.table import Table

    titled = any(column.title for column in columns)
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=titled, header_style=QUIET)
    for number, column in enumerate(columns):
        style = QUIET if not titled and number == 0 else None
        made.add_column(
            column.title,
            justify="right" if column.right else "left",
            no_wrap=not column.grow,
            overflow="fold" if column.grow else "ignore",
            style=style,
        )
    for row in rows:
        made.add_row(*(_text(cell) for cell in row))
    console().print(Padding(made, (0, 0, 0, indent)))


def _text(cell: str) -> Text:
    from rich.text import Text

    return Text(cell, style=style_of(cell))


def _plain_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], indent: int) -> None:
    widths = [max(len(row[number]) for row in rows) for number in range(len(columns))]
    for row in rows:
        cells = [
            cell.rjust(width) if column.right else cell.ljust(width)
            for column, cell, width in zip(columns, row, widths, strict=True)
        ]
        click.echo(" " * indent + "  ".join(cells).rstrip())
