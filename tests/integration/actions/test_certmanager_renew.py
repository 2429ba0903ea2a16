"""`certmanager.renew` against an API server: asked once, waited for, and not too often."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runbookd.actions.certmanager.certificates import CERTIFICATE
from runbookd.actions.kubernetes.kinds import Json
from runbookd.model.action import Mode, OutcomeState
from tests.contract.actions.hands import call, failed, succeeded
from tests.contract.actions.kube_api import KubeApi
from tests.contract.actions.kube_writes import Writes, accept_writes, acting

STEP = {"namespace": "shop", "certificate": "web"}
READY = {"type": "Ready", "status": "True", "message": "it is"}


def certificate(name: str = "web", secret: str = "web-tls", **status: Any) -> Json:
    """A Certificate that was issued once, months ago."""
    known = {"conditions": [READY], "revision": 1, "notBefore": "2025-12-04T00:00:00Z"}
    spec = {"secretName": secret}
    return {"metadata": {"name": name, "generation": 3}, "spec": spec, "status": known | status}


def issuing(found: Json) -> bool:
    """Whether it is to be issued."""
    return any(one["type"] == "Issuing" and one["status"] == "True" for one in found["status"]["conditions"])


def answers(kube: KubeApi, *, good: bool = True) -> Writes:
    """A server with a cert-manager that issues at once, or fails to."""
    writes = accept_writes(kube)
    kube.put(CERTIFICATE, certificate())

    def issue(found: Json) -> None:
        if not issuing(found):
            return
        status = found["status"]
        if good:
            status |= {"revision": 2, "conditions": [READY], "notAfter": "2026-06-04T05:06:07Z"}
        else:
            refused = {"type": "Issuing", "status": "False", "message": "the CA said no"}
            status |= {"failedIssuanceAttempts": 1, "conditions": [READY, refused]}

    writes.after = issue
    return writes


async def test_it_is_asked_once_and_waited_for(kube: KubeApi, tmp_path: Path) -> None:
    """A lost answer is found to have been heard; the whole status is put, with its other conditions."""
    writes = answers(kube)
    made = call("certmanager.renew", STEP)
    async with acting(kube, tmp_path) as performer:
        seen = await performer.perform(call("certmanager.renew", STEP, mode=Mode.OBSERVE))
        assert succeeded(seen)["done"] is False
        assert writes.made() == []
        writes.broken.append("PUT")
        failed(await performer.perform(made), "connection_lost", OutcomeState.IN_DOUBT)
        for _ in range(2):
            output = succeeded(await performer.perform(made))
            assert (output["revision_before"], output["revision"], output["days_left"]) == (1, 2, 92.0)
    assert writes.made() == ["PATCH certificates/web", "PUT web/status"]
    put = [one.body for one in kube.asked if one.method == "PUT"][-1]
    assert [one["type"] for one in put["status"]["conditions"]] == ["Ready", "Issuing"]
    assert put["status"]["conditions"][1]["observedGeneration"] == 3


async def test_a_failed_issuance_is_told_and_not_asked_for_again(kube: KubeApi, tmp_path: Path) -> None:
    """With cert-manager's reason."""
    writes = answers(kube, good=False)
    async with acting(kube, tmp_path) as performer:
        for _ in range(2):
            outcome = await performer.perform(call("certmanager.renew", STEP))
            assert "the CA said no" in failed(outcome, "check_failed")
    assert writes.made() == ["PATCH certificates/web", "PUT web/status"]


async def test_one_that_takes_longer_is_waited_for_again(kube: KubeApi, tmp_path: Path) -> None:
    """When time is up it is in doubt; it is not asked for while it is being issued; it need not be waited for."""
    writes = accept_writes(kube)
    kube.put(CERTIFICATE, certificate())
    async with acting(kube, tmp_path) as performer:
        for _ in range(2):
            outcome = await performer.perform(call("certmanager.renew", STEP, timeout=2.5))
            assert "next attempt" in failed(outcome, "timeout", OutcomeState.IN_DOUBT)
        other = call("certmanager.renew", {**STEP, "wait": False}, key="other")
        assert succeeded(await performer.perform(other))["done"] is False
    assert [one for one in writes.made() if one.startswith("PUT")] == ["PUT web/status"]


@pytest.mark.parametrize(
    ("others", "status", "said"),
    [
        ([certificate("same")], {}, "as does same"),
        ([], {"notBefore": "2026-03-04T00:00:00Z"}, "not_within"),
        ([], {"lastFailureTime": "2026-03-04T05:00:00Z"}, "waits an hour"),
    ],
)
async def test_what_is_not_renewed(
    kube: KubeApi, tmp_path: Path, others: list[Json], status: dict[str, str], said: str
) -> None:
    """One that shares its Secret, one renewed and one that failed just now; nothing is changed."""
    writes = accept_writes(kube)
    kube.put(CERTIFICATE, certificate(**status), *others)
    async with acting(kube, tmp_path) as performer:
        assert said in failed(await performer.perform(call("certmanager.renew", STEP)), "refused")
    assert writes.made() == []


async def test_a_contested_certificate_is_given_up(kube: KubeApi, tmp_path: Path) -> None:
    """When its status changes under every attempt, nothing was asked, and it may be tried later."""
    writes = answers(kube)

    async def race(_request: object) -> None:
        kube.version += 1
        writes.the(CERTIFICATE, "web")["metadata"]["resourceVersion"] = str(kube.version)

    kube.hooks.insert(0, ("PUT", "/status$", race))
    async with acting(kube, tmp_path) as performer:
        outcome = await performer.perform(call("certmanager.renew", STEP))
        failed(outcome, "conflict")
        assert outcome.failure is not None
        assert outcome.failure.temporary
