"""`kubernetes.get_resource` against an API server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runbookd.actions.kubernetes.kinds import NAMESPACE, SECRET, Kind
from runbookd.model.action import Outcome
from tests.contract.actions.hands import failed, perform, succeeded
from tests.contract.actions.kube_api import KubeApi

APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
CERTIFICATE = Kind("cert-manager.io", "v1", "certificates", "Certificate")


async def get(kube: KubeApi, folder: Path, **params: Any) -> Outcome:
    """The outcome of reading an object in `shop`."""
    return await perform("kubernetes.get_resource", {"namespace": "shop"} | params, kube.config(folder))


async def test_an_object_of_any_kind_is_read(kube: KubeApi, tmp_path: Path) -> None:
    """Built-in, custom and cluster-wide kinds; what is noise is left out."""
    notes = {APPLIED: "{}", "team": "shop"}
    kube.put(
        CERTIFICATE,
        {"metadata": {"name": "tls", "annotations": notes, "managedFields": []}, "spec": {"dnsNames": ["a"]}},
    )
    kube.put(NAMESPACE, {"metadata": {"name": "shop"}})
    found = succeeded(await get(kube, tmp_path, kind="certificates.v1.cert-manager.io", name="tls"))
    assert found["found"]
    assert found["object"]["spec"] == {"dnsNames": ["a"]}
    assert found["object"]["metadata"]["annotations"] == {"team": "shop"}
    assert "managedFields" not in found["object"]["metadata"]
    wide = succeeded(await get(kube, tmp_path, kind="namespaces", name="shop", namespace=None))
    assert wide["object"]["metadata"]["name"] == "shop"


async def test_a_secret_keeps_its_secrets(kube: KubeApi, tmp_path: Path) -> None:
    """Names of keys are told, values are not, also not in kubectl's copy of what was applied."""
    kube.put(
        SECRET,
        {
            "metadata": {"name": "db", "annotations": {APPLIED: '{"data":{"password":"Y2FuYXJ5"}}'}},
            "data": {"password": "Y2FuYXJ5"},
            "type": "Opaque",
        },
    )
    outcome = await get(kube, tmp_path, kind="secrets", name="db")
    assert succeeded(outcome)["object"]["data"] == {"password": "***"}
    assert "Y2FuYXJ5" not in str(outcome)


async def test_what_is_not_there_is_an_answer(kube: KubeApi, tmp_path: Path) -> None:
    """No object is found: false; a kind nobody knows is a slip."""
    kube.put(SECRET, {"metadata": {"name": "db"}})
    assert succeeded(await get(kube, tmp_path, kind="secrets", name="other")) == {
        "object": None,
        "found": False,
    }
    assert "Did you mean" in failed(await get(kube, tmp_path, kind="secret", name="db"), "invalid")


async def test_a_missing_right_is_told(kube: KubeApi, tmp_path: Path) -> None:
    """A 403 is not taken for an object that is not there."""
    kube.put(SECRET, {"metadata": {"name": "db"}})
    kube.refused.add("get secrets")
    message = failed(await get(kube, tmp_path, kind="secrets", name="db"), "denied")
    assert 'verb "get" on "secrets"' in message
