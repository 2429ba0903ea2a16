"""`runbookd schedules` tells when each comes next, when it came last, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runbookd.runtime.schedules import Schedules
from runbookd.wiring import Parts, wire
from tests.integration.cli.conftest import Runbookd

SCHEDULES = """
schedules:
  - {name: hourly, cron: "0 * * * *", run: [note, give-up], with: {host: a}}
  - {name: rest, cron: "0,15 * * * *", run: [slow], with: {host: b}}
  - {name: new-year, cron: "0 0 1 1 *", timezone: Europe/Berlin, run: [give-up]}
"""


class SetClock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC).replace(minute=1) - timedelta(days=2)

    def now(self) -> datetime:
        """The time it is set to."""
        return self.at


@pytest.fixture
def with_schedules(runbookd: Runbookd, database: Path) -> Runbookd:
    """The console script with schedules, and a database that no service has used."""
    (runbookd.folder / "rules" / "schedules.yaml").write_text(SCHEDULES)
    return runbookd


async def lives(runbookd: Runbookd, moves: Sequence[timedelta]) -> None:
    """A service looks at its schedules now, and after each of these times."""
    clock = SetClock()
    async with wire(runbookd.settings(), clock=clock) as parts:
        looking = Schedules(parts.store, clock, parts.pipeline)
        await _look(parts, looking)
        for move in moves:
            clock.at += move
            await _look(parts, looking)


async def _look(parts: Parts, looking: Schedules) -> None:
    await looking.look()
    await parts.worker.drain(parts.clock.now())


def test_before_any_service(with_schedules: Runbookd) -> None:
    """What is to come is known from the files alone."""
    hourly, _, new_year = with_schedules.json("schedules")
    assert [hourly["name"], hourly["cron"], hourly["timezone"]] == ["hourly", "0 * * * *", "UTC"]
    at = datetime.fromisoformat(hourly["next_at"])
    assert timedelta(0) < at - datetime.now(UTC) <= timedelta(hours=1)
    assert new_year["next_at"].endswith("-12-31T23:00:00Z")
    nothing = {"run": None, "state": None, "reason": None, "incident": None, "joined": False}
    assert (new_year["last_at"], new_year["playbooks"]) == (None, [{"playbook": "give-up", **nothing}])
    assert "not looked at by a service yet" in with_schedules("schedules").stdout


async def test_what_became_of_the_last_time(with_schedules: Runbookd) -> None:
    """Each playbook with its own run: well, failed with its reason, under way and joined by the next time."""
    await lives(with_schedules, [timedelta(minutes=59), timedelta(minutes=15)])
    hourly, rest, new_year = with_schedules.json("schedules")
    assert hourly["last_at"] is not None
    assert (new_year["last_at"], hourly["missed_at"]) == (None, None)
    told = {
        one["playbook"]: (one["state"], one["reason"], one["joined"])
        for one in (*hourly["playbooks"], *rest["playbooks"])
    }
    assert told == {
        "note": ("succeeded", "done", False),
        "give-up": ("failed", "step_failed", False),
        "slow": ("running", None, True),
    }
    text = with_schedules("schedules").stdout
    for said in ("succeeded (done)", "failed (step_failed)", "joined a run, which is running"):
        assert said in text
    explained = with_schedules.json("incidents", "list")
    assert {one["priority"] for one in explained} == {"scheduled", "P1"}


async def test_a_missed_time_is_seen(with_schedules: Runbookd) -> None:
    """Until the next is kept."""
    await lives(with_schedules, [timedelta(minutes=59), timedelta(days=1, minutes=30)])
    assert with_schedules.json("schedules")[0]["missed_at"] is not None
    assert "; missed since" not in with_schedules("schedules").stdout, "the newest was made up for"


def test_there_are_none(runbookd: Runbookd, database: Path) -> None:
    """It says where to write one; and a broken file is told of."""
    assert "there are no schedules" in runbookd("schedules").stderr
    (runbookd.folder / "rules" / "bad.yaml").write_text("schedules: [{name: x}]\n")
    assert "done without that file" in runbookd("schedules").stderr
    assert runbookd.json("schedules") == []


def test_check_counts_them(with_schedules: Runbookd) -> None:
    """Beside rules and playbooks."""
    assert "2 rules, 3 schedules, 3 playbooks" in with_schedules("check").stdout
    assert with_schedules.json("check")["schedules"] == 3
