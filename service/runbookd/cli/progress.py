"""A run as it goes on: a table that changes at a terminal, else one line for each thing that happens."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import click

from runbookd.cli.output import QUIET, clean, console, length, short, style_of
from runbookd.cli.runs import last_looks, told
from runbookd.language.differences import lines
from runbookd.model.run import StepState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.live import Live
    from rich.table import Table

    from runbookd.cli.outline import Line
    from runbookd.model.run import Run, StepRecord


class Progress(Protocol):
    """Where a run is shown while it goes on."""

    def show(self, run: Run, steps: Sequence[StepRecord]) -> None:
        """Show how it stands now."""
        ...

    def close(self) -> None:
        """Leave what was shown last."""
        ...


class Silent:
    """Nothing is shown."""

    def show(self, run: Run, steps: Sequence[StepRecord]) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Nothing is left."""


class Lines:
    """One line per attempt that ended or began to wait, with the time since the run began.

    The looks of a check are told only when one says something else than the one before.
    """

    def __init__(self) -> None:
        self._told: set[tuple[str, int, StepState]] = set()
        self._looked: dict[str, tuple[StepState, str]] = {}

    def show(self, run: Run, steps: Sequence[StepRecord]) -> None:
        """Print what is new."""
        for step in steps:
            key = (step.path, step.attempt, step.state)
            if key in self._told or (step.state is StepState.INTENT and not step.mutating):
                continue
            self._told.add(key)
            at = (step.ended_at or step.started_at) - run.created_at
            said = step.message or step.reason or told(step)
            if self._is_repeated(step, said):
                continue
            mark = "!" if step.mutating else " "
            line = f"+{length(at):<6} {mark} {step.path}  {step.state.value}  {clean(said)}"
            click.echo(line.rstrip())
            for each in _changes(step, run):
                click.echo(f"{'':10}{clean(each)}")

    def _is_repeated(self, step: StepRecord, said: str) -> bool:
        """Whether this is a look that says what the one before it said."""
        check, _, look = step.path.rpartition("@")
        if not (check and look.isdecimal()):
            return False
        before, self._looked[check] = self._looked.get(check), (step.state, said)
        return before == (step.state, said)

    def close(self) -> None:
        """Nothing is left open."""


class LiveTable:
    """The playbook's outline, filled in as the run goes on."""

    def __init__(self, outline: Sequence[Line]) -> None:
        from rich.live import Live
        from rich.spinner import Spinner

        self._outline = outline
        self._spinner = Spinner("dots", style="cyan")
        self._live: Live = Live(console=console(), refresh_per_second=10, transient=False)
        self._live.start()

    def show(self, run: Run, steps: Sequence[StepRecord]) -> None:
        """Draw it anew."""
        self._live.update(self._table(run, last_looks(steps)))

    def close(self) -> None:
        """Leave the last picture on the screen."""
        self._live.stop()

    def _table(self, run: Run, steps: Sequence[StepRecord]) -> Table:
        from rich.table import Table
        from rich.text import Text

        now = datetime.now(UTC)
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=QUIET)
        for title, right in (("", False), ("STEP", False), ("", False), ("STATE", False), ("TRY", True)):
            table.add_column(title, no_wrap=True, justify="right" if right else "left")
        table.add_column("TOOK", justify="right", no_wrap=True)
        table.add_column("SAID", overflow="fold")
        for step in steps:
            running = step.state in {StepState.INTENT, StepState.WAITING} and not run.state.ended
            took = (step.ended_at or now) - step.started_at if running or step.ended_at else None
            said = "\n".join(
                clean(part) for part in (step.message or step.reason or told(step), *_changes(step, run))
            )
            table.add_row(
                self._spinner
                if running
                else Text(_MARKS.get(step.state, " "), style=style_of(step.state.value)),
                Text(step.path),
                Text("!" if step.mutating else "", style="yellow"),
                Text(
                    "running" if step.state is StepState.INTENT else step.state.value,
                    style=style_of(step.state.value),
                ),
                Text(str(step.attempt)),
                Text(length(took)),
                Text(said, style=QUIET),
            )
        for line in self._to_come(run, steps):
            mark = Text("!" if line.mutates else "", style=QUIET)
            table.add_row("", Text(line.path, style=QUIET), mark, "", "", "", Text(line.what, style=QUIET))
        return table

    def _to_come(self, run: Run, steps: Sequence[StepRecord]) -> list[Line]:
        """What of the outline has not begun; nothing once the run has ended."""
        if run.state.ended:
            return []
        begun = {step.path.partition("@")[0] for step in steps}
        return [line for line in self._outline if line.path not in begun]


def _changes(step: StepRecord, run: Run) -> list[str]:
    """What a step changed, or would have changed, in a few lines."""
    return lines(step.change, _CHANGES_SHOWN, f"runbookd runs show {short(run.id)}")


_CHANGES_SHOWN = 8
_MARKS = {
    StepState.SUCCEEDED: "✓",
    StepState.FAILED: "✗",
    StepState.IN_DOUBT: "?",
    StepState.SKIPPED: "-",
}
