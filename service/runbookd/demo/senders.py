"""Who notices the errors and tells runbookd: a real Prometheus and Alertmanager, or the demo in their place.

The stand-in watches the same counter, and posts the same body to the same address with the same token. The format
is https://prometheus.io/docs/alerting/latest/configuration/#webhook_config, version 4.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp
import orjson
import yaml

from runbookd.demo.processes import DemoError, Processes, free_port, installed
from runbookd.demo.shop_client import ShopClient
from runbookd.demo.workspace import Workspace

ALERT: Final = "ShopErrorsHigh"
LABELS: Final = {"alertname": ALERT, "service": "shop", "severity": "critical"}
SHARE: Final = 0.05
"""The share of visits that may fail."""
_RATE: Final = 'sum by (service) (rate(shop_requests_total{code=~"5.."}[5s]))'
_ALL: Final = "sum by (service) (rate(shop_requests_total[5s]))"
_LOOK_EVERY: Final = 0.5
_QUIET_LOOKS: Final = 4
_NEVER: Final = "0001-01-01T00:00:00Z"


def real() -> bool:
    """Tell whether Prometheus and Alertmanager are installed (Debian names the second prometheus-alertmanager)."""
    return installed("prometheus") is not None and _alertmanager() is not None


def _alertmanager() -> str | None:
    return installed("prometheus-alertmanager", "alertmanager")


async def start_real(workspace: Workspace, processes: Processes) -> tuple[str, str]:
    """Start an Alertmanager that tells runbookd and a Prometheus that watches the shop; returns their addresses."""
    prometheus, alertmanager = installed("prometheus"), _alertmanager()
    if prometheus is None or alertmanager is None:
        raise DemoError("prometheus or alertmanager has gone from the PATH; run the demo again")
    folder = workspace.folder / "monitoring"
    folder.mkdir()
    alertmanager_at, prometheus_at = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    files = {
        "alertmanager.yml": alertmanager_config(workspace),
        "prometheus.yml": prometheus_config(workspace.shop_url, alertmanager_at),
        "rules.yml": alerting_rules(),
    }
    for name, content in files.items():
        (folder / name).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    await processes.start(
        "alertmanager",
        [
            alertmanager,
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'alertmanager'}",
            f"--web.listen-address={alertmanager_at}",
            "--cluster.listen-address=",  # alone
        ],
        f"http://{alertmanager_at}/-/ready",
    )
    await processes.start(
        "prometheus",
        [
            prometheus,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'prometheus'}",
            f"--web.listen-address={prometheus_at}",
        ],
        f"http://{prometheus_at}/-/ready",
    )
    return f"http://{prometheus_at}", f"http://{alertmanager_at}"


def alertmanager_config(workspace: Workspace) -> dict[str, Any]:
    """Send everything to runbookd. The group times are a demo's; production has 30s, 5m and 4h."""
    token = {"type": "Bearer", "credentials_file": str(workspace.vault / "hook_token")}
    hook = {"url": workspace.hook_url, "send_resolved": True, "http_config": {"authorization": token}}
    return {
        "route": {
            "receiver": "runbookd",
            "group_by": ["alertname"],
            "group_wait": "1s",
            "group_interval": "1s",
            "repeat_interval": "1h",
        },
        "receivers": [{"name": "runbookd", "webhook_configs": [hook]}],
    }


def prometheus_config(shop_url: str, alertmanager_at: str) -> dict[str, Any]:
    """Look at the shop every second, and tell the Alertmanager."""
    targets = [{"targets": [shop_url.removeprefix("http://")], "labels": {"service": "shop"}}]
    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "scrape_configs": [{"job_name": "shop", "static_configs": targets}],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager_at]}]}]},
        "rule_files": ["rules.yml"],
    }


def alerting_rules() -> dict[str, Any]:
    """Fire when too many of the last five seconds' visits failed."""
    rule = {
        "alert": ALERT,
        "expr": f"{_RATE} / {_ALL} > {SHARE}",
        "labels": {"severity": LABELS["severity"]},
        "annotations": {"summary": "{{ $value | humanizePercentage }} of visits fail"},
    }
    return {"groups": [{"name": "shop", "interval": "1s", "rules": [rule]}]}


@asynccontextmanager
async def stand_in(workspace: Workspace, shop: ShopClient) -> AsyncIterator[asyncio.Task[None]]:
    """Watch the shop and tell runbookd while the block lasts; the task ends only with the error that ended it."""
    watching = asyncio.create_task(_watch(workspace, shop))
    try:
        yield watching
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError, DemoError):
            await watching


async def _watch(workspace: Workspace, shop: ShopClient) -> None:
    firing_since: datetime | None = None
    looks_without_errors, share = 0, 0.0
    before = await shop.visits()
    while True:
        await asyncio.sleep(_LOOK_EVERY)
        seen = await shop.visits()
        visits, failed = seen[0] - before[0], seen[1] - before[1]
        before = seen
        errors = failed > SHARE * max(visits, 1)
        looks_without_errors = 0 if errors else looks_without_errors + 1
        now = datetime.now(UTC)
        share = failed / visits if errors else share  # a resolved alert tells what it told when it last fired
        if errors and firing_since is None:
            firing_since = now
            await _post(workspace, notification(firing_since, None, share))
        elif firing_since is not None and looks_without_errors == _QUIET_LOOKS:
            await _post(workspace, notification(firing_since, now, share))
            firing_since = None


def notification(since: datetime, until: datetime | None, share: float) -> dict[str, Any]:
    """Make the body an Alertmanager sends for this one alert; `until` None while it fires."""
    status = "firing" if until is None else "resolved"
    annotations = {"summary": f"{share:.0%} of visits fail"}
    alert = {
        "status": status,
        "labels": LABELS,
        "annotations": annotations,
        "startsAt": since.isoformat(),
        "endsAt": _NEVER if until is None else until.isoformat(),
        "generatorURL": "",
        "fingerprint": hashlib.sha256(orjson.dumps(LABELS)).hexdigest()[:16],
    }
    return {
        "version": "4",
        "groupKey": f'{{}}:{{alertname="{ALERT}"}}',
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "runbookd",
        "groupLabels": {"alertname": ALERT},
        "commonLabels": LABELS,
        "commonAnnotations": annotations,
        "externalURL": "",
        "alerts": [alert],
    }


async def _post(workspace: Workspace, body: dict[str, Any]) -> None:
    """Deliver; a refusal ends the demo, which has nothing to show then."""
    headers = {"Authorization": f"Bearer {workspace.hook_token}", "Content-Type": "application/json"}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
            session.post(workspace.hook_url, data=orjson.dumps(body), headers=headers) as answer,
        ):
            if not answer.ok:
                raise DemoError(f"runbookd answered {answer.status} to the alert: {await answer.text()}")
    except (aiohttp.ClientError, TimeoutError) as error:
        raise DemoError(f"runbookd at {workspace.hook_url} does not answer: {error!r}") from error
