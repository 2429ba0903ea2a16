"""`kubernetes.export_resources` against an API server."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from runbookd.actions.kubernetes.kinds import CONFIG_MAP, SECRET, SERVICE, Json
from runbookd.actions.kubernetes.sealing import unseal
from runbookd.language.values import SecretRef
from runbookd.model.action import Outcome
from tests.contract.actions.hands import call, failed, performing, succeeded
from tests.contract.actions.kube_api import KubeApi

KEY = base64.b64encode(b"k" * 32).decode()
NOTES = {
    "kubectl.kubernetes.io/last-applied-configuration": "{}",
    "runbookd.io/changed-after": "7/uid",
    "runbookd.io/put-back-after": "7/uid",
    "team": "shop",
}


def thing(name: str, *, annotations: dict[str, str] | None = None, **rest: Any) -> Json:
    """An object as the cluster fills it in."""
    metadata = {"name": name, "creationTimestamp": "x", "managedFields": [], "generation": 3, "selfLink": "x"}
    return {"metadata": metadata | {"annotations": annotations or {}}, "status": {"a": 1}} | rest


async def export(kube: KubeApi, folder: Path, key: object = None, **params: Any) -> Outcome:
    """The outcome of an export of `shop`."""
    wanted = {"namespaces": ["shop"], "kinds": ["configmaps"], "key": key} | params
    async with performing(kube.config(folder), export_key=KEY, short="abc") as performer:
        return await performer.perform(call("kubernetes.export_resources", wanted))


async def test_what_is_exported_can_be_applied_again(kube: KubeApi, tmp_path: Path) -> None:
    """Lists with kind and version, without what the cluster fills in, and without what other objects made."""
    made = thing("made")
    made["metadata"]["ownerReferences"] = [{"uid": "u", "controller": True}]
    kube.put(CONFIG_MAP, thing("settings", annotations=NOTES, data={"a": "1"}), made)
    kube.put(
        SERVICE,
        thing("web", spec={"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ports": [1]}),
        thing("db", spec={"clusterIP": "None"}),
    )
    outcome = await export(kube, tmp_path, kinds=["configmaps", "services"])
    result = succeeded(outcome)
    assert [(one["name"], one["objects"], one["sealed"]) for one in result["exports"]] == [
        ("export/shop/configmaps.json", 1, False),
        ("export/shop/services.json", 2, False),
    ]
    pieces = {piece.name: piece.content for piece in outcome.evidence}
    assert json.loads(pieces["export/shop/configmaps.json"])["items"] == [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "settings", "namespace": "shop", "annotations": {"team": "shop"}},
            "data": {"a": "1"},
        }
    ]
    services = json.loads(pieces["export/shop/services.json"])["items"]
    assert [one["spec"] for one in services] == [{"ports": [1]}, {"clusterIP": "None"}]
    assert result["exports"][0]["sha256"] == hashlib.sha256(pieces["export/shop/configmaps.json"]).hexdigest()
    assert (result["objects"], result["bytes"]) == (3, sum(len(content) for content in pieces.values()))


async def test_secrets_are_sealed(kube: KubeApi, tmp_path: Path) -> None:
    """Only the holder of the key can read them; the tokens of service accounts are made anew and left out."""
    kube.put(
        SECRET,
        thing("db", data={"password": "Y2FuYXJ5"}, type="Opaque"),
        thing("token", type="kubernetes.io/service-account-token"),
    )
    outcome = await export(kube, tmp_path, SecretRef("export_key"), kinds=["secrets"])
    assert [(one["objects"], one["sealed"]) for one in succeeded(outcome)["exports"]] == [(1, True)]
    (piece,) = outcome.evidence
    assert "Y2FuYXJ5" not in str(outcome)
    opened = json.loads(unseal(json.loads(piece.content), base64.b64decode(KEY)))
    assert opened["items"][0]["data"] == {"password": "Y2FuYXJ5"}


@pytest.mark.parametrize("key", [None, KEY])
async def test_a_key_only_comes_from_the_secrets(kube: KubeApi, tmp_path: Path, key: str | None) -> None:
    """Without a key, or with one written into the playbook, no Secret is read."""
    kube.put(SECRET, thing("db"))
    outcome = await export(kube, tmp_path, key, kinds=["secrets"])
    assert "${secret.NAME}" in failed(outcome, "invalid")
    assert kube.asked == []
    assert KEY not in str(outcome.failure)


async def test_a_key_that_is_none_is_told(kube: KubeApi, tmp_path: Path) -> None:
    """A secret that is no key is refused before anything is read."""
    outcome = await export(kube, tmp_path, SecretRef("short"), kinds=["secrets"])
    assert "32 bytes" in failed(outcome, "invalid")
    assert kube.asked == []


async def test_what_has_no_namespace_is_not_exported(kube: KubeApi, tmp_path: Path) -> None:
    """Nodes belong to no namespace; an empty kind makes no piece."""
    assert "not in a namespace" in failed(await export(kube, tmp_path, kinds=["nodes"]), "invalid")
    kube.objects["", "configmaps"] = []
    outcome = await export(kube, tmp_path)
    assert (succeeded(outcome)["exports"], outcome.evidence) == ([], ())


async def test_an_export_is_bounded(kube: KubeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that would fill the memory fails, and keeps nothing."""
    kube.put(CONFIG_MAP, *(thing(f"m-{number}", data={"a": "x" * 2_000_000}) for number in range(17)))
    outcome = await export(kube, tmp_path)
    assert "larger than" in failed(outcome, "too_large")
    assert outcome.evidence == ()
