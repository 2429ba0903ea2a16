"""`velero.restore` against an API server: where to is checked, made once, complete or failed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from runbookd.actions.kubernetes.kinds import Json
from runbookd.actions.velero.work import RESTORE
from runbookd.model.action import Mode
from tests.contract.actions.hands import call, failed, succeeded
from tests.contract.actions.kube_api import KubeApi
from tests.contract.actions.kube_writes import accept_writes, acting, know

STEP = {"backup": "daily-1", "namespaces": ["shop"], "namespace_mapping": {"shop": "shop-2"}}


async def test_a_restore_is_made_once(kube: KubeApi, tmp_path: Path) -> None:
    """Under another name, waited for, and not made again."""
    writes = accept_writes(kube)
    know(kube, RESTORE)

    def end(restore: Json) -> None:
        phase = "PartiallyFailed" if restore["metadata"]["name"].startswith("bad") else "Completed"
        restore["status"] = {"phase": phase, "progress": {"itemsRestored": 3}, "warnings": 2}

    writes.after = end
    made = call("velero.restore", {**STEP, "existing": "update", "restore_volumes": False})
    async with acting(kube, tmp_path) as performer:
        seen = await performer.perform(call("velero.restore", STEP, mode=Mode.OBSERVE))
        assert succeeded(seen)["phase"] == "New"
        for _ in range(2):
            output = succeeded(await performer.perform(made))
            assert (output["namespaces"], output["items"], output["warnings"]) == (["shop-2"], 3, 2)
        bad = await performer.perform(call("velero.restore", {**STEP, "name": "bad"}, key="other"))
        assert "PartiallyFailed" in failed(bad, "check_failed")
        schedule = {"schedule": "daily", "namespaces": ["shop"], "allow_in_place": True}
        succeeded(await performer.perform(call("velero.restore", schedule, key="third")))
    specs = [one["spec"] for one in kube.objects["velero.io", "restores"]]
    assert specs[0] == {
        "includedNamespaces": ["shop"],
        "backupName": "daily-1",
        "namespaceMapping": {"shop": "shop-2"},
        "existingResourcePolicy": "update",
        "restorePVs": False,
    }
    assert specs[2] == {"includedNamespaces": ["shop"], "scheduleName": "daily"}


@pytest.mark.parametrize(
    ("params", "kind", "said"),
    [
        ({"namespace_mapping": {}}, "refused", "onto itself"),
        ({"namespace_mapping": {"shop": "kube-system"}}, "refused", "protected namespace"),
        ({"namespace_mapping": {"other": "x"}}, "invalid", "other"),
        ({"schedule": "daily"}, "invalid", "either"),
    ],
)
async def test_where_to_is_checked(
    kube: KubeApi, tmp_path: Path, params: Mapping[str, object], kind: str, said: str
) -> None:
    """In place, onto what is protected, and what is not in it are refused before anything is asked."""
    async with acting(kube, tmp_path) as performer:
        assert said in failed(await performer.perform(call("velero.restore", {**STEP, **params})), kind)
    assert kube.asked == []
