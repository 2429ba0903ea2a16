"""`kubernetes.run_job` against an API server: made once, waited for, told, and deleted by the undo."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbookd.actions.kubernetes.kinds import CRON_JOB, JOB, POD, Json
from runbookd.model.action import Mode, OutcomeState
from tests.contract.actions.hands import call, failed, succeeded
from tests.contract.actions.kube_api import KubeApi
from tests.contract.actions.kube_objects import pod
from tests.contract.actions.kube_writes import Writes, accept_writes, acting, know

STEP = {
    "namespace": "shop",
    "name": "tidy",
    "image": "tool:1",
    "command": ["tidy", "all"],
    "env": {"A": "1"},
    "service_account": "tidy",
    "deadline": "5m",
}


def ends(kube: KubeApi, condition: str, *, log: str | None = "done\n") -> Writes:
    """A server where a Job ends so as soon as it is made."""
    writes = accept_writes(kube)
    know(kube, JOB, POD)

    def end(job: Json) -> None:
        job["status"] = {
            "conditions": [{"type": condition, "status": "True", "reason": "BackoffLimitExceeded"}]
        }
        name = job["metadata"]["name"]
        if log is not None:
            worker = pod(f"{name}-x")
            worker["metadata"]["labels"] = {"job-name": name}
            kube.put(POD, worker)
            kube.logs[f"{name}-x", ""] = log

    writes.after = end
    return writes


async def test_a_job_is_run_once_and_undone(kube: KubeApi, tmp_path: Path) -> None:
    """A lost answer does not make another; its log is told; the undo deletes it, twice without harm."""
    writes = ends(kube, "Complete")
    made = call("kubernetes.run_job", STEP)
    async with acting(kube, tmp_path) as performer:
        seen = await performer.perform(call("kubernetes.run_job", STEP, mode=Mode.OBSERVE))
        assert succeeded(seen)["done"] is False
        assert seen.change is not None
        writes.broken.append("POST")
        failed(await performer.perform(made), "connection_lost", OutcomeState.IN_DOUBT)
        output = succeeded(await performer.perform(made))
        assert (output["done"], output["logs"]) == (True, "done\n")
        spec = writes.the(JOB, output["job"])["spec"]
        assert (spec["backoffLimit"], spec["activeDeadlineSeconds"], spec["ttlSecondsAfterFinished"]) == (
            0,
            300,
            86_400,
        )
        assert spec["template"]["spec"] == {
            "restartPolicy": "Never",
            "serviceAccountName": "tidy",
            "containers": [
                {
                    "name": "job",
                    "image": "tool:1",
                    "command": ["tidy", "all"],
                    "env": [{"name": "A", "value": "1"}],
                }
            ],
        }
        for _ in range(2):
            undone = await performer.undo(made, output)
            assert undone.state is OutcomeState.SUCCEEDED
    assert not writes.has(JOB, output["job"])
    assert writes.made() == ["POST shop/jobs", "POST shop/jobs", f"DELETE jobs/{output['job']}"] * 1 + (
        [f"DELETE jobs/{output['job']}"]
    )


@pytest.mark.parametrize(("log", "said"), [("broken\n", "broken"), (None, "wrote nothing")])
async def test_a_job_that_fails_is_told(kube: KubeApi, tmp_path: Path, log: str | None, said: str) -> None:
    """With its reason and the end of its log."""
    ends(kube, "Failed", log=log)
    async with acting(kube, tmp_path) as performer:
        message = failed(await performer.perform(call("kubernetes.run_job", STEP)), "exit_status")
        assert "BackoffLimitExceeded" in message
        assert said in message


async def test_a_job_that_goes_on_is_waited_for_again(kube: KubeApi, tmp_path: Path) -> None:
    """When time is up it is in doubt, and the next attempt waits on; it need not be waited for at all."""
    writes = accept_writes(kube)
    know(kube, JOB, POD)
    async with acting(kube, tmp_path) as performer:
        outcome = await performer.perform(call("kubernetes.run_job", STEP, timeout=3))
        assert "next attempt" in failed(outcome, "timeout", OutcomeState.IN_DOUBT)
        left = await performer.perform(call("kubernetes.run_job", {**STEP, "wait": False}))
        assert succeeded(left)["done"] is False
    assert len(kube.objects["batch", "jobs"]) == 1
    assert len(writes.made()) == 2


async def test_a_cron_job_is_run_now(kube: KubeApi, tmp_path: Path) -> None:
    """By its own template; a log that cannot be read is no failure; a name that is taken is not ours."""
    ends(kube, "Complete")
    template = {"template": {"spec": {"containers": [{"name": "x", "image": "x:1"}]}}}
    kube.put(CRON_JOB, {"metadata": {"name": "nightly"}, "spec": {"jobTemplate": {"spec": template}}})
    kube.refused.add("get pods/log")
    params = {"namespace": "shop", "name": "now", "cron_job": "nightly"}
    async with acting(kube, tmp_path) as performer:
        output = succeeded(await performer.perform(call("kubernetes.run_job", params)))
        assert "missing permission" in output["logs"]
        kube.objects["batch", "jobs"][0]["metadata"]["annotations"] = {"runbookd.io/last-change": "not ours"}
        failed(await performer.perform(call("kubernetes.run_job", params)), "conflict")
        for wrong in ({"image": "x"}, {"env": {"A": "1"}}):
            failed(await performer.perform(call("kubernetes.run_job", {**params, **wrong})), "invalid")
