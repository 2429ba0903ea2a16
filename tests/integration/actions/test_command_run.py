"""`command.run` with real programs: what may run, what it is given, and how it ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from runbookd.actions.catalogue import ActionCatalogue
from runbookd.actions.config import ActionsConfig
from runbookd.model.action import Mode, OutcomeState, Repeat
from tests.contract.actions.hands import call, failed, perform, performing, succeeded
from tests.servers import eventually

PYTHON = {"path": sys.executable, "args": ["-I", "-c"], "more": r"[\s\S]*"}
COMMANDS: Mapping[str, Any] = {
    "commands": {
        "python": PYTHON,
        "reader": {**PYTHON, "reads_only": True},
        "repeatable": {**PYTHON, "repeat": "safe"},
        "short": {**PYTHON, "max_output": 10},
        "settled": {**PYTHON, "env": {"A": "1"}, "env_secrets": {"PW": "pw"}, "cwd": "/usr"},
        "relay": {"path": "/bin/echo", "args": ["restart", "eu-[0-9]"]},
        "gone": {"path": "/nowhere/at/all"},
    }
}


def python(script: str, *args: str, command: str = "python", **params: object) -> Mapping[str, object]:
    """The parameters that run a script."""
    return {"command": command, "args": ["-I", "-c", script, *args], **params}


async def run(params: Mapping[str, object], within: float = 20) -> Mapping[str, Any]:
    """The result of a run that succeeds."""
    return succeeded(await perform("command.run", params, COMMANDS, within=within))


async def test_both_streams_and_the_exit_code_come_back() -> None:
    """What a program writes to its two streams is told apart."""
    seen = await run(python("import sys; print('out'); print('err', file=sys.stderr)"))
    assert (seen["exit_code"], seen["stdout"], seen["stderr"]) == (0, "out\n", "err\n")
    assert (seen["stdout_truncated"], seen["stderr_truncated"]) == (False, False)


async def test_arguments_are_never_a_shell_s() -> None:
    """Arguments reach the program as they are: no expansion, no splitting, no second command."""
    hostile = ["$(id)", "`id`", "; id", "a b", "*", "${HOME}", "'\"\\", "-x"]
    seen = await run(python("import sys; print(sys.argv[1:])", *hostile))
    assert seen["stdout"] == f"{hostile}\n"


async def test_nothing_is_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment is the settings' own, the input is closed, the folder is the one named; secrets are wiped."""
    monkeypatch.setenv("CANARY", "canary")
    script = "import os, sys; print(sorted(os.environ.items()), os.getcwd(), repr(sys.stdin.read()))"
    async with performing(COMMANDS, pw="s3cret") as performer:
        outcome = await performer.perform(call("command.run", python(script, command="settled")))
    text = succeeded(outcome)["stdout"]
    assert "('A', '1')" in text
    assert "('PW', '***')" in text
    assert "/usr ''" in text
    assert "CANARY" not in text


async def test_long_output_keeps_its_end() -> None:
    """Only the last bytes are kept, and it is told that there were more."""
    seen = await run(python("print('x' * 300_000 + 'end')", command="short"))
    assert (seen["stdout"], seen["stdout_truncated"], seen["stderr_truncated"]) == (
        "xxxxxxend\n",
        True,
        False,
    )


async def test_an_unexpected_exit_code_fails_with_the_reason() -> None:
    """Another exit code fails, with the error stream's end in the message and both streams kept as evidence."""
    script = "import sys; print('out'); sys.exit('it is broken')"
    outcome = await perform("command.run", python(script), COMMANDS)
    assert failed(outcome, "exit_status") == "the command 'python' ended with exit code 1: it is broken"
    assert {piece.name: piece.content for piece in outcome.evidence} == {
        "python.stdout": b"out\n",
        "python.stderr": b"it is broken\n",
    }
    assert (await run(python(script, expect_exit=[0, 1])))["exit_code"] == 1


async def test_a_signal_is_told() -> None:
    """A program that a signal ended says which."""
    script = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"
    message = failed(await perform("command.run", python(script), COMMANDS), "exit_status")
    assert message.startswith("the command 'python' ended with signal 15: it wrote nothing")


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"command": "relai"}, "Did you mean 'relay'"),
        ({"command": "relay", "args": ["restart"]}, "takes 2 arguments, 1 were given"),
        ({"command": "relay", "args": ["restart", "eu-1", "x"]}, "takes 2 arguments, 3 were given"),
        ({"command": "relay", "args": ["restart", "eu-1; id"]}, "argument 2"),
        ({"command": "relay", "args": ["restart", "eu-1\n"]}, "argument 2"),
        ({"command": "relay", "args": ["--help", "eu-1"]}, "argument 1"),
        ({"command": "python", "args": ["-I"]}, "takes 2 or more arguments, 1 were given"),
        ({"command": "python", "args": ["-I", "-c", "a\0b"]}, "argument 3"),
    ],
    ids=str,
)
async def test_only_what_is_listed_runs(params: Mapping[str, object], said: str) -> None:
    """A program that is not listed, or an argument that does not fit as a whole, is refused before anything runs."""
    assert said in failed(await perform("command.run", params, COMMANDS), "refused")


async def test_a_program_that_is_not_there_was_never_run() -> None:
    """A listed program that cannot be started fails for good, and is not in doubt."""
    failed(await perform("command.run", {"command": "gone"}, COMMANDS), "not_found")


async def test_the_whole_group_dies_when_time_is_up(tmp_path: Path) -> None:
    """A program that takes too long is killed with its children, and is in doubt: it may have done its work."""
    pids = tmp_path / "pids"
    script = (
        "import os, sys, time; child = os.fork();"
        "open(sys.argv[1], 'a').write(f'{os.getpid()}\\n'); time.sleep(600)"
    )
    outcome = await perform("command.run", python(script, str(pids)), COMMANDS, within=2)
    failed(outcome, "timeout", OutcomeState.IN_DOUBT)
    found = [int(line) for line in pids.read_text(encoding="utf-8").split()]
    assert len(found) == 2
    await eventually(lambda: not any(is_running(pid) for pid in found), within=5, what="both are gone")


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie (an orphan may wait for its new parent to collect it)."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"


async def test_the_settings_say_what_a_program_does() -> None:
    """Whether a program changes anything and may be repeated is its entry's word; unknown is the worse."""
    catalogue = ActionCatalogue(ActionsConfig.model_validate(COMMANDS))
    told = {
        name: (
            catalogue.mutates("command.run", {"command": name}),
            catalogue.repeat("command.run", {"command": name}),
        )
        for name in ("python", "reader", "repeatable", "${inputs.command}")
    }
    assert told == {
        "python": (True, Repeat.NEVER),
        "reader": (False, Repeat.SAFE),
        "repeatable": (True, Repeat.SAFE),
        "${inputs.command}": (True, Repeat.NEVER),
    }


async def test_observe_mode_runs_only_readers() -> None:
    """In observe mode a program that only reads is run, another is not."""
    ran = await perform("command.run", python("print(1)", command="reader"), COMMANDS, mode=Mode.OBSERVE)
    assert succeeded(ran)["stdout"] == "1\n"
    kept = await perform("command.run", python("print(1)"), COMMANDS, mode=Mode.OBSERVE)
    failed(kept, "observed", OutcomeState.SKIPPED)
