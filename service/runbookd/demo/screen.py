"""What the demo's reader sees: lines with the seconds since the start, in colour at a terminal, plain when piped."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Sequence
from datetime import datetime
from typing import TextIO

_NOUN = 14
_INDENT = len("+123.4 s  ") + _NOUN
_NARROWEST = 40


class Screen:
    """Writes to one stream; NO_COLOR is honoured (https://no-color.org)."""

    def __init__(self, out: TextIO) -> None:
        """Seconds count from now."""
        from rich.console import Console

        self._console = Console(file=out, highlight=False, soft_wrap=True)
        if self._console.no_color:  # rich leaves bold and dim
            self._console = Console(file=out, highlight=False, soft_wrap=True, color_system=None)
        self._width = max(_NARROWEST, self._console.width - _INDENT) if out.isatty() else 10_000
        self.started = time.time()

    def line(self, text: str = "", style: str = "") -> None:
        """Write a line as it is."""
        self._console.print(text, style=style, markup=False)

    def say(self, noun: str, text: str, *, style: str = "", at: datetime | None = None) -> None:
        """Write what happened: `noun` is who did it or the stage it belongs to, `at` None is now."""
        from rich.text import Text

        seconds = (at.timestamp() if at is not None else time.time()) - self.started
        first, *others = textwrap.wrap(text, self._width) or [""]
        line = Text.assemble((f"{seconds:+7.1f} s  ", "dim"), (noun.ljust(_NOUN), "cyan"), (first, style))
        self._console.print(line)
        for other in others:
            self._console.print(Text(" " * _INDENT + other, style))

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Write aligned columns."""
        widths = [max(len(row[n]) for row in (head, *rows)) for n in range(len(head))]
        for row, style in ((head, "dim"), *((row, "") for row in rows)):
            cells = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.line(f"  {cells}".rstrip(), style)
