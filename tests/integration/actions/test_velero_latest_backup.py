"""`velero.latest_backup` against an API server: the newest of those that count."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runbookd.actions.velero.work import BACKUP
from tests.contract.actions.hands import call, succeeded
from tests.contract.actions.kube_api import KubeApi
from tests.contract.actions.kube_writes import acting, know


def backup(name: str, started: str | None, phase: str = "Completed", **spec: Any) -> dict[str, Any]:
    """A backup that was begun then."""
    status = {"phase": phase, "errors": 1} | ({"startTimestamp": started} if started else {})
    labels = {"velero.io/schedule-name": "daily"} if name.startswith("daily") else {}
    metadata = {
        "name": name,
        "namespace": "velero",
        "labels": labels,
        "creationTimestamp": "2026-03-01T00:00:00Z",
    }
    return {"metadata": metadata, "spec": spec, "status": status}


BACKUPS = [
    backup("daily-1", "2026-03-03T05:06:07Z"),
    backup("daily-2", "2026-03-04T04:06:07Z", includedNamespaces=["shop"]),
    backup("by-hand", "2026-03-04T04:36:07Z", excludedNamespaces=["shop"]),
    backup("broken", "2026-03-04T05:00:00Z", "Failed", includedNamespaces=["other"]),
    backup("going", "2026-03-04T05:01:00Z", "Deleting"),
    backup("new", None, "New", includedNamespaces=["late"]),
]


@pytest.mark.parametrize(
    ("params", "name", "count", "age"),
    [
        ({}, "by-hand", 3, timedelta(minutes=30)),
        ({"namespace": "shop"}, "daily-2", 2, timedelta(hours=1)),
        ({"schedule": "daily"}, "daily-2", 2, timedelta(hours=1)),
        ({"completed_only": False, "namespace": "other"}, "broken", 3, timedelta(minutes=6, seconds=7)),
        ({"completed_only": False, "namespace": "late"}, "by-hand", 3, timedelta(minutes=30)),
        ({"schedule": "none"}, None, 0, None),
    ],
)
async def test_the_newest_is_found(
    kube: KubeApi,
    tmp_path: Path,
    params: Mapping[str, object],
    name: str | None,
    count: int,
    age: timedelta | None,
) -> None:
    """Among the pages of all, those of a schedule or with a namespace; none is an answer."""
    know(kube, BACKUP)
    kube.put(BACKUP, *BACKUPS)
    async with acting(kube, tmp_path, page_size=2) as performer:
        found = succeeded(await performer.perform(call("velero.latest_backup", params)))
    assert (found["backup"], found["count"], found["age"]) == (name, count, age)
    assert (found["errors"] is None) is (name is None)
