"""The word kubectl would print for a pod, and the reasons of its trouble."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from runbookd.actions.kubernetes.kinds import Json
from runbookd.actions.kubernetes.pods import (
    cannot_run,
    is_running,
    may_have_been_ready,
    never_ran,
    status_word,
    summary,
)
from tests.contract.actions.kube_objects import CREATED, crashing, pod


def container(ready: bool = False, **state: Any) -> Json:  # noqa: FBT001, FBT002 - a row
    """The status of a container."""
    return {"name": "main", "ready": ready, "restartCount": 0, "state": state}


def initializing(*states: Json) -> Json:
    """A pod whose init containers stand so."""
    found = pod("a", ready=False, phase="Pending", containerStatuses=[])
    found["spec"]["initContainers"] = [{"name": f"i{index}"} for index in range(len(states))]
    found["status"]["initContainerStatuses"] = [{"name": "i", "state": state} for state in states]
    return found


DONE = {"terminated": {"exitCode": 0}}
START = datetime.fromisoformat(CREATED)


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (pod("a"), "Running"),
        (crashing("a"), "CrashLoopBackOff"),
        (pod("a", phase="Pending", containerStatuses=[]), "Pending"),
        (pod("a", phase="Failed", reason="Evicted", containerStatuses=[]), "Evicted"),
        (
            pod("a", containerStatuses=[container(terminated={"exitCode": 0, "reason": "Completed"})]),
            "Completed",
        ),
        (pod("a", containerStatuses=[container(terminated={"exitCode": 3})]), "ExitCode:3"),
        (pod("a", containerStatuses=[container(terminated={"signal": 9})]), "Signal:9"),
        (
            pod(
                "a",
                containerStatuses=[
                    container(terminated={"reason": "Completed"}),
                    container(ready=True, running={"startedAt": "x"}),
                ],
            ),
            "Running",
        ),
        (
            pod(
                "a",
                ready=False,
                containerStatuses=[
                    container(terminated={"reason": "Completed"}),
                    container(ready=True, running={"startedAt": "x"}),
                ],
            ),
            "NotReady",
        ),
        (initializing({"running": {}}, {}), "Init:0/2"),
        (initializing(DONE, {"waiting": {"reason": "PodInitializing"}}), "Init:1/2"),
        (initializing(DONE, {"waiting": {"reason": "CrashLoopBackOff"}}), "Init:CrashLoopBackOff"),
        (initializing({"terminated": {"exitCode": 1, "reason": "Error"}}), "Init:Error"),
        (initializing(DONE), "Pending"),
        ({"metadata": {"name": "a"}}, "Unknown"),
    ],
)
def test_the_word_is_kubectls(found: Json, word: str) -> None:
    """Each row is what `kubectl get pods` prints for such a pod."""
    assert status_word(found) == word


def test_a_pod_that_goes_is_terminating() -> None:
    """A deletion timestamp outweighs everything, unless the node is lost."""
    found = crashing("a")
    found["metadata"]["deletionTimestamp"] = "2026-03-04T00:00:00Z"
    assert status_word(found) == "Terminating"
    found["status"]["reason"] = "NodeLost"
    assert status_word(found) == "Unknown"


def test_the_trouble_is_told() -> None:
    """Restarts, the last exit and its reason, and Kubernetes' own words."""
    found = summary(crashing("a", restarts=4))
    assert (found.restarts, found.last_exit_code, found.last_reason) == (4, 137, "OOMKilled")
    assert (found.message, found.ready, found.containers_ready) == ("back-off 5m0s", False, 0)
    assert not is_running(found)
    fine = summary(pod("b"))
    assert (fine.status, fine.last_exit_code, fine.last_reason, fine.message) == ("Running", None, "", "")
    assert is_running(fine)


def test_a_pod_that_is_nowhere_yet_says_why() -> None:
    """What stands in its conditions is told when no container says anything; owners and nodes may be missing."""
    reason = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}
    found = pod("a", phase="Pending", conditions=[reason], containerStatuses=[], podIP=None, startTime=None)
    found["spec"]["nodeName"] = None
    told = summary(found)
    assert (told.message, told.node, told.ip, told.started_at, told.owner) == (
        reason["message"],
        "",
        "",
        None,
        "",
    )
    evicted = summary(pod("a", phase="Failed", message="the node was low on memory"))
    assert evicted.message == "the node was low on memory"
    found["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet", "name": "api-1", "controller": True}]
    assert summary(found).owner == "ReplicaSet/api-1"


def waiting(reason: str) -> Json:
    """A container that waits for this reason."""
    return container(waiting={"reason": reason})


def crashed(restarts: int, *, code: int = 1, **state: Any) -> Json:
    """A container that was started again so often, the last time after this exit code."""
    return container(**state) | {
        "restartCount": restarts,
        "lastState": {"terminated": {"exitCode": code, "reason": "Error"}},
    }


@pytest.mark.parametrize(
    ("containers", "expected"),
    [
        ([waiting("CrashLoopBackOff")], True),
        ([waiting("ImagePullBackOff")], True),
        ([waiting("ErrImagePull")], True),
        ([waiting("CreateContainerConfigError")], True),
        ([container(ready=True, running={}), waiting("CrashLoopBackOff")], True),
        # Between two crashes it runs, or has just ended.
        ([crashed(2, running={})], True),
        ([crashed(2, terminated={"exitCode": 1})], True),
        # It has failed once; it ended well; it takes its time; it is ready again.
        ([crashed(1, running={})], False),
        ([crashed(2, code=0, running={})], False),
        ([waiting("ContainerCreating")], False),
        ([container(running={})], False),
        ([], False),
        ([crashed(7, running={}) | {"ready": True}, container(running={})], False),
    ],
)
def test_what_cannot_run(containers: list[Json], expected: bool) -> None:  # noqa: FBT001 - a row
    """One that crashes again and again, or whose image or start fails; not one that only is not ready yet."""
    found = pod("a", ready=False, containerStatuses=containers)
    assert cannot_run(found) is expected
    assert summary(found).cannot_run is expected
    # Neither is one that has ended, is being deleted, or is ready.
    assert not cannot_run(pod("a", ready=False, phase="Failed", containerStatuses=containers))
    assert not cannot_run(pod("a", ready=True, containerStatuses=containers))
    found["metadata"]["deletionTimestamp"] = "x"
    assert not cannot_run(found)


@pytest.mark.parametrize(
    ("restarts", "seconds", "turned", "expected"),
    [
        (1, 30, START, True),
        (2, 1, START, True),
        (0, 29, START, False),
        (1, 29, START, False),
        # It was ready for a while, or nobody knows.
        (7, 600, START + timedelta(seconds=3), False),
        (7, 600, None, False),
    ],
)
def test_what_never_ran(restarts: int, seconds: int, turned: datetime | None, expected: bool) -> None:  # noqa: FBT001 - a row
    """It cannot run, was never ready since its start, and that for half a minute or two restarts."""
    found = pod("a", ready=False, containerStatuses=[crashed(restarts, waiting={"reason": "ErrImagePull"})])
    if turned is not None:
        found["status"]["conditions"][0]["lastTransitionTime"] = turned.isoformat()
    assert never_ran(found, START + timedelta(seconds=seconds)) is expected
    assert may_have_been_ready(found) is (turned != START)
    found["status"]["containerStatuses"] = [container(running={})]
    assert not never_ran(found, START + timedelta(seconds=seconds))
    found["status"]["conditions"] = []  # as of one that no node has taken up
    assert not may_have_been_ready(found)


def test_an_init_container_may_keep_a_pod_from_running() -> None:
    """It counts as the others do; one that is done does not."""
    assert cannot_run(initializing({"waiting": {"reason": "CrashLoopBackOff"}}))
    assert not cannot_run(initializing(DONE))
