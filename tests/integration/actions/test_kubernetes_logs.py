"""`kubernetes.logs` against an API server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runbookd.actions.kubernetes.kinds import POD
from runbookd.model.action import Outcome
from tests.contract.actions.hands import failed, perform, succeeded
from tests.contract.actions.kube_api import KubeApi, refusal
from tests.contract.actions.kube_objects import crashing, pod

LINES = "".join(f"line {number} {'ERROR' if number % 4 == 0 else 'ok'}\n" for number in range(20))


async def read(kube: KubeApi, folder: Path, **params: Any) -> Outcome:
    """The outcome of reading the logs of `app=api` unless told otherwise."""
    wanted = {"namespace": "shop"} | ({} if "pod" in params else {"selector": "app=api"}) | params
    return await perform("kubernetes.logs", wanted, kube.config(folder))


async def test_logs_of_all_containers_are_kept_and_counted(kube: KubeApi, tmp_path: Path) -> None:
    """Each container's log is evidence; lines and those with the pattern are counted, the first are shown."""
    both = pod("api-1")
    both["spec"]["containers"].append({"name": "proxy", "image": "envoy:1"})
    both["spec"]["initContainers"] = [{"name": "migrate", "image": "shop:1"}]
    kube.put(POD, both, pod("web-1", app="web"))
    kube.logs |= {("api-1", "main"): LINES, ("api-1", "proxy"): "ready\n", ("api-1", "migrate"): ""}
    outcome = await read(kube, tmp_path, pattern="ERROR", show=2, tail=10)
    result = succeeded(outcome)
    assert [(one["container"], one["lines"], one["matches"]) for one in result["containers"]] == [
        ("migrate", 0, 0),
        ("main", 10, 2),
        ("proxy", 1, 0),
    ]
    assert (result["lines"], result["matches"], result["pods"], result["pods_found"]) == (11, 2, 1, 1)
    assert result["shown"] == ["api-1/main: line 12 ERROR", "api-1/main: line 16 ERROR"]
    assert {piece.name: piece.content for piece in outcome.evidence} == {
        "logs/api-1/main.log": "".join(LINES.splitlines(keepends=True)[-10:]).encode(),
        "logs/api-1/proxy.log": b"ready\n",
    }


async def test_what_is_asked_for_is_asked_of_the_server(kube: KubeApi, tmp_path: Path) -> None:
    """Tail, age, the run before and the container go out as the API names them."""
    kube.put(POD, pod("api-1"))
    kube.logs["api-1", "main"] = LINES
    succeeded(await read(kube, tmp_path, pod="api-1", container="main", tail=5, since="1m30s", previous=True))
    assert kube.asked[-1].query == {
        "container": "main",
        "tailLines": "5",
        "previous": "true",
        "sinceSeconds": "90",
    }


async def test_a_container_without_a_log_is_a_finding(kube: KubeApi, tmp_path: Path) -> None:
    """A container that never started, and a pod that is gone meanwhile, are named with the server's reason."""
    kube.put(POD, crashing("api-1"), pod("api-2"))
    kube.logs["api-2", "main"] = LINES

    async def gone(_request: object) -> Any:
        return refusal(404, 'pods "api-2" not found')

    result = succeeded(await read(kube, tmp_path))
    assert "is waiting to start" in result["containers"][0]["missing"]
    kube.handle("GET", "/api-2/log", gone)
    assert "not found" in succeeded(await read(kube, tmp_path))["containers"][1]["missing"]


async def test_pods_that_are_not_ready_are_read_first(kube: KubeApi, tmp_path: Path) -> None:
    """With more pods than are read, those in trouble are not left out."""
    kube.put(POD, pod("a"), pod("b"), crashing("c"))
    kube.logs |= {(name, "main"): LINES for name in "abc"}
    result = succeeded(await read(kube, tmp_path, most_pods=2))
    assert [one["pod"] for one in result["containers"]] == ["c", "a"]
    assert (result["pods"], result["pods_found"]) == (2, 3)


async def test_only_the_end_of_a_long_log_is_kept(kube: KubeApi, tmp_path: Path) -> None:
    """The end is kept up to the bytes asked for, and that it was cut is told."""
    kube.put(POD, pod("api-1"))
    kube.logs["api-1", "main"] = "x" * 3000 + "\nthe end\n"
    outcome = await read(kube, tmp_path, max_bytes=1024)
    assert succeeded(outcome)["containers"][0]["truncated"]
    (piece,) = outcome.evidence
    assert len(piece.content) == 1024
    assert piece.content.endswith(b"the end\n")


async def test_no_pod_is_a_failure(kube: KubeApi, tmp_path: Path) -> None:
    """A selector that fits no pod fails, so that a slip in it is not taken for silence."""
    kube.put(POD, pod("web-1", app="web"))
    assert "no pods in shop with 'app=api'" in failed(await read(kube, tmp_path), "not_found")


@pytest.mark.parametrize("params", [{}, {"pod": "a", "selector": "app=api"}])
async def test_one_way_to_choose(kube: KubeApi, tmp_path: Path, params: dict[str, str]) -> None:
    """Either a pod or a selector."""
    outcome = await perform("kubernetes.logs", {"namespace": "shop"} | params, kube.config(tmp_path))
    assert "either `pod` or `selector`" in failed(outcome, "invalid")


async def test_a_missing_right_is_a_failure(kube: KubeApi, tmp_path: Path) -> None:
    """A 403 on the log is no finding."""
    kube.put(POD, pod("api-1"))
    kube.refused.add("get pods/log")
    assert 'verb "get" on "pods/log"' in failed(await read(kube, tmp_path), "denied")
