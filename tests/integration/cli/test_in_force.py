"""What a person does about an incident keeps what the service's content promises, whatever the files here say."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.integration.cli.conftest import Runbookd
from tests.integration.cli.test_acting import post, serving
from tests.postgres import PostgresServer

PEOPLE = """
priorities:
  P0: {name: Top, escalation: main, announce: [statuspage], update_every: 15m, ack_expires: 10m, review_within: 48h}
  P1: {name: Next, escalation: main, announce: [statuspage], update_every: 30m, ack_expires: 20m, review_within: 24h}
escalations:
  main: [{after: 1h, unless: acknowledged, page: [ops]}]
roles:
  ops: {primary: {webhook: pager}}
"""
RULES = """
rules:
  - {name: broken, match: [alertname="Broken"], priority: P1, run: [{playbook: give-up}]}
"""
BROKEN = PEOPLE.replace("escalation: main", "escalation: mainn", 1)
INSTEAD = "the content the service has in force is used instead"


@dataclass(frozen=True)
class Scene:
    """A service that has an incident open, its process, and the script on the same machine."""

    runbookd: Runbookd
    process: subprocess.Popen[str]
    incident: str

    def look(self) -> dict[str, Any]:
        """The incident as it is, its clocks by kind among it."""
        shown: dict[str, Any] = self.runbookd.json("incidents", "show", self.incident)
        return shown | {"due": {clock["kind"]: clock["due_at"] for clock in shown["clocks"]}}

    def write(self, people: str) -> None:
        """Edit the file of the priorities."""
        (self.runbookd.folder / "rules" / "people.yaml").write_text(people)

    def until(self, event: str) -> None:
        """Wait until the service says so."""
        assert self.process.stderr is not None
        next(line for line in self.process.stderr if json.loads(line)["event"].startswith(event))

    def stop(self) -> None:
        """End the service."""
        self.process.terminate()
        self.process.communicate(timeout=40)


@pytest.fixture(params=["sqlite", "postgres"])
async def there(runbookd: Runbookd, request: pytest.FixtureRequest) -> AsyncIterator[Runbookd]:
    """The console script with people's promises, on each engine."""
    (runbookd.folder / "rules" / "rules.yaml").write_text(RULES)
    (runbookd.folder / "rules" / "people.yaml").write_text(PEOPLE)
    if request.param == "sqlite":
        yield runbookd.having({"RUNBOOKD_DATABASE": str(runbookd.database)})
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = await server.new()
    yield runbookd.having({"RUNBOOKD_DATABASE_URL": server.url(name)})
    await server.drop(name)


@pytest.fixture
def scene(there: Runbookd) -> Iterator[Scene]:
    """A service that was told of an alert."""
    process, started = serving(there, **there.environment)
    assert post(started["address"], "letmein") == 202
    ends = time.monotonic() + 30
    while not (found := there.json("incidents")) or not there.json("messages"):
        assert time.monotonic() < ends
    it = Scene(there, process, str(found[0]["id"]))
    try:
        yield it
    finally:
        it.stop()


def test_a_broken_file_loses_no_promise(scene: Scene) -> None:
    """With a typo in the priorities an acknowledgement expires, news is promised anew, a review becomes due."""
    scene.write(BROKEN)
    scene.until("reload refused")
    before = scene.look()["due"]
    done = scene.runbookd("ack", scene.incident)
    assert "rules/people.yaml:3:" in done.stderr
    assert done.stderr.splitlines()[-1] == f"warning: those files are not in force; {INSTEAD}"
    assert scene.look()["acknowledged_until"] is not None
    scene.runbookd("note", scene.incident, "We are on it.", "--public")
    assert scene.look()["due"]["update"] > before["update"]
    scene.runbookd("escalate", scene.incident, "--priority", "P0", "--reason", "customers are cut off")
    assert scene.look()["priority"] == "P0"
    scene.runbookd("resolve", scene.incident, "--reason", "mended by hand")
    assert "review" in scene.look()["due"]
    assert INSTEAD in scene.runbookd("review", scene.incident, "--done").stderr


def test_what_no_service_has_taken_counts_for_nothing(scene: Scene) -> None:
    """An edit that is good counts once the service has it; until then the service could not keep what it promises."""
    scene.write(BROKEN)
    scene.until("reload refused")
    scene.write(PEOPLE.replace("P0:", "P9: {name: Edited}\n  P0:"))
    scene.until("reloaded")
    done = scene.runbookd("escalate", scene.incident, "--priority", "P9", "--reason", "x")
    assert done.stderr == ""
    scene.stop()
    scene.write(PEOPLE.replace("P0:", "P8: {name: Edited again}\n  P0:"))
    refused = scene.runbookd("escalate", scene.incident, "--priority", "P8", "--reason", "x", code=3).stderr
    assert f"warning: the rules and playbooks here are not in force; {INSTEAD}" in refused
    assert "there is no priority 'P8'; there are: P9, P0, P1" in refused


def test_a_command_elsewhere_goes_by_the_same_content(scene: Scene) -> None:
    """On a host without the rules, and after the service has stopped, an acknowledgement expires all the same."""
    scene.stop()
    elsewhere = scene.runbookd.folder / "elsewhere"
    for folder in ("rules", "playbooks"):
        (elsewhere / folder).mkdir(parents=True)
    there = replace(scene.runbookd, folder=elsewhere)
    assert INSTEAD in there("ack", scene.incident).stderr
    assert scene.look()["acknowledged_until"] is not None


def test_without_a_service_it_is_said_what_is_lost(there: Runbookd) -> None:
    """Nothing in force is kept: what stands of the files is gone by, and the warning says what that may cost."""
    there("migrate")
    (there.folder / "rules" / "people.yaml").write_text(BROKEN)
    said = there("schedules").stderr
    assert "rules/people.yaml:3:" in said
    assert "done without that file" in said
    assert "no content in force is in the database" in said
    assert "when an acknowledgement expires" in said


def test_a_service_that_is_killed_goes_on_with_what_was_in_force(scene: Scene) -> None:
    """A file was broken while it ran: started again it acts on what it had, says so, and takes the file once mended."""
    scene.write(BROKEN)
    scene.until("reload refused")
    scene.process.kill()
    scene.process.communicate(timeout=40)
    process, started = serving(scene.runbookd, **scene.runbookd.environment)
    again = replace(scene, process=process)
    try:
        assert post(started["address"], "letmein") == 202
        (service,) = again.runbookd.json("status")["services"]
        assert "rules/people.yaml:3:" in service["refused"]
        again.runbookd("escalate", scene.incident, "--priority", "P0", "--reason", "customers are cut off")
        assert again.look()["priority"] == "P0"
        again.write(PEOPLE + "# mended\n")
        again.until("reloaded")
    finally:
        again.stop()
