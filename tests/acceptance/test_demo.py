"""`runbookd demo`: what a newcomer runs first tells its story to the end, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import runbookd
from tests.servers import eventually, find_binary
from tests.service import COMMAND

ENDED_WELL = "The story ended well"
TOLD_WITHIN = 120.0
TITLE = "Users of shop get errors"
CALLED = f"P0 {TITLE}"
LATER = ("resolved: ", "review due: ")


def environment(tmp_path: Path, path: str | None = None, before: Path | None = None) -> dict[str, str]:
    """This process's environment with temporary folders of the test's own; `path` None keeps the PATH.

    Modules are looked for in `before` first; None adds no such folder.
    """
    folders = [str(before)] if before is not None else []
    folders.append(str(Path(runbookd.__file__).parents[1]))
    own = {"PYTHONPATH": os.pathsep.join(folders), "TMPDIR": str(tmp_path)}
    return os.environ | own | ({"PATH": path} if path is not None else {})


def said(story: str) -> list[str]:
    """What people were told, in the words of the timeline."""
    return re.findall(r"^ *\+[\d.]+ s  tell +(.+)$", story, re.MULTILINE)


def assert_people_were_told(story: str) -> None:
    """Everybody the shipped rules name heard that it began and that it is over, and no message failed."""
    lines = said(story)
    (channel,) = [line.split()[0] for line in lines if line.endswith("is opened in Slack")]
    for place in ("#incidents", "#critical-alerts", channel, "Product Manager by email"):
        heard = [line for line in lines if line.startswith(f"{place}: ")]
        assert heard == [f"{place}: {word}{CALLED}" for word in ("", *LATER)], story
    assert len(lines) == 13, story
    assert "people            got 12 messages: 9 by slack, 3 by email" in story
    assert "as #incidents reads it:" in story
    assert f"  | ✅ INCIDENT RESOLVED - P0: {TITLE}\n  | Service: The demo's shop\n" in story
    assert "level 1 of the escalation is told: #critical-alerts" in story


def told(tmp_path: Path, *options: str, path: str | None = None, before: Path | None = None) -> str:
    """Tell the story once, and return what was printed; AssertionError when the exit code is not 0."""
    done = subprocess.run(
        [*COMMAND, "demo", "--once", *options],
        capture_output=True,
        text=True,
        timeout=TOLD_WITHIN,
        check=False,
        env=environment(tmp_path, path, before),
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
    assert_people_were_told(story)
    assert nothing_in(tmp_path)


def test_the_story_ends_well_without_monitoring(tmp_path: Path) -> None:
    """Without Prometheus on the PATH the demo posts the same notifications itself; piped, it prints plain text."""
    story = told(tmp_path, path=str(Path(sys.executable).parent))

    assert "posts the notifications of an Alertmanager itself" in story
    assert ENDED_WELL in story
    assert "receivers:" in story
    assert "\x1b" not in story
    assert_people_were_told(story)
    assert nothing_in(tmp_path)


def test_the_story_ends_well_without_slack_and_pagerduty(tmp_path: Path) -> None:
    """Where their extras are not installed, they are left out in a line each; mail comes, and nothing fails."""
    blocked, own = tmp_path / "blocked", tmp_path / "own"
    blocked.mkdir()
    own.mkdir()
    text = 'import sys\nsys.modules |= dict.fromkeys(("slack_sdk", "pagerduty"))\n'
    (blocked / "sitecustomize.py").write_text(text, encoding="utf-8")

    story = told(own, "--without-prometheus", before=blocked)

    assert ENDED_WELL in story
    for name, extra in (("Slack", "slack"), ("PagerDuty", "pagerduty")):
        assert story.count(f"{name} is left out: the extra `{extra}` is not installed") == 1
    assert said(story) == [f"Product Manager by email: {word}{CALLED}" for word in ("", *LATER)]
    assert "people            got 3 messages: 3 by email" in story
    assert "#incidents" not in story


def test_keep_leaves_the_folder(tmp_path: Path) -> None:
    """With --keep the database, the settings and the logs are still there afterwards."""
    story = told(tmp_path, "--without-prometheus", "--keep")

    folder = folder_in(tmp_path)
    assert f"Kept: {folder}" in story
    assert {"runbookd.db", "runbookd.toml", "logs"} <= {path.name for path in folder.iterdir()}


async def test_what_people_were_told_can_be_read_and_a_second_bad_release_calls_them(tmp_path: Path) -> None:
    """While it stays up, its last words lead to what people were told; within the cooldown phones ring."""
    async with staying(tmp_path) as (child, printed):
        folder = folder_in(tmp_path)
        token = (folder / "secrets" / "slack_bot_token").read_text(encoding="utf-8")
        (told_at,) = re.findall(r"curl (http://\S+/told)", printed)
        assert await people_told(told_at, "another") is None
        first = await people_told(told_at, token) or []

        await break_the_shop(printed, folder)
        rang = await line_of(child, "L1 Support by pagerduty: page: ")
        then = await people_told(told_at, token) or []

    there = [one for one in first if one["to"] == ["#incidents"]]
    assert there[0]["subject"] == f"🚨 INCIDENT ALERT - P0: {TITLE}"
    (closed,) = [one for one in there if one["subject"] == f"✅ INCIDENT RESOLVED - P0: {TITLE}"]
    assert "Service: The demo's shop" in closed["text"]
    assert CALLED in rang
    assert [one["subject"] for one in then if one["by"] == "pagerduty"] == [CALLED]
    assert then[: len(first)] == first
    assert nothing_in(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_ended_in_the_middle_it_takes_everything_with_it(tmp_path: Path, number: int) -> None:
    """A signal in the middle ends every process the demo started, removes its folder, and is told by the exit code."""
    child = await asyncio.create_subprocess_exec(
        *(*COMMAND, "demo", "--without-prometheus"),
        stdout=asyncio.subprocess.PIPE,
        env=environment(tmp_path),
    )
    await line_of(child, "release v2 goes out")
    started = children_of(child.pid)
    assert len(started) == 3

    child.send_signal(number)
    await asyncio.wait_for(child.communicate(), 60)

    assert child.returncode == 130
    await eventually(lambda: not any(alive(pid) for pid in started), within=5, what="the children are gone")
    assert nothing_in(tmp_path)


@asynccontextmanager
async def staying(tmp_path: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """The demo when its story has ended and it stays up, with what it has printed; ended by Ctrl-C."""
    child = await asyncio.create_subprocess_exec(
        *(*COMMAND, "demo", "--without-prometheus"),
        stdout=asyncio.subprocess.PIPE,
        env=environment(tmp_path),
    )
    try:
        printed = await line_of(child, "done, and people are called.")
        yield child, printed
    finally:
        child.send_signal(signal.SIGINT)
        await asyncio.wait_for(child.communicate(), 60)
    assert child.returncode == 0


async def line_of(child: asyncio.subprocess.Process, wanted: str) -> str:
    """All that is printed up to the line that has these words; AssertionError when the demo ends before."""
    assert child.stdout is not None
    lines: list[str] = []
    while not lines or wanted not in lines[-1]:
        lines.append((await asyncio.wait_for(child.stdout.readline(), 60)).decode())
        assert lines[-1], f"the demo ended before it said {wanted!r}:\n{''.join(lines)}"
    return "".join(lines)


async def people_told(url: str, token: str) -> list[dict[str, Any]] | None:
    """What people were told, oldest first; None when the token does not open it."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, headers={"Authorization": f"Bearer {token}"}) as answer,
    ):
        if answer.status == 401:
            return None
        found: list[dict[str, Any]] = (await answer.json())["told"]
        return found


async def break_the_shop(printed: str, folder: Path) -> None:
    """Let a bad release go out, as the demo's last words say."""
    (url,) = re.findall(r"curl -X POST (http://\S+/admin/releases)", printed)
    token = (folder / "secrets" / "shop_token").read_text(encoding="utf-8")
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
        session.post(url, json={"name": "v3", "quality": "bad"}) as answer,
    ):
        assert answer.ok


def nothing_in(folder: Path) -> bool:
    """Whether a folder is empty."""
    return not list(folder.iterdir())


def folder_in(folder: Path) -> Path:
    """The one folder in a folder."""
    (found,) = folder.iterdir()
    return found


def children_of(pid: int) -> list[int]:
    """The processes a process has started and that still are."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(one) for one in text.split()]


def alive(pid: int) -> bool:
    """Whether there is such a process."""
    return Path(f"/proc/{pid}").exists()
