"""`runbookd runs`: playbooks at work, step by step."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from runbookd.cli.complete import incident_ids, playbook_names, rule_names, run_ids
from runbookd.cli.database import change, find_incident, find_run, look
from runbookd.cli.group import ListGroup, examples
from runbookd.cli.output import (
    Column,
    clean,
    fields,
    heading,
    length,
    limit_option,
    listed,
    moment,
    output_option,
    print_json,
    short,
    table,
)
from runbookd.cli.shared import REASON, Shared, actor, pass_shared
from runbookd.errors import NotFound
from runbookd.language.differences import differences, was_dry_run
from runbookd.model.action import Mode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runbookd.model.run import Evidence, Run, StepRecord
    from runbookd.ports import Tx

STATES = ("running", "verified", "succeeded", "observed", "unverified", "failed", "cancelled", "refused")
COLUMNS = [
    Column("ID"),
    Column("PLAYBOOK"),
    Column("STATE", grow=True),
    Column("STARTED (UTC)"),
    Column("TOOK", right=True),
    Column("TARGET", grow=True),
]


@click.group(
    cls=ListGroup,
    epilog=examples(
        "runbookd runs --state failed --playbook rollback-release",
        "runbookd runs show 7f3k9x2b",
        "runbookd runs evidence 7f3k9x2b evidence/http.check",
    ),
)
def runs() -> None:
    """List runs, newest first; show one step by step; cancel one. Without a command: list."""


@runs.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@click.option(
    "--playbook", metavar="NAME", shell_complete=playbook_names, help="Only those of this playbook."
)
@click.option("--rule", metavar="NAME", shell_complete=rule_names, help="Only those of this rule.")
@click.option("--incident", metavar="ID", shell_complete=incident_ids, help="Only those for this incident.")
@limit_option(20)
@output_option
@pass_shared
def list_(shared: Shared, /, *, limit: int, output: str, **wanted: str | None) -> None:
    """List runs, newest first."""
    filters = {name: value for name, value in wanted.items() if value is not None}

    async def unit(tx: Tx) -> list[Run]:
        part = filters.pop("incident", None)
        incident = {"incident_id": (await find_incident(tx, part)).id} if part is not None else {}
        return await tx.runs.recent(limit, {**filters, **incident})

    found = look(shared, unit)
    if output == "json":
        from runbookd.cli.shapes import run_shape

        print_json([run_shape(run) for run in found])
        return
    now = datetime.now(UTC)
    table(COLUMNS, [row(run, now) for run in found])
    if not found:
        click.echo("no runs" if not any(wanted.values()) else "no runs like that", err=True)


@runs.command()
@click.argument("run_id", metavar="ID", shell_complete=run_ids)
@click.option("--all", "all_looks", is_flag=True, help="Every look of a check, not only the last.")
@output_option
@pass_shared
def show(shared: Shared, run_id: str, output: str, *, all_looks: bool) -> None:
    """Show one run: its inputs, every step, the evidence it kept.

    A step marked ! changes something. Long inputs are cut; `--output json` has them whole. ID may be any part of at
    least 4 letters that the id begins or ends with.
    """

    async def unit(tx: Tx) -> tuple[Run, list[StepRecord], list[Evidence]]:
        run = await find_run(tx, run_id)
        return run, await tx.runs.steps(run.id), await tx.runs.evidence(run.id)

    run, steps, evidence = look(shared, unit)
    if output == "json":
        print_json(shape(run, steps, evidence))
        return
    print_run(run)
    print_steps(steps if all_looks else last_looks(steps))
    print_changes(steps)
    if evidence:
        heading("Evidence")
        rows = [
            [piece.name, piece.media_type, str(len(piece.content)), piece.sha256[:16]] for piece in evidence
        ]
        titles = [Column("NAME", grow=True), Column("TYPE"), Column("BYTES", right=True), Column("SHA-256")]
        table(titles, rows, indent=2)


@runs.command(epilog=examples("runbookd runs evidence 7f3k9x2b evidence/http.request | jq .body"))
@click.argument("run_id", metavar="ID", shell_complete=run_ids)
@click.argument("name")
@pass_shared
def evidence(shared: Shared, run_id: str, name: str) -> None:
    """Write one piece of evidence to standard output, byte by byte."""

    async def unit(tx: Tx) -> list[Evidence]:
        return await tx.runs.evidence((await find_run(tx, run_id)).id)

    found = look(shared, unit)
    piece = next((piece for piece in found if piece.name == name), None)
    if piece is None:
        names = ", ".join(piece.name for piece in found) or "none at all"
        raise NotFound(f"the run kept no evidence named {name!r}; it kept: {names}")
    sys.stdout.buffer.write(piece.content)


@runs.command(epilog=examples('runbookd runs cancel 7f3k9x2b --reason "wrong cluster"'))
@click.argument("run_id", metavar="ID", shell_complete=run_ids)
@REASON
@pass_shared
def cancel(shared: Shared, run_id: str, reason: str) -> None:
    """Ask a run to stop at its next step border. Its `finally` steps are still done."""
    from runbookd.units.cancelling import cancel_run

    async def unit(tx: Tx) -> tuple[str, bool]:
        run = await find_run(tx, run_id)
        return run.id, await cancel_run(tx, run, reason, actor(), datetime.now(UTC))

    identity, asked = change(shared, unit)
    if not asked:
        raise click.UsageError(
            f"run {identity} has ended, or was asked to stop before; `runbookd runs show {short(identity)}` tells how"
        )
    click.echo(f"{identity} stops at its next step border")


_LONGEST_INPUT = 80
_IMPLIED = frozenset({None, "done", "step_failed", "not_verified"})
"""Reasons that say no more than the state does."""


def row(run: Run, now: datetime) -> list[str]:
    """One line of the list."""
    took = (run.ended_at or now) - run.created_at
    return [
        short(run.id),
        run.playbook,
        state_of(run),
        listed(run.created_at, now),
        length(took),
        run.target or "-",
    ]


def state_of(run: Run) -> str:
    """The state, and its reason when that says more."""
    state = run.state.value
    return state if run.reason in _IMPLIED or run.reason == state else f"{state} ({run.reason})"


def shape(run: Run, steps: Sequence[StepRecord], evidence: Sequence[Evidence]) -> dict[str, object]:
    """A run with everything that belongs to it, as JSON."""
    from runbookd.cli.shapes import evidence_shape, noun, run_shape

    return {
        **run_shape(run),
        "steps": [noun(step, "run_id", "epoch") for step in steps],
        "evidence": [evidence_shape(piece) for piece in evidence],
    }


def _what_changed(run: Run) -> str:
    """Say whether a run has changed anything; "" for one that has not yet."""
    if run.mode is Mode.OBSERVE or (run.state.ended and not run.mutated):
        return f": nothing {'was' if run.state.ended else 'is'} changed"
    return ", and may have changed something" if run.mutated else ""


def _cut(text: str) -> str:
    """Shorten an input: a whole program, say; `--output json` has all of it."""
    return text if len(text) <= _LONGEST_INPUT else f"{text[:_LONGEST_INPUT]}…"


def print_run(run: Run) -> None:
    """Print what is known of a run besides its steps."""
    from runbookd.cli.shapes import inputs_of, written

    took = length((run.ended_at or datetime.now(UTC)) - run.created_at)
    inputs = inputs_of(run)
    fields(
        [
            ("run", run.id),
            ("playbook", run.playbook),
            ("state", f"{state_of(run)} ({took})"),
            ("mode", f"{run.mode.value}{_what_changed(run)}"),
            ("target", run.target or ""),
            ("rule", f"{run.rule}, rung {run.rung + 1}" if run.rule else "none, started by hand"),
            ("incident", run.incident_id or ""),
            ("started", f"{moment(run.created_at)} UTC"),
            ("ended", f"{moment(run.ended_at)} UTC" if run.ended_at else ""),
            ("deadline", "" if run.ended_at else f"{moment(run.deadline_at)} UTC"),
            ("stopping", run.cancel_reason or "" if not run.ended_at else ""),
            ("inputs", "  ".join(f"{name}={_cut(written(value))}" for name, value in inputs.items())),
        ]
    )


def print_steps(steps: Sequence[StepRecord]) -> None:
    """Print the journal as a table."""
    if not steps:
        return
    heading("Steps")
    columns = [
        Column("STEP"),
        Column(" "),
        Column("STATE"),
        Column("TRY", right=True),
        Column("TOOK", right=True),
        Column("SAID", grow=True),
    ]
    table(columns, [step_row(step) for step in steps], indent=2)


def step_row(step: StepRecord) -> list[str]:
    """One attempt at one step."""
    took = step.ended_at - step.started_at if step.ended_at is not None else None
    reason = None if was_dry_run(step.reason) else step.reason  # its message says so
    said = ": ".join(part for part in (reason, step.message) if part) or told(step)
    return [step.path, "!" if step.mutating else "", step.state.value, str(step.attempt), length(took), said]


def print_changes(steps: Sequence[StepRecord]) -> None:
    """Print what steps changed, and what dry runs say would have been changed: the object, and each place in it."""
    for title, dry in (("Changed", False), ("Would change (dry run: nothing was changed)", True)):
        found = [
            (step, places)
            for step in steps
            if was_dry_run(step.reason) is dry and (places := differences(step.change))
        ]
        if found:
            heading(title)
        for step, places in found:
            target = step.output.get("target")
            click.echo(f"  {clean(f'{step.path}  {target or step.action}')}")
            for place in places:
                click.echo(f"    {clean(str(place))}")


def told(step: StepRecord) -> str:
    """What there is to say of a step without a reason: the message it was there to write, else its action."""
    message = step.output.get("message") if step.action == "flow.log" else None
    return str(message) if message else step.action or ""


def last_looks(steps: Sequence[StepRecord]) -> list[StepRecord]:
    """Shorten the journal for people: of a check only its end, or else its last look, whose number is the attempt.

    Checks stand in the order of the playbook, where the journal has them as they came.
    """
    ended = {step.path for step in steps}
    shown: dict[tuple[str, int], StepRecord] = {}
    for step in steps:
        path, _, look = step.path.rpartition("@")
        if look.isdecimal() and path:
            if path not in ended:
                shown[path, 0] = replace(step, path=path, attempt=int(look))
        else:
            shown[step.path, step.attempt] = step
    place = {path: number for number, (path, _) in enumerate(shown)}

    def order(step: StepRecord) -> tuple[int, str]:
        checks, _, number = step.path.rpartition("/")
        is_check = checks.rpartition("/")[2] == "verify" and checks in place
        return (place[checks], number.zfill(4)) if is_check else (place[step.path], "")

    return sorted(shown.values(), key=order)
