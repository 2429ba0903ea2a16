"""What can be told of a service by looking: that it runs, that it stopped, and that it refused a reload."""

from __future__ import annotations

import json
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from runbookd.model.library import Library
from runbookd.runtime.presence import FORGOTTEN_AFTER, PREFIX, SILENT_AFTER, Presence, Service, services
from runbookd.store.sqlite import open_sqlite
from tests.integration.cli.conftest import Runbookd
from tests.integration.cli.test_acting import serving

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ONE = Service(
    name="a", version="1", mode="act", address="http://a", content="c", started_at=NOW, last_seen=NOW
)


class SetClock:
    """A clock that is set."""

    moment = NOW

    def now(self) -> datetime:
        """The time it was set to."""
        return self.moment


def ready(address: str) -> dict[str, Any]:
    """What /readyz answers."""
    with urllib.request.urlopen(f"{address}/readyz", timeout=10) as answer:
        told: dict[str, Any] = json.load(answer)
        return told


def test_status_tells_a_service_that_runs_from_one_that_stopped(runbookd: Runbookd) -> None:
    """While it runs its address and mode are shown, and afterwards that it stopped."""
    process, started = serving(runbookd)
    text = runbookd("status").stdout
    assert "running since" in text
    assert started["address"] in text
    (service,) = runbookd.json("status")["services"]
    assert (service["running"], service["mode"], service["content"]) == (True, "act", started["content"])
    process.terminate()
    _, log = process.communicate(timeout=40)
    assert "Task-" not in log
    text = runbookd("status").stdout
    assert "stopped " in text
    assert "running since" not in text
    assert started["content"][:16] in text
    assert runbookd.json("status")["services"][0]["running"] is False


def test_a_refused_reload_is_seen(runbookd: Runbookd) -> None:
    """/readyz warns and stays 200, status tells the first problem, and both end when the file is mended."""
    process, started = serving(runbookd)
    assert ready(started["address"])["warnings"] == {}
    rules = runbookd.folder / "rules" / "rules.yaml"
    good = rules.read_text()
    rules.write_text(good.replace("priority: P1", "priority: P7"))
    assert process.stderr is not None
    next(line for line in process.stderr if "reload refused" in line)
    warning = ready(started["address"])["warnings"]["reload"]
    assert "rules.yaml:7:" in warning
    assert "(and 1 more; `runbookd check`)" in warning
    ends = time.monotonic() + 30
    while "reload  " not in runbookd("status").stdout:
        assert time.monotonic() < ends
    assert runbookd.json("status")["services"][0]["refused"] == warning
    rules.write_text(good)
    while ready(started["address"])["warnings"]:
        assert time.monotonic() < ends
    process.terminate()
    process.communicate(timeout=40)


def test_what_the_settings_do_not_have_is_told_by_the_service_too(runbookd: Runbookd) -> None:
    """What `check` finds is a warning at the start, and after a reload; everything else works."""
    people = runbookd.folder / "rules" / "people.yaml"
    people.write_text("roles:\n  anna: {primary: {webhook: pager}}\n")
    process, _ = serving(runbookd)
    assert process.stderr is not None
    said = "there is no webhook 'pager' in `actions.webhooks` of the settings"
    next(line for line in process.stderr if "what the content asks for is not there" in line and said in line)
    people.write_text("roles:\n  anna: {primary: {webhook: siren}}\n")
    next(line for line in process.stderr if said.replace("pager", "siren") in line)
    process.terminate()
    process.communicate(timeout=40)


async def test_a_killed_service_falls_silent_and_is_forgotten(tmp_path: Path) -> None:
    """Without a word it is taken for gone after a while; another's start forgets it when it is long gone."""
    clock = SetClock()
    store = await open_sqlite(tmp_path / "runbookd.db")
    try:
        await Presence(store, clock, ONE, lambda: (Library(version="c2"), "a problem")).begin()
        (seen,) = await store.read(services)
        assert (seen.content, seen.refused) == ("c2", "a problem")
        assert seen.runs(NOW + SILENT_AFTER)
        assert not seen.runs(NOW + SILENT_AFTER + timedelta(seconds=1))
        await store.write(lambda tx: tx.switches.set(f"{PREFIX}odd", "{}"))
        clock.moment = NOW + FORGOTTEN_AFTER + timedelta(seconds=1)
        other = Presence(
            store, clock, ONE.model_copy(update={"name": "b"}), lambda: (Library(version="c"), None)
        )
        await other.begin()
        await other.end()
        (left,) = await store.read(services)
        assert (left.name, left.stopped_at) == ("b", clock.moment)
        assert not left.runs(clock.moment)
    finally:
        await store.close()


async def test_a_database_that_takes_no_writes_does_not_end_a_service(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The heartbeat that cannot be written is logged, and the service goes on."""
    store = await open_sqlite(tmp_path / "runbookd.db")
    await store.close()
    await Presence(store, SetClock(), ONE, lambda: (Library(version="c"), None)).begin()
    assert "heartbeat cannot be written" in caplog.text
