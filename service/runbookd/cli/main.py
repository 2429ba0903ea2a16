"""`runbookd`: the table of commands, the options all share, and the one place where an error becomes a message.

Nothing but click is imported here, so that `runbookd --help` and completion answer at once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runbookd.cli import exit_codes
from runbookd.cli.group import Lazy, LazyGroup, ReaderLeft
from runbookd.cli.shared import Shared
from runbookd.errors import ContentError, NotFound, RunbookdError, StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

_RUN, _WRITE, _LOOK, _HELP = "Run", "Write rules and playbooks", "Look", "About runbookd itself"
_ANSWER = "Answer an incident"

COMMANDS = {
    "serve": Lazy("runbookd.cli.serve:serve", _RUN, "Run the service until it is told to stop."),
    "migrate": Lazy("runbookd.cli.migrate:migrate", _RUN, "Bring the database's schema up to date."),
    "backup": Lazy("runbookd.cli.backup:backup", _RUN, "Copy the database while it is in use."),
    "restore": Lazy("runbookd.cli.restore:restore", _RUN, "Put a backup in the database's place."),
    "prune": Lazy("runbookd.cli.prune:prune", _RUN, "Forget what is older than the settings keep."),
    "demo": Lazy("runbookd.cli.demo:demo", _RUN, "Break a small shop and watch it being mended."),
    "run": Lazy("runbookd.cli.run:run", _RUN, "Run one playbook now, by hand."),
    "pause": Lazy("runbookd.cli.pause:pause", _RUN, "Stop everything that changes anything."),
    "resume": Lazy("runbookd.cli.pause:resume", _RUN, "Let runs act again after a pause."),
    "holds": Lazy("runbookd.cli.holds:holds", _RUN, "List targets kept for people; release one."),
    "ack": Lazy("runbookd.cli.people:ack", _ANSWER, "Take an incident."),
    "note": Lazy("runbookd.cli.people:note", _ANSWER, "Write something down about an incident."),
    "assign": Lazy("runbookd.cli.people:assign", _ANSWER, "Say who leads an incident."),
    "escalate": Lazy(
        "runbookd.cli.people:escalate", _ANSWER, "Tell the next level now, or raise the priority."
    ),
    "resolve": Lazy("runbookd.cli.people:resolve", _ANSWER, "End an incident."),
    "review": Lazy("runbookd.cli.review:review", _ANSWER, "Draft the post-incident review; say it is done."),
    "check": Lazy("runbookd.cli.check:check", _WRITE, "Check rules and playbooks, and run their tests."),
    "explain": Lazy(
        "runbookd.cli.explain:explain", _WRITE, "Say what would be done about an event, and why."
    ),
    "actions": Lazy("runbookd.cli.actions:actions", _WRITE, "List the actions a playbook may call."),
    "rbac": Lazy("runbookd.cli.rbac:rbac", _WRITE, "Print the Kubernetes rights the content needs."),
    "schema": Lazy("runbookd.cli.schema:schema", _WRITE, "Print the JSON Schemas that editors use."),
    "status": Lazy("runbookd.cli.status:status", _LOOK, "Say how things stand, on one screen."),
    "incidents": Lazy(
        "runbookd.cli.incidents:incidents", _LOOK, "List incidents; show one with its timeline."
    ),
    "messages": Lazy("runbookd.cli.messages:messages", _LOOK, "List messages to people; show one."),
    "runs": Lazy("runbookd.cli.runs:runs", _LOOK, "List runs; show one step by step; cancel one."),
    "schedules": Lazy(
        "runbookd.cli.schedules:schedules", _LOOK, "List what runs by the clock, and what became of it."
    ),
    "events": Lazy("runbookd.cli.events:events", _LOOK, "List what senders told; show one event."),
    "audit": Lazy("runbookd.cli.audit:audit", _LOOK, "Show, verify and export the ledger."),
    "completion": Lazy("runbookd.cli.completion:completion", _HELP, "Print the shell's completion script."),
    "version": Lazy("runbookd.cli.version:version", _HELP, "Print versions."),
}

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_EPILOG = f"""\b
Exit codes:
  {exit_codes.OK}    all is well
  {exit_codes.BAD}    what was asked about is bad: a problem found, a run not verified, a ledger broken
  {exit_codes.USAGE}    the command line, the settings, or the rules and playbooks are wrong
  {exit_codes.NOT_FOUND}    there is nothing by that name or id
  {exit_codes.UNAVAILABLE}    the database or a file cannot be used
  {exit_codes.INTERRUPTED}  ended by Ctrl-C
"""


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    anywhere=("--config", "--database", "--rules", "--playbooks"),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=_EPILOG,
)
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="RUNBOOKD_CONFIG",
    metavar="FILE",
    help="Settings, as TOML; RUNBOOKD_... variables outrank it.  [env: RUNBOOKD_CONFIG]",
)
@click.option(
    "--database",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The SQLite file.  [default: the settings' own, runbookd.db]",
)
@click.option(
    "--rules", type=_FOLDER, multiple=True, metavar="DIR", help="A folder of rules; may be given again."
)
@click.option(
    "--playbooks",
    type=_FOLDER,
    multiple=True,
    metavar="DIR",
    help="A folder of playbooks; may be given again.",
)
@click.pass_context
def cli(
    ctx: click.Context,
    config: Path | None,
    database: Path | None,
    rules: tuple[Path, ...],
    playbooks: tuple[Path, ...],
) -> None:
    """Run an operations runbook by itself: alerts in, verified remedies and an audit trail out.

    The options below may stand before or after the command.
    """
    if os.environ.get("NO_COLOR"):  # https://no-color.org
        ctx.color = False
    ctx.obj = Shared(config=config, database=database, rules=rules, playbooks=playbooks)


def main(args: Sequence[str] | None = None) -> None:
    """Run one command and leave the process with its exit code."""
    try:
        code = cli.main(args, prog_name="runbookd", standalone_mode=False)
        sys.stdout.flush()
    except (ReaderLeft, BrokenPipeError):
        # What is still buffered cannot be written either, and Python would complain at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = exit_codes.BROKEN_PIPE
    except (click.ClickException, click.Abort, KeyboardInterrupt, RunbookdError, OSError) as error:
        code = failed(error)
    sys.exit(code or exit_codes.OK)


def failed(error: BaseException) -> int:
    """Tell the reader on standard error, and return the exit code."""
    if isinstance(error, click.UsageError):
        click.echo(_message(error.format_message()), err=True)
        if error.ctx is not None:
            click.echo(f"Try '{error.ctx.command_path} --help'.", err=True)
        return exit_codes.USAGE
    if isinstance(error, click.ClickException):
        click.echo(_message(error.format_message()), err=True)
        return exit_codes.USAGE
    if isinstance(error, click.Abort | KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return exit_codes.INTERRUPTED
    if isinstance(error, ContentError):
        count = len(error.problems)
        click.echo(f"error: the rules and playbooks have {count} problem{'s' * (count != 1)}:", err=True)
        click.echo(str(error), err=True)
        return exit_codes.USAGE
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        click.echo(_message(f"{where}{error.strerror or error}"), err=True)
        return exit_codes.UNAVAILABLE
    click.echo(_message(str(error)), err=True)
    if isinstance(error, NotFound):
        return exit_codes.NOT_FOUND
    return exit_codes.UNAVAILABLE if isinstance(error, StoreError) else exit_codes.USAGE


def _message(text: str) -> str:
    """Begin each error alike, in lower case unless it begins with a name."""
    first, _, rest = text.partition(" ")
    begins = first.lower() if first.istitle() and first.isalpha() else first
    return f"error: {begins} {rest}".rstrip()


if __name__ == "__main__":
    main()
