"""What the demo's reader sees: lines with the seconds since the start, in colour at a terminal, plain when piped."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.text import Text

_NOUN = 14
_INDENT = len("+1234.5 s  ") + _NOUN
_NARROWEST = 40
_QUOTED = "  | "
_UNBROKEN = 10_000


class Screen:
    """Writes to one stream; NO_COLOR is honoured (https://no-color.org)."""

    def __init__(self, out: TextIO) -> None:
        """Seconds count from now."""
        from rich.console import Console

        if isinstance(out, io.TextIOWrapper):
            out.reconfigure(errors="replace")  # messages hold signs that not every terminal knows
        self._console = Console(file=out, highlight=False, soft_wrap=True)
        if self._console.no_color:  # rich leaves bold and dim
            self._console = Console(file=out, highlight=False, soft_wrap=True, color_system=None)
        self._width = self._console.width if out.isatty() else _UNBROKEN
        self.started = time.time()

    def line(self, text: str = "", style: str = "") -> None:
        """Write a line as it is."""
        self._console.print(text, style=style, markup=False)

    def say(self, noun: str, text: str, *, style: str = "", at: datetime | None = None) -> None:
        """Write what happened: `noun` is who did it or the stage it belongs to, `at` None is now."""
        from rich.text import Text

        seconds = (at.timestamp() if at is not None else time.time()) - self.started
        head = Text.assemble((f"{seconds:+7.1f} s  ", "dim"), (noun.ljust(_NOUN), "cyan"))
        for line in self._wrapped(text, style, _INDENT):
            self._console.print(head + line)
            head = Text(" " * _INDENT)

    def quote(self, text: str, style: str = "") -> None:
        """Write what somebody said, set off from the rest."""
        from rich.text import Text

        for line in self._wrapped(text, style, len(_QUOTED)):
            quoted = Text.assemble((_QUOTED, "dim"), line)
            quoted.rstrip()
            self._console.print(quoted)

    def _wrapped(self, text: str, style: str, indent: int) -> list[Text]:
        """Break a text into lines that fit beside an indent; signs may be two columns wide."""
        from rich.text import Text

        width = max(_NARROWEST, self._width - indent)
        parts = [Text(part, style) for part in text.splitlines()] or [Text()]
        lines = [line for part in parts for line in part.wrap(self._console, width)]
        for line in lines:
            line.rstrip()
        return lines

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Write aligned columns."""
        widths = [max(len(row[n]) for row in (head, *rows)) for n in range(len(head))]
        for row, style in ((head, "dim"), *((row, "") for row in rows)):
            cells = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.line(f"  {cells}".rstrip(), style)
