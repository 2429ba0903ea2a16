"""`command.run`: run a program the operator has listed, with arguments that fit its patterns.

Changes whatever the program changes, unless its entry says `reads_only: true`. Not undone: what a program did is not
known here; a playbook that can reverse it runs another listed program. There is no shell, no PATH, no inherited
environment and no input. When its time is up the whole process group is killed.
https://docs.python.org/3/library/asyncio-subprocess.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated

from pydantic import Field, StringConstraints

from runbookd.actions.base import Action, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.actions.command.process import Ended, Stream, finish, start
from runbookd.actions.config import ActionsConfig, Command
from runbookd.actions.failures import Rejected
from runbookd.language.cel import matches_whole
from runbookd.language.fuzzy import did_you_mean
from runbookd.model.action import Repeat, Spec
from runbookd.model.base import Name

_SAID = 500
"""Characters of the error stream that a failure repeats."""


class Params(BaseParams):
    """Which program, and its arguments."""

    command: Name = Field(description="Its name under `actions.commands` in the settings.")
    args: list[Annotated[str, StringConstraints(max_length=10_000)]] = Field(
        default_factory=list,
        max_length=1000,
        description="Its arguments, one text each; they are never split.",
    )
    expect_exit: list[int] = Field(default=[0], min_length=1, description="Exit codes that count as success.")


class Result(BaseResult):
    """What came of it."""

    exit_code: int = Field(description="Its exit code; negative when a signal ended it.")
    stdout: str = Field(description="The end of what it wrote; bytes that are no UTF-8 become U+FFFD.")
    stderr: str = Field(description="The end of what it wrote to its error stream.")
    stdout_truncated: bool = Field(description="True when it wrote more than is kept.")
    stderr_truncated: bool = Field(description="True when it wrote more to its error stream than is kept.")


SPEC = Spec(
    name="command.run",
    summary="Run a program that the operator has listed.",
    mutates=True,
    repeat=Repeat.NEVER,
    undo="Not undone: what the program did is not known here.",
    timeout=timedelta(minutes=1),
    example={"command": "restart-relay", "args": ["eu-1"]},
)


def mutates(params: Mapping[str, object], config: ActionsConfig) -> bool:
    """Unless the listed program only reads."""
    entry = config.commands.get(str(params.get("command")))
    return entry is None or not entry.reads_only


def repeats(params: Mapping[str, object], config: ActionsConfig) -> Repeat:
    """As its entry says; a program that only reads may always be run again."""
    entry = config.commands.get(str(params.get("command")))
    if entry is None:
        return Repeat.NEVER
    return Repeat.SAFE if entry.reads_only else Repeat(entry.repeat)


async def run(params: Params, context: Context) -> Result:
    """Run it; raises Rejected when it is not listed, an argument does not fit, or the exit code is unexpected."""
    entry = _entry(params.command, context.config)
    _check_args(params, entry)
    env = dict(entry.env) | {variable: context.secret(name) for variable, name in entry.env_secrets.items()}
    context.sent = False
    try:
        process = await start([entry.path, *params.args], env, entry.cwd)
    except (OSError, ValueError) as error:
        message = f"the command {params.command!r} could not be started: {error}"
        raise Rejected(message, kind="not_found") from error
    context.sent = True
    ended = await finish(process, entry.max_output)
    if ended.exit_code in params.expect_exit:
        return _result(ended)
    context.attach(f"{params.command}.stdout", "text/plain", ended.stdout.content)
    context.attach(f"{params.command}.stderr", "text/plain", ended.stderr.content)
    said = _text(ended.stderr).strip()[-_SAID:] or "it wrote nothing to its error stream"
    raise Rejected(
        f"the command {params.command!r} ended with {_how(ended.exit_code)}: {said}", kind="exit_status"
    )


def _entry(command: str, config: ActionsConfig) -> Command:
    if command in config.commands:
        return config.commands[command]
    hint = did_you_mean(command, config.commands)
    raise Rejected(f"there is no {command!r} in `actions.commands` of the settings.{hint}", kind="refused")


def _check_args(params: Params, entry: Command) -> None:
    """Raise Rejected (`refused`) unless every argument fits, as a whole, the pattern at its position."""
    given: Sequence[str] = params.args
    patterns = [*entry.args, *([entry.more] * (len(given) - len(entry.args)) if entry.more else [])]
    if len(given) != len(patterns):
        most = " or more" if entry.more else ""
        message = (
            f"the command {params.command!r} takes {len(entry.args)}{most} arguments, {len(given)} were given"
        )
        raise Rejected(message, kind="refused")
    for position, (value, pattern) in enumerate(zip(given, patterns, strict=True), start=1):
        if "\0" in value or not matches_whole(pattern, value):
            message = (
                f"argument {position} of the command {params.command!r} does not fit the pattern {pattern}"
            )
            raise Rejected(message, kind="refused")


def _result(ended: Ended) -> Result:
    return Result(
        exit_code=ended.exit_code,
        stdout=_text(ended.stdout),
        stderr=_text(ended.stderr),
        stdout_truncated=ended.stdout.truncated,
        stderr_truncated=ended.stderr.truncated,
    )


def _text(stream: Stream) -> str:
    return stream.content.decode("utf-8", "replace")


def _how(exit_code: int) -> str:
    return f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run, mutates=mutates, repeats=repeats)
