"""What an operator sees of Kubernetes: kubeconfigs that cannot be used, dry runs and what they would change."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from runbookd.actions.kubernetes.kinds import AUTOSCALER, DEPLOYMENT
from tests.contract.actions.hands import deaf_server
from tests.contract.actions.kube_api import TOKEN, kube_api, kubeconfig
from tests.contract.actions.kube_objects import deployment
from tests.contract.actions.kube_writes import Writes, accept_writes, know
from tests.integration.cli.conftest import Runbookd, alert

Tell = Callable[..., Awaitable[None]]
SETTING = "actions.kubernetes.clusters.blue.kubeconfig"
MORE = """
playbook: more
inputs:
  deployment: {type: string}
target: deployments/shop/${inputs.deployment}
steps:
  - id: scale
    action: kubernetes.scale
    with: {cluster: blue, namespace: shop, deployment: "${inputs.deployment}", replicas: 5}
  - id: tell
    action: http.request
    with: {method: POST, url: "http://127.0.0.1:9/told?token=x"}
"""
LOAD = """
rules:
  - name: load
    match: [alertname="Load"]
    priority: P1
    mode: observe
    run: [{playbook: more, with: {deployment: "${event.labels.deployment}"}}]
"""


@pytest.fixture
def blue(runbookd: Runbookd, database: Path) -> Runbookd:
    """A playbook that scales a Deployment, and settings with one cluster, whose kubeconfig is not there yet."""
    del database
    (runbookd.folder / "playbooks" / "more.yaml").write_text(MORE)
    (runbookd.folder / "rules" / "load.yaml").write_text(LOAD)
    clusters = {"blue": {"kubeconfig": str(runbookd.folder / "kubeconfig")}}
    hooks = {"alertmanager": {"bearer": ["a-long-random-token"]}}
    return replace(
        runbookd,
        environment={
            "RUNBOOKD_ACTIONS": json.dumps({"kubernetes": {"clusters": clusters}}),
            "RUNBOOKD_WEB": json.dumps({"hooks": hooks, "port": 0}),
        },
    )


@pytest.fixture
async def writes(blue: Runbookd) -> AsyncIterator[Writes]:
    """The cluster: an API server with one Deployment of two replicas, and the writes it was sent."""
    async with kube_api() as kube:
        (blue.folder / "kubeconfig").write_text(kubeconfig(kube.url, TOKEN))
        kube.put(DEPLOYMENT, deployment())
        know(kube, AUTOSCALER)
        yield accept_writes(kube)


def test_a_kubeconfig_that_cannot_be_used_is_told_before_anything_is_done(blue: Runbookd) -> None:
    """`check` and the service's start name the setting, the path and what to do; no traceback."""
    path = blue.folder / "kubeconfig"
    said = f"setting '{SETTING}': {path} cannot be used: there is no such file; put it there, or correct the setting"
    for args in ([], ["rules", "playbooks"]):
        assert f"environment: {said}" in blue("check", *args, code=1).stdout.splitlines()
    (problem,) = blue.json("check", code=1)["problems"]
    assert (problem["file"], problem["line"], problem["message"]) == ("environment", None, said)
    assert blue("serve", code=2).stderr == f"error: {said}\n"
    path.write_text("users: [{token: canary")
    broken = f"setting '{SETTING}': {path} cannot be used: it is not YAML (line 1); mend it there"
    assert blue("serve", code=2).stderr == f"error: {broken}\n"
    path.write_text(kubeconfig("http://127.0.0.1:9", TOKEN))
    assert "cannot be used" not in blue("check").stdout


def test_a_check_of_files_alone_looks_at_no_kubeconfig(blue: Runbookd) -> None:
    """Who checks a file of rules, in an editor say, need not have the cluster's credentials."""
    assert "kubeconfig" not in blue("check", "rules/load.yaml").stdout


def test_a_step_that_meets_no_kubeconfig_says_which(blue: Runbookd) -> None:
    """The action's own message has the cluster, the path, the setting and what to do, in one line."""
    done = blue("run", "more", "-i", "deployment=api", code=1)
    said = f"cluster 'blue': the kubeconfig {blue.folder / 'kubeconfig'} (`{SETTING}`) cannot be used: there is no such"
    (line,) = [line for line in done.stdout.splitlines() if "cannot be used" in line]
    assert said in line
    assert "file; put it there, or correct the setting" in line


def test_a_call_that_means_no_cluster_is_told_before_it_is_made(blue: Runbookd) -> None:
    """Where the settings name clusters, `check` names each playbook whose calls would be refused, and what to say."""
    (blue.folder / "kubeconfig").write_text(kubeconfig("http://127.0.0.1:9", TOKEN))
    assert "would be refused" not in blue("check").stdout
    (blue.folder / "playbooks" / "more.yaml").write_text(MORE.replace("cluster: blue, ", ""))
    (problem,) = blue.json("check", code=1)["problems"]
    assert problem["file"].endswith("more.yaml")
    assert problem["message"] == (
        "playbook more: kubernetes.scale would be refused: the settings name clusters: blue; say which: "
        "`cluster: blue`, or vars.cluster"
    )
    (blue.folder / "playbooks" / "more.yaml").write_text(MORE.replace("cluster: blue", "cluster: bleu"))
    assert "Did you mean 'blue'" in blue.json("check", code=1)["problems"][0]["message"]


async def test_a_dry_run_says_that_nothing_was_changed_and_what_would_be(
    blue: Runbookd, writes: Writes
) -> None:
    """While it runs, in the run, and in the ledger: the words, and each place before and after."""
    done = await asyncio.to_thread(blue, "run", "more", "-i", "deployment=api", "--observe")
    for part in (
        "steps/scale  succeeded  dry run: nothing was changed",
        "  spec.replicas: 2 -> 5",
        "http.request of http://127.0.0.1:9/told was not called: observe mode changes nothing",
    ):
        assert part in done.stdout
    assert done.stdout.splitlines()[-1].startswith("observed in ")
    assert done.stdout.splitlines()[-1].endswith(": nothing was changed")
    assert writes.made() == []
    (found,) = blue.json("runs")
    shown = blue("runs", "show", found["id"]).stdout
    _, _, would = shown.partition("Would change (dry run: nothing was changed)\n")
    assert would.splitlines()[:2] == ["  steps/scale  deployments/shop/api", "    spec.replicas: 2 -> 5"]
    assert "observe: nothing was changed" in shown
    assert "Changed" not in shown
    step, _ = blue.json("runs", "show", found["id"])["steps"]
    assert (step["reason"], step["change"]["before"]) == ("dry_run", {"spec": {"replicas": 2}})
    entries = [line.strip() for line in blue("audit", "show").stdout.splitlines()]
    assert "spec.replicas: 2 -> 5" in entries


async def test_what_was_changed_is_shown_as_well(blue: Runbookd, writes: Writes) -> None:
    """In act mode the same places stand under another heading, and nothing speaks of a dry run."""
    done = await asyncio.to_thread(blue, "run", "more", "-i", "deployment=api", code=1)
    assert "spec.replicas: 2 -> 5" in done.stdout
    assert writes.made() == ["PATCH deployments/api"]
    (found,) = blue.json("runs")
    shown = blue("runs", "show", found["id"]).stdout
    assert "\nChanged\n  steps/scale  deployments/shop/api\n    spec.replicas: 2 -> 5\n" in shown
    assert "dry run" not in done.stdout + shown


async def test_an_incident_tells_what_its_run_would_have_changed(
    blue: Runbookd, writes: Writes, told: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The timeline of an incident whose rule observes has the dry run, and what it would change."""
    for name, value in blue.environment.items():
        monkeypatch.setenv(name, value)
    await told(alert("Load", deployment="api"))
    (found,) = blue.json("incidents")
    lines = [line.strip() for line in blue("incidents", "show", found["id"]).stdout.splitlines()]
    number = next(number for number, line in enumerate(lines) if "steps/scale" in line)
    assert lines[number].endswith("kubernetes.scale  dry run: nothing was changed")
    assert lines[number + 1] == "spec.replicas: 2 -> 5"
    assert writes.made() == []


async def test_a_doubt_tells_a_person_where_to_look(blue: Runbookd) -> None:
    """Nothing of what is to be done is cut off, neither while it runs nor in the ledger."""
    async with deaf_server() as port:
        url = f"http://127.0.0.1:{port}/back"
        step = {
            "id": "go",
            "action": "http.request",
            "timeout": "300ms",
            "with": {"method": "POST", "url": url},
        }
        (blue.folder / "playbooks" / "back.yaml").write_text(
            json.dumps({"playbook": "back", "steps": [step]})
        )
        done = await asyncio.to_thread(blue, "run", "back", code=1)
    said = (
        f"http.request of {url}: no answer in time; it may have taken effect and must not be repeated blindly. Look "
        f"at {url}: if it took effect, go on from there by hand; if not, `runbookd run back` with the same inputs "
        "does it anew"
    )
    assert said in done.stdout
    assert said in blue("audit", "show").stdout


def test_permissions_are_a_table(runbookd: Runbookd) -> None:
    """Each right of an action is a line with its API groups, resources, verbs and names."""
    page = [line.split() for line in runbookd("actions", "kubernetes.drain").stdout.splitlines()]
    assert ["APIGROUPS", "RESOURCES", "VERBS", "NAMES", "WHERE", "ONLY"] in page
    assert ['""', "nodes", "get,", "patch", "any", "cluster", "-"] in page
    assert ['""', "pods/eviction", "create", "any", "namespace", "-"] in page
    kind = [line.split() for line in runbookd("actions", "kubernetes.patch").stdout.splitlines()]
    assert ["its", "kind's", "of", "`kind`", "get,", "patch", "any", "where", "that", "is", "-"] in kind
    undo = runbookd("actions", "kubernetes.rollout_undo").stdout
    assert "with `statefulset`" in undo
    assert "{" not in undo.partition("Permissions")[2].partition("Parameters")[0]
    assert "permissions  none" in runbookd("actions", "http.check").stdout


def test_a_small_ledger_is_checked_without_a_rate(blue: Runbookd) -> None:
    """Of a few entries only the number and the time are told."""
    blue("run", "give-up", code=1)
    (line,) = [line for line in blue("audit", "verify").stdout.splitlines() if line.startswith("checked")]
    assert re.fullmatch(r"checked 3 entries in \d+\.\d\d s", line)
