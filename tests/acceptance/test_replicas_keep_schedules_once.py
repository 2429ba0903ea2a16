"""G14: replicas on one Postgres keep a schedule's time once, whichever is first, and whichever dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import PostgresServer, ask
from tests.servers import eventually
from tests.service import Service

RULES = """
priorities: {P1: {name: High}}
schedules:
"""
SCHEDULE = "  - {{name: s{number}, cron: '{minute} {hour} * * *', run: [note]}}\n"
NOTE = {"note": "playbook: note\nsteps: [{id: say, action: flow.log, with: {message: hello}}]\n"}
MANY = 10
UPTO = """
UPDATE switches SET value = jsonb_set(value::jsonb, '{upto}', to_jsonb($1::text))::text WHERE name LIKE 'schedule:%'
"""


class Replicas:
    """Services on one database."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self._folder = url, folder
        self.services: dict[str, Service] = {}

    def add(self, name: str, rules: str) -> Service:
        """Make one, not started."""
        folder = self._folder / name
        folder.mkdir()
        settings = {"database_url": self.url, "name": name, "lease": "2s", "reload": False}
        self.services[name] = Service.at(folder, rules=rules, playbooks=NOTE, settings=settings)
        return self.services[name]

    async def ask(self, sql: str, *values: object) -> list[dict[str, Any]]:
        """Ask the database itself."""
        return await ask(self.url, sql, *values)

    async def looked(self) -> None:
        """Wait until every schedule has been looked at."""
        sql = "SELECT 1 FROM switches WHERE name LIKE 'schedule:%'"

        async def all_of_them() -> bool:
            return len(await self.ask(sql)) == MANY

        await eventually(all_of_them, within=60, what="every schedule is known")

    async def runs(self) -> list[str]:
        """The rule of every run, once all schedules have one and all have ended."""

        async def ended() -> list[str]:
            runs = await self.ask("SELECT rule, state FROM runs ORDER BY rule")
            over = all(run["state"] == "succeeded" for run in runs)
            return [run["rule"] for run in runs] if over and len(runs) >= MANY else []

        found: list[str] = await eventually(ended, within=60, what="every schedule has a run")
        return found


@pytest.fixture
async def replicas(postgres: PostgresServer, tmp_path: Path) -> AsyncIterator[Replicas]:
    """Replicas on a new database, none started; all are ended with the test."""
    name = await postgres.new()
    it = Replicas(postgres.url(name), tmp_path)
    yield it
    for service in it.services.values():
        await service.kill()
    await postgres.drop(name)


def rules(at: datetime) -> str:
    """Many schedules with one time."""
    return RULES + "".join(SCHEDULE.format(number=n, minute=at.minute, hour=at.hour) for n in range(MANY))


async def test_replicas_that_begin_at_once_make_up_for_a_time_once(replicas: Replicas) -> None:
    """Three look at the same moment at ten schedules with a time missed in the outage before, and one is killed."""
    now = datetime.now(UTC)
    content = rules(now - timedelta(minutes=10))
    first = await replicas.add("first", content).start()
    await replicas.looked()
    await first.kill()
    await replicas.ask(UPTO, (now - timedelta(hours=1)).isoformat())
    others = [replicas.add(name, content) for name in ("a", "b", "c")]
    await asyncio.gather(*(other.start(ready=False) for other in others))

    async def told() -> list[dict[str, Any]]:
        return await replicas.ask("SELECT 1 FROM deliveries WHERE source = 'schedule'")

    await eventually(told, within=60, what="a time is kept")
    await others[0].kill()
    assert await replicas.runs() == sorted(f"schedule/s{n}/note" for n in range(MANY))
    (kept,) = await replicas.ask("SELECT count(*) AS n FROM ledger WHERE what = 'schedule_due'")
    assert kept == {"n": MANY}
