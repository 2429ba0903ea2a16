"""`runbookd run`: one playbook, now, by hand."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runbookd.cli import exit_codes
from runbookd.cli.complete import playbook_names
from runbookd.cli.database import CHAIN
from runbookd.cli.group import examples
from runbookd.cli.output import at_terminal, console, length, output_option, print_json, short, style_of
from runbookd.cli.shared import Shared, actor, pass_shared
from runbookd.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runbookd.cli.progress import Progress
    from runbookd.model.run import Run, StepRecord
    from runbookd.model.work import Work
    from runbookd.ports import Tx
    from runbookd.stages.plan import Answer
    from runbookd.units.manual import Request
    from runbookd.wiring import Parts

_MADE_WAY_WITHIN = timedelta(minutes=1)
_LOOK_EVERY = 0.5
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(
    epilog=examples(
        "runbookd run check-endpoint --input url=https://example.com/health",
        "runbookd run rollback-release --inputs-json inputs.json --observe",
    )
)
@click.argument("playbook", shell_complete=playbook_names)
@click.option(
    "-i",
    "--input",
    "given",
    multiple=True,
    metavar="NAME=VALUE",
    help="An input, read as the type it declares; NAME=@FILE takes a file's text. May hold ${secret.NAME}.",
)
@click.option(
    "--inputs-json", type=_FILE, metavar="FILE", help="Inputs as a JSON object; --input outranks it."
)
@click.option("--observe", is_flag=True, help="Do everything but the calls that change something.")
@click.option(
    "--event",
    "event_file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    metavar="FILE",
    help="What the playbook sees as `event`: a webhook body, an alert or an event, as JSON.",
)
@output_option
@pass_shared
def run(
    shared: Shared,
    /,
    playbook: str,
    given: tuple[str, ...],
    output: str,
    **options: Path | bool | None,
) -> int:
    """Run a playbook by hand, in this process, on the configured database, which has to be there.

    The target's lock, protected targets and the budget bind it as they bind a rule; the pauses of rules do not. A
    playbook that holds its target asks the run at work there to stop, and waits for that.
    Everything is in the journal and the ledger, with your name. Ctrl-C asks the run to stop at its next step border;
    a second one leaves it, to be carried on by the service. Exits with 1 when the run did not end well.
    """
    from runbookd.cli.event_file import events_in
    from runbookd.cli.inputs import read_inputs
    from runbookd.content.load import load
    from runbookd.model.action import Mode
    from runbookd.runtime.logs import set_up
    from runbookd.units.manual import Request

    set_up("console", "ERROR")
    file, event_file = options["inputs_json"], options["event_file"]
    events = events_in(event_file) if isinstance(event_file, Path) else []

    settings = shared.settings()
    library = load(settings.rules, settings.playbooks, shared.catalogue())
    if playbook not in library.playbooks:
        raise NotFound(_no_playbook(playbook, library.playbooks))
    declared = library.playbooks[playbook].inputs
    request = Request(
        playbook=playbook,
        inputs=read_inputs(declared, given, file if isinstance(file, Path) else None),
        mode=Mode.OBSERVE if options["observe"] else Mode.ACT,
        actor=actor(),
        event=events[0] if events else None,
    )

    async def go() -> int:
        from runbookd.wiring import wire

        async with wire(settings, library, migrate=False, chain=CHAIN) as parts:
            return await _run(parts, request, output)

    return asyncio.run(go())


async def _run(parts: Parts, request: Request, output: str) -> int:
    """Start, carry to the end, and say how it ended."""
    from runbookd.cli.carry import Abandoned, Carrier
    from runbookd.stages.plan import Answer

    owner = f"cli/{parts.ids.new('w')}"
    started, work = await _start_when_free(parts, request, owner)
    if isinstance(started, Answer):
        return _refused(started, output)
    text = output == "text"
    if started.mode is not request.mode:
        click.echo("the service is paused or observes only: nothing will be changed", err=True)
    if text:
        target = f" on {started.target}" if started.target else ""
        click.echo(f"{started.id}  {started.playbook}{target}, mode {started.mode.value}")
    progress = _progress(parts, request.playbook, output)
    carrier = Carrier(parts=parts, run_id=started.id, owner=owner, actor=request.actor, show=progress.show)
    try:
        ended, steps = await carrier.to_the_end(work)
    except Abandoned:
        progress.close()
        lease = length(parts.settings.lease)
        click.echo(
            f"left: {started.id} is not over. A service on this database carries it on once the claim of this "
            f"process has run out ({lease}): `runbookd serve`. `runbookd runs show {short(started.id)}` tells how it "
            "stands; `runbookd runs cancel` stops it.",
            err=True,
        )
        return exit_codes.INTERRUPTED
    finally:
        progress.close()
    return await _ended(parts, ended, steps, output)


async def _start_when_free(parts: Parts, request: Request, owner: str) -> tuple[Run | Answer, Work | None]:
    """Start the run, as soon as one that was asked to make way for it has stopped, if that is soon."""
    from runbookd.model.reasons import Guard
    from runbookd.stages.plan import Answer

    end, told = parts.clock.now() + _MADE_WAY_WITHIN, False
    while True:
        started, work = await _start(parts, request, owner)
        waits = isinstance(started, Answer) and started.reason is Guard.TARGET_WAITED_FOR
        if not waits or parts.clock.now() >= end:
            return started, work
        if isinstance(started, Answer) and not told:
            click.echo(f"{started.detail}; this one begins when it has", err=True)
            told = True
        await asyncio.sleep(_LOOK_EVERY)


async def _start(parts: Parts, request: Request, owner: str) -> tuple[Run | Answer, Work | None]:
    """Start the run and claim it in one transaction, so that it begins here."""
    from runbookd.model.run import Run
    from runbookd.model.work import WorkKind
    from runbookd.units.manual import start_run

    now = parts.clock.now()

    async def unit(tx: Tx) -> tuple[Run | Answer, Work | None]:
        started = await start_run(tx, parts.pipeline.desk, request, now)
        if not isinstance(started, Run):
            return started, None
        return started, await tx.work.take(WorkKind.ADVANCE, started.id, owner, now, parts.settings.lease)

    return await parts.store.write(unit)


def _refused(answer: Answer, output: str) -> int:
    """Say why it did not start: a mistake in the inputs is the caller's, a guard's word is an answer."""
    from runbookd.model.reasons import Guard

    if answer.reason in {Guard.BAD_INPUT, Guard.MISSING_VALUE}:
        raise click.UsageError(answer.detail)
    if output == "json":
        print_json({"state": "refused", "reason": answer.reason.value, "message": answer.detail})
    else:
        click.echo(f"{click.style('refused', fg='yellow')}: {answer.reason.value}: {answer.detail}")
    return exit_codes.BAD


def _progress(parts: Parts, playbook: str, output: str) -> Progress:
    from runbookd.cli.outline import outline
    from runbookd.cli.progress import Lines, LiveTable, Silent

    if output == "json":
        return Silent()
    if at_terminal() and console().color_system is not None:
        return LiveTable(outline(parts.pipeline.desk.library.playbooks[playbook], parts.catalogue))
    return Lines()


async def _ended(parts: Parts, ended: Run, steps: list[StepRecord], output: str) -> int:
    from runbookd.cli.check import counted
    from runbookd.cli.runs import shape, state_of

    evidence = await parts.store.read(lambda tx: tx.runs.evidence(ended.id))
    good = ended.state.good or ended.state.value == "observed"
    if output == "json":
        print_json(shape(ended, steps, evidence))
        return exit_codes.OK if good else exit_codes.BAD
    state = ended.state.value
    reason = state_of(ended).removeprefix(state)
    took = length((ended.ended_at or ended.created_at) - ended.created_at)
    colour = style_of(state).rpartition(" ")[2] or None
    unchanged = ": nothing was changed" if ended.mode.value == "observe" or not ended.mutated else ""
    click.echo(f"\n{click.style(state, fg=colour, bold=True)}{reason} in {took}{unchanged}")
    if evidence:
        kept = counted(len(evidence), "piece")
        click.echo(f"{kept} of evidence: runbookd runs show {short(ended.id)}")
    return exit_codes.OK if good else exit_codes.BAD


def _no_playbook(name: str, known: Iterable[str]) -> str:
    from runbookd.language.fuzzy import did_you_mean

    listed = ", ".join(sorted(known)) or "none"
    return f"there is no playbook {name!r}.{did_you_mean(name, known)} There are: {listed}"
