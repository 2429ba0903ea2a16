"""The main job, with nothing pretended: a bad release, a real Prometheus and Alertmanager, a real `runbookd serve`."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from runbookd.demo import senders
from runbookd.demo.workspace import VARS
from runbookd.settings import shipped
from tests.servers import Alertmanager, Server, Shop, eventually
from tests.service import Service

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)

StartShop = Callable[..., Awaitable[Shop]]
StartPrometheus = Callable[..., Awaitable[Server]]
StartAlertmanager = Callable[..., Awaitable[Alertmanager]]


@pytest.fixture
async def mended_shop(shop: StartShop) -> Shop:
    """A shop with users, whose first release has proven good."""
    it = await shop(users=20)
    await it.proven()
    return it


@pytest.fixture
async def runbookd(mended_shop: Shop, tmp_path: Path) -> AsyncIterator[Service]:
    """The service with the shipped rules and playbooks, told where the shop is by `vars` alone."""
    rules = tmp_path / "shipped-rules"
    shutil.copytree(shipped("rules"), rules)
    (rules / VARS).write_text(f"vars: {{shop_url: '{mended_shop.url}'}}\n", encoding="utf-8")
    it = Service.at(
        tmp_path, rules=rules, playbooks=shipped("playbooks"), secrets={"shop_token": mended_shop.token}
    )
    await it.start()
    yield it
    await it.stop()


async def watched(
    shop: Shop, runbookd: Service, prometheus: StartPrometheus, alertmanager: StartAlertmanager
) -> None:
    """Let a real Prometheus watch the shop, and a real Alertmanager tell the service."""
    token = {"type": "Bearer", "credentials": runbookd.token}
    hook = {"url": runbookd.hook, "send_resolved": True, "http_config": {"authorization": token}}
    times = {"group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h"}
    config = {
        "route": {"receiver": "runbookd", "group_by": ["alertname"], **times},
        "receivers": [{"name": "runbookd", "webhook_configs": [hook]}],
    }
    told = await alertmanager(config)
    watching = senders.prometheus_config(shop.url, told.url.removeprefix("http://")) | {"rule_files": []}
    await prometheus(watching, senders.alerting_rules())


async def test_a_bad_release_is_rolled_back_once_verified_and_closed(
    mended_shop: Shop, runbookd: Service, prometheus: StartPrometheus, alertmanager: StartAlertmanager
) -> None:
    """A bad release is rolled back exactly once, users are served again, and the incident closes with the alert."""
    await watched(mended_shop, runbookd, prometheus, alertmanager)

    await mended_shop.deploy("v2", "bad")
    (run,) = await runbookd.runs_ended(within=60)
    (incident,) = await runbookd.incidents_resolved(within=60)

    assert (run["playbook"], run["state"], run["incident_id"]) == (
        "rollback-release",
        "verified",
        incident["id"],
    )
    assert (incident["priority"], incident["title"]) == ("P0", "Users of shop get errors")
    assert incident["responded_at"] is not None
    assert incident["escalated_at"] is None
    seen = await mended_shop.admin("GET", "releases")
    assert (seen["current"], seen["rollbacks"], seen["repeated_keys"]) == ("v1", 1, 0)
    kept = {row["name"] for row in runbookd.rows("SELECT name FROM evidence WHERE run_id = ?", run["id"])}
    assert kept == {"evidence/health-before", "evidence/metrics-before"}

    await tells_the_story(runbookd, run, incident)
    assert mended_shop.token not in everything_written(runbookd)


async def tells_the_story(runbookd: Service, run: dict[str, Any], incident: dict[str, Any]) -> None:
    """The command line says the same, and the ledger has not been touched."""
    (shown,) = await runbookd.cli_json("incidents", "list")
    assert (shown["id"], shown["state"]) == (incident["id"], "resolved")
    (ran,) = await runbookd.cli_json("runs", "list")
    assert (ran["id"], ran["state"]) == (run["id"], "verified")
    verified = await runbookd.cli("audit", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def everything_written(runbookd: Service) -> str:
    """Everything the service has written but its secrets folder: database, journal of the database, log."""
    files = [*runbookd.folder.glob("runbookd.db*"), runbookd.folder / "log"]
    return "".join(path.read_bytes().decode("latin-1") for path in files)


async def test_without_a_good_release_nothing_is_touched_and_people_are_told(
    mended_shop: Shop, runbookd: Service
) -> None:
    """When the service's state rules the remedy out, nothing is changed, and the incident is handed to people."""
    await mended_shop.deploy("v2", "bad")
    await eventually(mended_shop.last_good, within=10, what="v1 is known to be good")
    await mended_shop.roll_back("v1")

    assert await runbookd.post(senders.notification(NOON, None, 1.0)) == 202
    (run,) = await runbookd.runs_ended()

    assert run["state"] == "failed"
    (incident,) = runbookd.rows("SELECT * FROM incidents")
    assert incident["escalation_reason"] == "run_failed"
    assert (await mended_shop.admin("GET", "releases"))["rollbacks"] == 1
    (step,) = runbookd.rows("SELECT * FROM steps WHERE path = 'steps/known'")
    assert step["message"] == "no release of shop but v1 is known to be good; nothing to go back to"
