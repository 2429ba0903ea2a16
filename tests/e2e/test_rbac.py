"""Least privilege on a real API server: what `runbookd rbac` prints is enough, and every rule of it is needed.

That it is enough for every shipped Kubernetes playbook is shown by `tests/e2e/test_procedures.py`: its runbookd may do
nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import yaml

from runbookd.actions.catalogue import ActionCatalogue
from runbookd.content.load import load
from runbookd.model.library import Library
from runbookd.reports.rbac import Right, Rights, rights
from runbookd.reports.rbac_manifest import Account, manifest
from tests.cluster.cluster import Cluster
from tests.e2e.procedures import CONNECTIONS, DEPLOYMENT, System, allowed, answered, backup, system, using

OTHER = "user-6"
WITHIN = re.compile(r"^(    within: ).*$", re.MULTILINE)
ALERTS = (
    "SystemDown",
    "SecurityBreachSuspected",
    "DataLossSuspected",
    "PodCPUHigh",
    "DatabaseConnectionsExhausted",
)

ON_OCCASION = ("replicasets", "kubernetes.rollout_status")
"""A resource, and an action that reads it only once a rollout has missed its deadline: no playbook fails by it here."""


def lessened(every: Rights) -> Iterator[tuple[Right, Rights]]:
    """Each right, and what is left without it."""
    for right in every.cluster:
        yield right, replace(every, cluster=tuple(each for each in every.cluster if each != right))
    for place, inside in every.namespaces.items():
        for right in inside:
            left = tuple(each for each in inside if each != right)
            yield right, replace(every, namespaces={**every.namespaces, place: left})


def first_to_fail(right: Right, library: Library) -> tuple[str, bool]:
    """A playbook that needs the right, and whether in a step: what only evidence needs does not keep help away."""
    for because in right.because:
        name, _, action = because.partition(": ")
        if (right.resource, action) == ON_OCCASION:
            continue
        if action in {step.action for step in library.playbooks[name].steps}:
            return name, True
    return right.because[0].partition(": ")[0], False


async def test_every_rule_that_is_printed_is_needed(cluster: Cluster) -> None:
    """Kubectl takes it whole; without any one rule a playbook fails, or evidence of it, and names what it lacks."""
    async with system(cluster) as it, backup(cluster):
        await cluster.deploy(DEPLOYMENT, "app:good-1", 1)
        await cluster.wait_rolled_out(DEPLOYMENT)
        await using(cluster, "98m")
        answered(cluster, CONNECTIONS, {"used": 100, "limit": 100, "states": {"idle": 100}})
        await it.service.stop()
        content = it.service.folder / "content"
        give_up_soon(content / "playbooks")
        catalogue = ActionCatalogue()
        library = load(content / "rules", content / "playbooks", catalogue)
        inputs = {rung["playbook"]: rung["inputs"] for rung in await it.rungs(*ALERTS)}
        as_other(it, cluster)
        every = rights(library, catalogue)
        whole = manifest(every, Account(cluster.namespace, "whole"))
        await cluster.kubectl("apply", "--dry-run=server", "-f", "-", stdin=whole)
        names: set[str] = set()
        for right, rest in lessened(every):
            documents = list(yaml.safe_load_all(manifest(rest, Account(cluster.namespace, "lessened"))))
            kept = [each for each in documents if each.get("rules") != []]
            playbook, in_step = first_to_fail(right, library)
            async with allowed(cluster, [each for each in kept if each["kind"] != "ServiceAccount"], OTHER):
                run = await it.by_hand(playbook, inputs[playbook])
            await it.release()
            said = [row["message"] or "" for row in it.steps(run) if row["state"] == "failed"]
            lacking = [
                f'verb "{verb}" on "{right.resource}" (API group "{right.group}")' for verb in right.verbs
            ]
            assert any(one in each for one in lacking for each in said), (right, run["state"], said)
            assert not in_step or run["state"] in {"failed", "unverified"}, (right, run["state"])
            names.add(f"{right.group}/{right.resource}")
        assert len(names) > 10


def give_up_soon(playbooks: Path) -> None:
    """Let every check give up soon: what it waits for does not come while a right is lacking."""
    for path in playbooks.glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        path.write_text(WITHIN.sub(r"\g<1>3s", text), encoding="utf-8")


def as_other(it: System, cluster: Cluster) -> None:
    """Let the commands sign in as a user who may do nothing yet."""
    path: Path = cluster.kubeconfig(OTHER)
    it.service.settings["actions"] = {"kubernetes": {"clusters": {"test": {"kubeconfig": str(path)}}}}
    it.service.configure()
