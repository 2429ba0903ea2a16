"""`velero.create_backup` against an API server: made once, waited for, complete or failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbookd.actions.kubernetes.kinds import Json
from runbookd.actions.velero.work import BACKUP
from runbookd.model.action import Mode, OutcomeState
from tests.contract.actions.hands import call, failed, succeeded
from tests.contract.actions.kube_api import KubeApi
from tests.contract.actions.kube_writes import Writes, accept_writes, acting, know

STEP = {
    "namespaces": ["shop"],
    "keep": "7d",
    "labels": {"app": "api"},
    "exclude_resources": ["events"],
    "snapshot_volumes": False,
    "storage_location": "west",
}


def ends(kube: KubeApi, **status: object) -> Writes:
    """A server where a Backup ends so as soon as it is made."""
    writes = accept_writes(kube)
    know(kube, BACKUP)

    def end(backup: Json) -> None:
        backup["status"] = status

    writes.after = end
    return writes


async def test_a_backup_is_made_once(kube: KubeApi, tmp_path: Path) -> None:
    """A lost answer does not make another, and observe makes none."""
    writes = ends(kube, phase="Completed", progress={"itemsBackedUp": 7}, warnings=1)
    made = call("velero.create_backup", STEP)
    async with acting(kube, tmp_path) as performer:
        seen = await performer.perform(call("velero.create_backup", STEP, mode=Mode.OBSERVE))
        assert succeeded(seen)["phase"] == "New"
        assert seen.change is not None
        writes.broken.append("POST")
        failed(await performer.perform(made), "connection_lost", OutcomeState.IN_DOUBT)
        output = succeeded(await performer.perform(made))
    assert (output["done"], output["items"], output["warnings"]) == (True, 7, 1)
    (backup,) = kube.objects["velero.io", "backups"]
    assert backup["spec"] == {
        "includedNamespaces": ["shop"],
        "ttl": "604800s",
        "excludedResources": ["events"],
        "labelSelector": {"matchLabels": {"app": "api"}},
        "snapshotVolumes": False,
        "storageLocation": "west",
    }


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({"phase": "PartiallyFailed", "errors": 2}, "PartiallyFailed: 2 errors"),
        ({"phase": "Failed", "failureReason": "no space"}, "no space"),
        ({"phase": "FailedValidation", "validationErrors": ["no such location"]}, "no such location"),
    ],
)
async def test_anything_but_completed_has_failed(
    kube: KubeApi, tmp_path: Path, status: dict[str, object], said: str
) -> None:
    """With Velero's reason, and what was seen as the output."""
    ends(kube, **status)
    async with acting(kube, tmp_path) as performer:
        outcome = await performer.perform(call("velero.create_backup", STEP))
        assert said in failed(outcome, "check_failed")
        assert outcome.output["phase"] == status["phase"]


async def test_one_that_goes_on_is_waited_for_again(kube: KubeApi, tmp_path: Path) -> None:
    """When time is up it is in doubt, and the next attempt makes no other."""
    ends(kube, phase="InProgress")
    async with acting(kube, tmp_path) as performer:
        for _ in range(2):
            outcome = await performer.perform(call("velero.create_backup", STEP, timeout=3))
            assert "next attempt" in failed(outcome, "timeout", OutcomeState.IN_DOUBT)
    assert len(kube.objects["velero.io", "backups"]) == 1
