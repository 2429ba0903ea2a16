"""`certmanager.get_certificates` against an API server: who ends when."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from runbookd.actions.certmanager.certificates import CERTIFICATE
from tests.contract.actions.hands import call, succeeded
from tests.contract.actions.kube_api import KubeApi
from tests.contract.actions.kube_writes import acting


def certificate(name: str, ends: str | None, *, ready: bool = True) -> dict[str, Any]:
    """A Certificate that ends then."""
    conditions = [{"type": "Ready", "status": str(ready), "message": "so it is"}]
    status = {"conditions": conditions} | ({"notAfter": ends, "revision": 2} if ends else {})
    return {"metadata": {"name": name}, "spec": {"secretName": f"{name}-tls"}, "status": status}


@pytest.mark.parametrize(
    ("params", "names", "least", "truncated"),
    [
        ({}, ["over", "soon", "late", "none"], -1.0, False),
        ({"most": 1}, ["over"], -1.0, True),
        ({"expires_within": "21d"}, ["over", "soon", "none"], -1.0, False),
        ({"not_ready": True}, ["over", "none"], -1.0, False),
        ({"selector": "app=none"}, [], None, False),
    ],
)
async def test_certificates_are_told(
    kube: KubeApi,
    tmp_path: Path,
    params: Mapping[str, object],
    names: list[str],
    least: float | None,
    truncated: bool,  # noqa: FBT001 - a row
) -> None:
    """Those that end first at the top, those never issued last; only what is asked for."""
    kube.put(
        CERTIFICATE,
        certificate("late", "2026-06-04T05:06:07Z"),
        certificate("over", "2026-03-03T05:06:07Z", ready=False),
        certificate("none", None, ready=False),
        certificate("soon", "2026-03-14T05:06:07Z"),
    )
    async with acting(kube, tmp_path, page_size=2) as performer:
        found = succeeded(await performer.perform(call("certmanager.get_certificates", params)))
    assert [one["name"] for one in found["certificates"]] == names
    assert (found["least_days_left"], found["truncated"]) == (least, truncated)
