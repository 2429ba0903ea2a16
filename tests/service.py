"""`runbookd serve` as a real child process: started, asked, killed, and started again on the same database.

Entered stopped or started, as the test likes; whatever still runs is ended with the block. The database is read
directly, read-only, so that a test can look at it whether the service lives or not.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp

import runbookd
from tests.servers import START_WITHIN, STOP_WITHIN, answers, eventually, free_port, temporary_folder

COMMAND = (sys.executable, "-m", "runbookd.cli.main")
HOOK_TOKEN = "hook-token-for-tests"
CLI_SECONDS = 60.0


@dataclass(slots=True)
class Service:
    """One runbookd, at one address with one database, over any number of lives of its process."""

    folder: Path
    settings: dict[str, Any]
    secrets: Mapping[str, str] = field(default_factory=dict)
    token: str = HOOK_TOKEN
    port: int = field(default_factory=free_port)
    begun_by: tuple[str, ...] = ()
    """A command that every process of it is begun by, such as one that enters a namespace."""
    _child: asyncio.subprocess.Process | None = None

    @classmethod
    def at(
        cls,
        folder: Path,
        *,
        rules: str | Path,
        playbooks: str | Path | Mapping[str, str],
        settings: Mapping[str, Any] | None = None,
        secrets: Mapping[str, str] | None = None,
    ) -> Self:
        """Write the configuration. Content is a folder, or the text of a file; playbooks may be several, by name."""
        given = {
            "rules": [_content(folder / "rules", rules)],
            "playbooks": [_content(folder / "playbooks", playbooks)],
        }
        it = cls(folder, given | dict(settings or {}), secrets or {})
        it.configure()
        return it

    @property
    def url(self) -> str:
        """Where it listens, in every life."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def hook(self) -> str:
        """Where an Alertmanager posts to."""
        return f"{self.url}/v1/hooks/alertmanager"

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.folder / "runbookd.db"

    @property
    def config(self) -> Path:
        """The settings file."""
        return self.folder / "runbookd.toml"

    @property
    def log(self) -> str:
        """What all its lives have written, both streams."""
        path = self.folder / "log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    @property
    def pid(self) -> int:
        """The process of this life."""
        assert self._child is not None, "the service is not running"
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self._child is not None and self._child.returncode is None

    def configure(self) -> None:
        """Write the settings file and the secrets anew; a running process reads them at its next start."""
        vault = self.folder / "secrets"
        vault.mkdir(exist_ok=True)
        for name, value in self.secrets.items():
            (vault / name).write_text(value, encoding="utf-8")
        web = {"port": self.port, "hooks": {"alertmanager": {"bearer": [self.token]}}}
        own = {"database": str(self.database), "secrets_folder": str(vault), "web": web}
        self.config.write_text(toml(own | self.settings), encoding="utf-8")

    async def start(self, *, ready: bool = True) -> Self:
        """Start a life; by default return when it is ready. AssertionError, with its log, when it does not start."""
        assert not self.running, "the service runs already"
        with (self.folder / "log").open("ab") as output:
            self._child = await asyncio.create_subprocess_exec(
                *(*self.begun_by, *COMMAND, "--config", str(self.config), "serve"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                env=_environment(),
            )
        if ready:
            try:
                await eventually(
                    self._ready_or_ended, within=START_WITHIN, every=0.02, what="runbookd is ready"
                )
                assert self.running, f"runbookd serve ended with status {self._child.returncode}"
            except AssertionError as error:
                error.add_note(self.log[-4000:])
                raise
        return self

    async def _ready_or_ended(self) -> bool:
        return not self.running or await answers(f"{self.url}/readyz")

    async def kill(self) -> None:
        """End this life with SIGKILL, wherever it is, and wait until it is gone. Nothing when it is over already."""
        if self._child is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._child.kill()
        await self._child.wait()

    async def stop(self, within: float = STOP_WITHIN) -> int:
        """Ask it to end (SIGTERM) and return its exit status; SIGKILL and AssertionError when it does not."""
        assert self._child is not None, "the service was never started"
        with contextlib.suppress(ProcessLookupError):
            self._child.terminate()
        try:
            return await asyncio.wait_for(self._child.wait(), within)
        except TimeoutError:
            await self.kill()
            raise AssertionError(f"no graceful stop within {within} s:\n{self.log[-4000:]}") from None

    async def post(self, body: bytes | str | Mapping[str, Any]) -> int:
        """Deliver as Alertmanager does, and return the status. Raises aiohttp.ClientError when nobody answers."""
        data = body if isinstance(body, bytes | str) else json.dumps(body)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session,
            session.post(self.hook, data=data, headers=headers) as answer,
        ):
            await answer.read()
            return answer.status

    async def cli(self, *args: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run `runbookd` with this service's settings, in a process of its own. Any exit status is returned."""
        return await asyncio.to_thread(
            subprocess.run,
            [*self.begun_by, *COMMAND, "--config", str(self.config), *args],
            input=stdin,
            text=True,
            capture_output=True,
            timeout=CLI_SECONDS,
            check=False,
            cwd=self.folder,
            env=_environment(),
        )

    async def cli_json(self, *args: str) -> Any:
        """Return what a command that prints data says; AssertionError, with its errors, unless it exits 0."""
        done = await self.cli(*args, "--output", "json")
        assert done.returncode == 0, f"runbookd {' '.join(args)}: exit {done.returncode}\n{done.stderr}"
        return json.loads(done.stdout)

    def rows(self, sql: str, *values: object) -> list[dict[str, Any]]:
        """Ask the database itself, read-only; times are microseconds since 1970. No rows before it is made."""
        if not self.database.exists():
            return []
        with contextlib.closing(
            sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=10)
        ) as base:
            base.row_factory = sqlite3.Row
            return [dict(row) for row in base.execute(sql, values)]

    async def until(self, sql: str, *values: object, within: float = 20.0) -> list[dict[str, Any]]:
        """Return the rows of a query once there are any."""
        return await eventually(lambda: self.rows(sql, *values), within=within, what=sql)

    async def runs_ended(self, count: int = 1, within: float = 30.0) -> list[dict[str, Any]]:
        """Return all runs, oldest first, once so many have ended and none goes on."""

        def ended() -> list[dict[str, Any]]:
            runs = self.rows("SELECT * FROM runs ORDER BY created_at, id")
            return runs if len(runs) >= count and all(run["state"] != "running" for run in runs) else []

        return await eventually(ended, within=within, what=f"{count} runs have ended")

    async def incidents_resolved(self, count: int = 1, within: float = 30.0) -> list[dict[str, Any]]:
        """Return all incidents, oldest first, once there are so many and all have resolved."""

        def resolved() -> list[dict[str, Any]]:
            found = self.rows("SELECT * FROM incidents ORDER BY opened_at, id")
            return found if len(found) >= count and all(one["state"] == "resolved" for one in found) else []

        return await eventually(resolved, within=within, what=f"{count} incidents have resolved")


@contextlib.asynccontextmanager
async def service(
    *,
    rules: str | Path,
    playbooks: str | Path | Mapping[str, str],
    settings: Mapping[str, Any] | None = None,
    secrets: Mapping[str, str] | None = None,
    start: bool = True,
) -> AsyncIterator[Service]:
    """A runbookd with this content; `settings` are laid over the generated ones, top-level keys whole."""
    with temporary_folder("runbookd") as name:
        it = Service.at(Path(name), rules=rules, playbooks=playbooks, settings=settings, secrets=secrets)
        try:
            yield await it.start() if start else it
        finally:
            if it.running:
                await it.stop()


def notification(
    *alerts: Mapping[str, str], status: str = "firing", started: str = "2026-01-05T12:00:00Z"
) -> dict[str, Any]:
    """Make the body of an Alertmanager webhook (version 4) of alerts given by their labels, one group.

    A fingerprint is made of the labels, as Alertmanager does, though not the same one.
    """
    ended = "0001-01-01T00:00:00Z" if status == "firing" else "2026-01-05T12:10:00Z"
    return {
        "version": "4",
        "groupKey": "{}:{}",
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "runbookd",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.test",
        "alerts": [
            {
                "status": status,
                "labels": dict(labels),
                "annotations": {},
                "startsAt": started,
                "endsAt": ended,
                "generatorURL": "",
                "fingerprint": "-".join(f"{name}.{value}" for name, value in sorted(labels.items())),
            }
            for labels in alerts
        ],
    }


def toml(settings: Mapping[str, Any]) -> str:
    """Write settings as TOML, tables inline."""
    return "".join(f"{name} = {_toml_value(value)}\n" for name, value in settings.items())


def _toml_value(value: object) -> str:
    """Write one value; strings, numbers and booleans are written as in JSON."""
    if isinstance(value, Mapping):
        return (
            "{" + ", ".join(f"{json.dumps(name)} = {_toml_value(one)}" for name, one in value.items()) + "}"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml_value(one) for one in value) + "]"
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)


def _content(folder: Path, given: str | Path | Mapping[str, str]) -> str:
    """Return the folder of the content, written there unless it is one already."""
    if isinstance(given, Path):
        return str(given)
    folder.mkdir(exist_ok=True)
    files = {"content": given} if isinstance(given, str) else given
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return str(folder)


def _environment() -> dict[str, str]:
    """The environment of the processes: this one's, without settings of its own, finding this very package."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("RUNBOOKD_")}
    return own | {"PYTHONPATH": str(Path(runbookd.__file__).parents[1])}
