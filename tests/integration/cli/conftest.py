"""The console script as a child process, and a database with something in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from runbookd.settings import load_settings
from runbookd.store.sqlite_file import prepare
from runbookd.wiring import Parts, wire
from tests.integration.cli.forks import Forks, forks

SCRIPT = Path(sys.executable).parent / "runbookd"

RULES = """
priorities:
  P1: {name: High, acknowledge_within: 5m, respond_within: 1h}
rules:
  - name: disk-full
    match: [alertname="DiskFull", severity=~"critical|warning"]
    priority: P1
    incident: {title: "Disk of ${event.labels.host} is full", key: [host]}
    run:
      - playbook: note
        with: {host: "${event.labels.host}"}
      - playbook: give-up
    limits: {cooldown: 15m}
  - name: broken
    match: [alertname="Broken"]
    priority: P1
    run: [{playbook: give-up}]
"""
PLAYBOOKS = {
    "note": """
playbook: note
inputs:
  host: {type: string, pattern: "[a-z0-9-]+"}
  times: {type: integer, default: 1}
target: hosts/${inputs.host}
steps:
  - {id: say, action: flow.log, with: {message: "looked at ${inputs.host}"}}
  - {id: keep, action: evidence.save, with: {name: listing, content: "a\\nb\\n"}}
""",
    "give-up": """
playbook: give-up
steps:
  - {id: fail, action: flow.fail, with: {message: nothing helps}}
""",
    "slow": """
playbook: slow
inputs:
  host: {type: string}
target: hosts/${inputs.host}
steps:
  - {id: say, action: flow.log, with: {message: begun}}
  - {id: rest, wait: 1h}
""",
}


@dataclass(frozen=True)
class Runbookd:
    """The console script, in a folder of its own with rules, playbooks and a database `runbookd.db`."""

    folder: Path
    forks: Forks
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def database(self) -> Path:
        """The configured database."""
        return self.folder / "runbookd.db"

    def settings(self) -> Any:
        """The settings the script has."""
        return load_settings(
            None,
            database=self.database,
            rules=[self.folder / "rules"],
            playbooks=[self.folder / "playbooks"],
        )

    def having(self, environment: dict[str, str]) -> Runbookd:
        """The same in another environment."""
        return replace(self, environment=environment)

    def begin(self, *args: str) -> subprocess.Popen[str]:
        """Start a command and leave it running."""
        return subprocess.Popen(
            [SCRIPT, *self._shared(), *args],
            cwd=self.folder,
            env=self.variables(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *args: str, code: int = 0, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command to its end, which has to be `code`."""
        done = self.forks.run([*self._shared(), *args], self.folder, self.variables(), given)
        assert done.returncode == code, f"{args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def json(self, *args: str, code: int = 0) -> Any:
        """Run a command and read what it prints."""
        return json.loads(self(*args, "--output", "json", code=code).stdout)

    def _shared(self) -> list[str]:
        return ["--rules", "rules", "--playbooks", "playbooks"]

    def variables(self) -> dict[str, str]:
        """The environment the script has."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RUNBOOKD_")}
        return {**kept, "COLUMNS": "100", **self.environment}


@pytest.fixture(scope="session")
def script() -> Iterator[Forks]:
    """What runs commands."""
    with forks() as made:
        yield made


@pytest.fixture
def runbookd(tmp_path: Path, script: Forks) -> Runbookd:
    """The console script in a folder with rules and playbooks, and no database yet."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "rules" / "rules.yaml").write_text(RULES)
    for name, text in PLAYBOOKS.items():
        (tmp_path / "playbooks" / f"{name}.yaml").write_text(text)
    return Runbookd(tmp_path, script)


@pytest.fixture
def database(runbookd: Runbookd) -> Path:
    """The configured database, made and empty."""
    prepare(runbookd.database)
    return runbookd.database


def alert(name: str, **labels: str) -> dict[str, Any]:
    """One firing alert of a webhook."""
    return {"status": "firing", "labels": {"alertname": name, **labels}, "startsAt": "2026-11-23T08:00:00Z"}


@pytest.fixture
async def told(runbookd: Runbookd) -> Callable[..., Awaitable[None]]:
    """A function that gives the service alerts and lets it do all that is due."""

    async def tell(*alerts: dict[str, Any]) -> None:
        async with wire(runbookd.settings()) as parts:
            await _tell(parts, alerts)

    return tell


async def _tell(parts: Parts, alerts: tuple[dict[str, Any], ...]) -> None:
    body = json.dumps({"version": "4", "alerts": list(alerts)}).encode()
    await parts.pipeline.receive("alertmanager", body, {}, None)
    await parts.worker.drain(parts.clock.now())
    await parts.worker.drain(parts.clock.now())
