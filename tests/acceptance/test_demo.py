"""`runbookd demo`: what a newcomer runs first tells its story to the end, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import runbookd
from tests.servers import eventually, find_binary
from tests.service import COMMAND

ENDED_WELL = "The story ended well"
TOLD_WITHIN = 120.0


def environment(tmp_path: Path, path: str | None = None) -> dict[str, str]:
    """This process's environment with temporary folders of the test's own; `path` None keeps the PATH."""
    own = {"PYTHONPATH": str(Path(runbookd.__file__).parents[1]), "TMPDIR": str(tmp_path)}
    return os.environ | own | ({"PATH": path} if path is not None else {})


def told(tmp_path: Path, *options: str, path: str | None = None) -> str:
    """Tell the story once, and return what was printed; AssertionError when the exit code is not 0."""
    done = subprocess.run(
        [*COMMAND, "demo", "--once", *options],
        capture_output=True,
        text=True,
        timeout=TOLD_WITHIN,
        check=False,
        env=environment(tmp_path, path),
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_story_ends_well_with_real_monitoring(tmp_path: Path) -> None:
    """With Prometheus and Alertmanager on the PATH, they are the ones who notice and tell."""
    for name in ("prometheus", "prometheus-alertmanager"):
        find_binary(name)

    story = told(tmp_path)

    assert "prometheus    http://127.0.0.1:" in story
    assert ENDED_WELL in story
    assert "rollbacks         1 carried out by the shop" in story
    assert nothing_in(tmp_path)


def test_the_story_ends_well_without_monitoring(tmp_path: Path) -> None:
    """Without Prometheus on the PATH the demo posts the same notifications itself; piped, it prints plain text."""
    story = told(tmp_path, path=str(Path(sys.executable).parent))

    assert "posts the notifications of an Alertmanager itself" in story
    assert ENDED_WELL in story
    assert "receivers:" in story
    assert "\x1b" not in story
    assert nothing_in(tmp_path)


def test_keep_leaves_the_folder(tmp_path: Path) -> None:
    """With --keep the database, the settings and the logs are still there afterwards."""
    story = told(tmp_path, "--without-prometheus", "--keep")

    (folder,) = tmp_path.iterdir()
    assert f"Kept: {folder}" in story
    assert {"runbookd.db", "runbookd.toml", "logs"} <= {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_ended_in_the_middle_it_takes_everything_with_it(tmp_path: Path, number: int) -> None:
    """A signal in the middle ends every process the demo started, removes its folder, and is told by the exit code."""
    child = await asyncio.create_subprocess_exec(
        *(*COMMAND, "demo", "--without-prometheus"),
        stdout=asyncio.subprocess.PIPE,
        env=environment(tmp_path),
    )
    assert child.stdout is not None
    before_the_end = b""
    while b"release v2 goes out" not in before_the_end:
        line = await asyncio.wait_for(child.stdout.readline(), 60)
        assert line, "the demo ended before its story began"
        before_the_end += line
    started = children_of(child.pid)
    assert len(started) == 2

    child.send_signal(number)
    await asyncio.wait_for(child.communicate(), 60)

    assert child.returncode == 130
    await eventually(lambda: not any(alive(pid) for pid in started), within=5, what="the children are gone")
    assert nothing_in(tmp_path)


def nothing_in(folder: Path) -> bool:
    """Whether a folder is empty."""
    return not list(folder.iterdir())


def children_of(pid: int) -> list[int]:
    """The processes a process has started and that still are."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(one) for one in text.split()]


def alive(pid: int) -> bool:
    """Whether there is such a process."""
    return Path(f"/proc/{pid}").exists()
