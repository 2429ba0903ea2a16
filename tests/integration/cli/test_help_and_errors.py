"""The first things a newcomer does: asking for help, and mistyping."""

from __future__ import annotations

import errno
import os
import pty
import subprocess
import sys

import pytest

from runbookd.cli.main import COMMANDS
from tests.integration.cli.conftest import SCRIPT, Runbookd


def test_help_lists_every_command(runbookd: Runbookd) -> None:
    """`runbookd --help` names every command with its line."""
    text = runbookd("--help").stdout
    assert all(name in text and lazy.summary in text for name, lazy in COMMANDS.items())


def test_nothing_at_all_asks_for_help(runbookd: Runbookd) -> None:
    """`runbookd` alone prints the help on standard output: exit code 0."""
    bare = subprocess.run([SCRIPT], capture_output=True, text=True, check=True, env=runbookd.variables())
    assert bare.stdout == runbookd("--help").stdout
    assert bare.stderr == ""


def test_no_color_leaves_no_escapes(runbookd: Runbookd) -> None:
    """With NO_COLOR a terminal gets plain text: no colour, no bold, no dim."""
    assert "\x1b[" in at_a_terminal("actions", {})
    assert "\x1b" not in at_a_terminal("actions", {"NO_COLOR": "1"})
    assert "flow.log" in at_a_terminal("actions", {"NO_COLOR": "1"})


def at_a_terminal(command: str, environment: dict[str, str]) -> str:
    """What a command writes to a terminal."""
    ours, theirs = pty.openpty()
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("RUNBOOKD_", "NO_COLOR"))
    }
    process = subprocess.Popen(
        [SCRIPT, command], stdout=theirs, env={**kept, "TERM": "xterm-256color", **environment}
    )
    os.close(theirs)
    written = b""
    with process, os.fdopen(ours, "rb", buffering=0) as terminal:
        try:
            while part := terminal.read(65_536):
                written += part
        except OSError as error:  # Linux tells so that the other side has closed
            if error.errno != errno.EIO:
                raise
        assert process.wait(30) == 0
    return written.decode()


def test_help_imports_nothing_heavy() -> None:
    """Help pays for click alone: no driver, no loop, no model is imported."""
    program = (
        "import sys; from runbookd.cli.main import cli\n"
        "cli.main(['--help'], standalone_mode=False)\n"
        "print(sorted({'asyncio', 'pydantic', 'sqlite3', 'aiohttp', 'rich', 'yaml', 'structlog'} & set(sys.modules)))"
    )
    # Measuring coverage imports a driver of its own.
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=plain
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"demo"}))
def test_every_command_has_help(runbookd: Runbookd, command: str) -> None:
    """Every command says what it does, and shows how."""
    text = runbookd(command, "--help").stdout
    assert f"Usage: runbookd {command}" in text
    assert "Example" in text or command == "version"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["rnus"], "no command 'rnus'. Did you mean 'runs'?"),
        (["runs", "01ab"], "To see one: runbookd runs show 01ab"),
        (["runs", "--sate", "failed"], "no such option '--sate'"),
        (["runs", "--state", "x"], "'x' is not one of"),
        (["--config", "nowhere.toml", "status"], "'nowhere.toml' does not exist"),
        (["run"], "missing argument 'PLAYBOOK'"),
        (["pause"], "missing option '--reason'"),
        (["schema", "playboks"], "is not one of"),
        (["explain", "-"], "is not JSON"),
    ],
)
def test_a_mistyped_command_is_told_what_is_wrong(runbookd: Runbookd, args: list[str], said: str) -> None:
    """Bad usage is exit code 2 and one error on standard error, with where to look."""
    done = runbookd(*args, code=2)
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert "--help" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    "args",
    [
        ["status"],
        ["runs"],
        ["runs", "show", "01abcd"],
        ["incidents"],
        ["events"],
        ["audit", "verify"],
        ["audit", "export", "--to", "ledger.jsonl"],
        ["pause", "--reason", "x"],
        ["run", "note", "--input", "host=a"],
        ["run", "note", "--input", "host=a", "--observe"],
    ],
)
def test_looking_makes_no_database(runbookd: Runbookd, args: list[str]) -> None:
    """A command that looks, or needs a service's database, makes none and says what to do: exit code 4."""
    done = runbookd(*args, code=4)
    assert "there is no database runbookd.db; `runbookd serve` and `runbookd migrate` make it" in done.stderr
    assert not runbookd.database.exists()
    assert not (runbookd.folder / "ledger.jsonl").exists()


def test_another_programs_database_is_left_alone(runbookd: Runbookd) -> None:
    """A file that is not ours is refused, whatever it is."""
    runbookd.database.write_text("not a database at all, but long enough to be taken for a header" * 10)
    assert "not a SQLite database" in runbookd("status", code=4).stderr


def test_bad_content_is_told_before_anything_starts(runbookd: Runbookd) -> None:
    """A command that needs rules and playbooks lists their mistakes with their places: exit code 2."""
    (runbookd.folder / "rules" / "rules.yaml").write_text(
        "rules: [{name: x, priority: P9, match: ['a=b']}]\n"
    )
    done = runbookd("run", "note", "--input", "host=a", code=2)
    assert "problem" in done.stderr
    assert "rules.yaml:1:" in done.stderr
    assert not runbookd.database.exists()


def test_a_reader_who_leaves_is_no_error(runbookd: Runbookd) -> None:
    """`runbookd ... | head` ends in silence."""
    process = runbookd.begin("schema")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process:
        assert process.wait(30) == 141
        assert process.stderr.read() == ""
