"""The operations runbook's system in a namespace of the test cluster, looked after by a runbookd of its own.

A front, as its users see it; the ingress, a backup, and answers to the questions to its database; a runbookd that
may do only what `runbookd rbac` prints for it; and an Alertmanager that tells it.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from runbookd.settings import shipped
from tests.cluster.api import Object
from tests.cluster.cluster import Cluster, standing
from tests.cluster.scripts import Answer
from tests.servers import Alertmanager, alertmanager, eventually, free_port, temporary_folder
from tests.service import Service, notification

NAME = "test"
"""What the settings and the vars call the cluster."""
DEPLOYMENT = "medinovai-backend"
POD = f"{DEPLOYMENT}-6b7f9c5d4-x2x7k"
INGRESS = "medinovai-ingress"
INGRESSES = "/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses"
AUTOSCALERS = "/apis/autoscaling/v1/namespaces/{namespace}/horizontalpodautoscalers"
BACKUPS = "/apis/velero.io/v1/namespaces/velero/backups"
VARS = "01-vars-kubernetes.yaml"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
USER = "user-7"
CONNECTIONS, DAMAGE, TOP = "pg_stat_activity", "FROM messages", "top -b -n1"
GOOD, BROKEN, UNREADY = "app:good-1", "app:good-broken-2", "app:unready-2"
FLAKY = "app:good-flaky-2"
EXHAUSTED = "DatabaseConnectionsExhausted"
LOOKS = re.compile(r"^    (every|for|within): .*$", re.MULTILINE)
ROLLBACK = "- playbook: rollback-deployment\n        with:\n"
QUICK = {"every": "500ms", "for": "1s", "within": "20s"}
CALLS = re.compile(r"^(steps|finally)/")


@dataclass(slots=True)
class Front:
    """What users reach: 200 while the system serves, 503 when it is shut off or down.

    `needed` is how many ready pods it takes. A release with `broken` in its image is ready, and serves nobody; one with
    `flaky` answers every other request with 500, as any does the one numbered `loses`; those for the administration do
    not count. While `administered` is False the administration answers 503, whatever the rest does.
    """

    cluster: Cluster
    url: str = ""
    needed: int = 1
    administered: bool = True
    loses: int = 0
    asked: int = 0

    async def serves(self) -> bool:
        """Whether users are served."""
        place = f"{INGRESSES.format(namespace=self.cluster.namespace)}/{INGRESS}"
        ingress = await self.cluster.api.get(place)
        if ingress["spec"].get("defaultBackend", {}).get("service", {}).get("name") == "block-all":
            return False
        ready = [pod for pod in await self.cluster.pods(DEPLOYMENT) if "Ready" in standing(pod)]
        images = {each["image"] for pod in ready for each in pod["spec"]["containers"]}
        return len(ready) >= self.needed and not any("broken" in image for image in images)

    async def answer(self, request: web.Request) -> web.Response:
        """The same for every page, but for the administration's."""
        up = self.administered or not request.path.startswith("/admin")
        if not request.path.startswith("/admin"):
            self.asked += 1
            pods = await self.cluster.pods(DEPLOYMENT)
            flaky = any("flaky" in each["image"] for pod in pods for each in pod["spec"]["containers"])
            if self.asked == self.loses or (flaky and self.asked % 2):
                return web.json_response({}, status=500)
        return web.json_response({}, status=200 if up and await self.serves() else 503)


@dataclass(slots=True)
class System:
    """All of it. `service` is runbookd."""

    cluster: Cluster
    front: Front
    service: Service
    alertmanager: Alertmanager
    fired: list[dict[str, Any]] = field(default_factory=list)

    async def fire(self, name: str, **labels: str) -> None:
        """Let an alert fire until `resolve`, of this namespace unless the labels name another."""
        labels = {"alertname": name, "namespace": self.cluster.namespace, **labels}
        began = datetime.now(UTC)
        ends = began + timedelta(hours=1)
        self.fired.append({"labels": labels, "startsAt": began.isoformat(), "endsAt": ends.isoformat()})
        await self.alertmanager.post_alerts(*self.fired)

    async def resolve(self) -> None:
        """Let all alerts resolve."""
        now = datetime.now(UTC).isoformat()
        await self.alertmanager.post_alerts(*({**alert, "endsAt": now} for alert in self.fired))

    async def serving(self, within: float = 15) -> None:
        """Return once users are served."""
        await eventually(self.front.serves, within=within, every=0.2, what="users are served")

    async def plan(self) -> dict[str, Any]:
        """What `runbookd explain` says would be done about the alert that fires."""
        (plan,) = await self._explained(self.fired[-1]["labels"])
        return plan

    async def rungs(self, *names: str) -> list[dict[str, Any]]:
        """What `runbookd explain` says would be run about alerts of these names, one after the other."""
        place = {"namespace": self.cluster.namespace, "pod": POD}
        plans = await self._explained(*({"alertname": name, **place} for name in names))
        return [rung for plan in plans for rung in plan["rungs"]]

    async def by_hand(self, playbook: str, inputs: Mapping[str, Any], *options: str) -> dict[str, Any]:
        """Run a playbook with `runbookd run`, however it ends, and return the run."""
        file = self.service.folder / "inputs.json"
        file.write_text(json.dumps(inputs), encoding="utf-8")
        done = await self.service.cli("run", playbook, "--inputs-json", str(file), *options)
        newest = "SELECT * FROM runs ORDER BY created_at DESC, id DESC LIMIT 1"
        found = next(iter(self.service.rows(newest)), None)
        assert found is not None, done.stderr
        assert found["playbook"] == playbook, done.stderr
        return found

    async def release(self) -> list[str]:
        """Release every target that is held, as a person does, and return them."""
        held = [row["target"] for row in self.service.rows("SELECT target FROM holds ORDER BY target")]
        for target in held:
            done = await self.service.cli("holds", "release", target, "--reason", "it is well again")
            assert done.returncode == 0, done.stderr
        return held

    async def _explained(self, *alerts: Mapping[str, str]) -> list[dict[str, Any]]:
        """What is said of each alert, which one rule takes."""
        told = json.dumps(notification(*alerts))
        done = await self.service.cli("explain", "-", "--output", "json", stdin=told)
        assert done.returncode == 0, done.stderr
        return [plan for each in json.loads(done.stdout) for (plan,) in [each["taken"]]]

    def steps(self, run: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The journal of a run, in order."""
        return self.service.rows("SELECT * FROM steps WHERE run_id = ? ORDER BY seq", run["id"])

    def calls(self, run: Mapping[str, Any]) -> list[str]:
        """The actions its steps have called, in order; checks and evidence not counted."""
        rows = [row for row in self.steps(run) if CALLS.match(row["path"]) and row["attempt"] == 1]
        return [row["action"] for row in rows if row["action"] is not None and row["state"] != "skipped"]

    def failures(self, run: Mapping[str, Any]) -> str:
        """What the steps of a run say that failed, line by line."""
        failed = [row for row in self.steps(run) if CALLS.match(row["path"]) and row["state"] == "failed"]
        return "\n".join(f"{row['path']}: {row['message']}" for row in failed)

    def broken_evidence(self, run: Mapping[str, Any]) -> list[str]:
        """The evidence that could not be had."""
        rows = [row for row in self.steps(run) if row["path"].startswith("evidence/")]
        return [row["path"] for row in rows if row["state"] == "failed"]


async def released(cluster: Cluster, name: str, *images: str, replicas: int = 2, **spec: Any) -> None:
    """Releases one after the other; the first is known to be good. `spec` is that of the later ones."""
    first, *later = images
    await cluster.deploy(name, first, replicas)
    await cluster.wait_rolled_out(name)
    (only,) = (await cluster.api.get(f"{cluster.path('replicasets')}?labelSelector=app={name}"))["items"]
    marked = only["metadata"]["name"]
    await cluster.kubectl("annotate", f"replicaset/{marked}", f"runbookd.io/good={marked}")
    for image in later:
        await cluster.deploy(name, image, **spec)

        async def begun(image: str = image) -> bool:
            return image in (await cluster.revisions(name)).values()

        await eventually(begun, within=20, what=f"{image} is a revision")


async def stuck(cluster: Cluster, name: str) -> None:
    """Return once the rollout of a Deployment has missed its progress deadline."""

    async def missed() -> bool:
        conditions = (await cluster.deployment(name))["status"]["conditions"]
        return any(each["reason"] == "ProgressDeadlineExceeded" for each in conditions)

    await eventually(missed, within=30, what=f"the rollout of {name} has missed its deadline")


async def bad_release(it: System) -> None:
    """A release comes up, and serves nobody."""
    await released(it.cluster, DEPLOYMENT, GOOD, BROKEN)
    await it.cluster.wait_rolled_out(DEPLOYMENT)


async def using(cluster: Cluster, cpu: str, *names: str) -> list[str]:
    """Let the pods of these names, or else all, use so much of the 100m they may, and return their names."""
    pods = list(names) or [pod["metadata"]["name"] for pod in await cluster.pods(DEPLOYMENT)]
    for name in pods:
        cluster.world.set_pod_usage(cluster.namespace, name, {"cpu": cpu, "memory": "20Mi"})
    return pods


def agree(system: System, run: Mapping[str, Any], plan: Mapping[str, Any], embedded: str) -> None:
    """The real calls are those of the playbook's embedded test of this name, each where the plan has it."""
    text = (shipped("playbooks") / f"{run['playbook']}.yaml").read_text(encoding="utf-8")
    (test,) = [test for test in yaml.safe_load(text)["tests"] if test["name"] == embedded]
    assert system.calls(run) == test["expect"]["calls"]
    assert run["state"] == test["expect"]["outcome"]
    rung = plan["rungs"][run["rung"]]
    assert rung["playbook"] == run["playbook"]
    assert rung["target"] == run["target"]
    planned = {each["path"]: each["what"] for each in rung["steps"]}
    # What a called playbook does is one line of the plan.
    called = tuple(f"{path}/" for path, what in planned.items() if what.startswith("playbook "))
    made = [
        row for row in system.steps(run) if row["action"] is not None and not row["path"].startswith(called)
    ]
    assert made
    assert {row["path"].partition("@")[0]: row["action"] for row in made}.items() <= planned.items()
    order = [list(planned).index(row["path"]) for row in made if CALLS.match(row["path"])]
    assert order == sorted(order)


@contextlib.asynccontextmanager
async def system(
    cluster: Cluster,
    *,
    quick: bool = True,
    prometheus: str = "",
    rest: str = "5m",
    names: Sequence[str] = (NAME,),
) -> AsyncIterator[System]:
    """The system without a release yet; `prometheus` is the address of one, if there is one.

    `names` are those the settings have for the cluster. `quick`: the playbooks' checks look more often, and give up
    sooner. A release that has just come is judged at once. `rest` is how long a target rests between runs.
    """
    async with contextlib.AsyncExitStack() as stack:
        front = await stack.enter_async_context(_front(cluster))
        await _surroundings(cluster)
        folder = Path(stack.enter_context(temporary_folder("procedures")))
        _content(folder, cluster.namespace, front.url, quick=quick)
        actions: dict[str, Any] = {
            "kubernetes": {
                "clusters": {name: {"kubeconfig": str(cluster.kubeconfig(USER))} for name in names}
            },
            "prometheus": {"default": {"url": prometheus}} if prometheus else {},
        }
        service = Service.at(
            folder,
            rules=folder / "content" / "rules",
            playbooks=folder / "content" / "playbooks",
            settings={"actions": actions, "reach": {"target_cooldown": rest}},
        )
        await stack.enter_async_context(allowed(cluster, await printed(service, cluster), USER))
        await service.start()
        stack.push_async_callback(service.stop)
        told = await stack.enter_async_context(alertmanager(telling(service)))
        try:
            yield System(cluster, front, service, told)
        except AssertionError as error:
            for row in (
                *service.rows("SELECT name, outcome, rule FROM events ORDER BY id"),
                *service.rows("SELECT playbook, state, reason FROM runs ORDER BY created_at, id"),
                *service.rows("SELECT run_id, path, state, reason, message FROM steps ORDER BY seq"),
            ):
                error.add_note(str(row))
            error.add_note(service.log[-2000:])
            raise


def telling(service: Service) -> dict[str, Any]:
    """An Alertmanager's configuration that sends everything to the service at once."""
    hook = {
        "url": service.hook,
        "send_resolved": True,
        "http_config": {"authorization": {"credentials": service.token}},
    }
    times = {"group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h"}
    return {
        "route": {"receiver": "runbookd", "group_by": ["alertname"], **times},
        "receivers": [{"name": "runbookd", "webhook_configs": [hook]}],
    }


@contextlib.asynccontextmanager
async def _front(cluster: Cluster) -> AsyncIterator[Front]:
    port = free_port()
    front = Front(cluster, f"http://127.0.0.1:{port}")
    app = web.Application()
    app.router.add_get("/{path:.*}", front.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield front
    finally:
        await runner.cleanup()


async def _surroundings(cluster: Cluster) -> None:
    """The ingress, and what commands in the containers answer."""
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    body = {"metadata": {"name": INGRESS}, "spec": {"rules": [{"http": {"paths": [path]}}]}}
    await cluster.api.create(INGRESSES.format(namespace=cluster.namespace), body)
    answered(cluster, CONNECTIONS, {"used": 5, "limit": 100, "states": {"idle": 5}})
    answered(cluster, DAMAGE, {"recent": 12, "corrupted": 3})
    cluster.world.scripts.answer(TOP, Answer(b"PID COMMAND\n  1 python\n"), namespace=cluster.namespace)


def answered(cluster: Cluster, pattern: str, output: Mapping[str, Any]) -> None:
    """Let commands with this in them print this as JSON from now on."""
    answer = Answer(json.dumps(output).encode() + b"\n")
    cluster.world.scripts.answer(re.escape(pattern), answer, namespace=cluster.namespace)


def unanswered(cluster: Cluster, pattern: str, error: str) -> None:
    """Let commands with this in them end with exit code 1, and this on their error stream, from now on."""
    answer = Answer(stderr=error.encode() + b"\n", code=1)
    cluster.world.scripts.answer(re.escape(pattern), answer, namespace=cluster.namespace)


async def autoscaled(cluster: Cluster) -> None:
    """An autoscaler keeps three to six pods."""
    body = {
        "metadata": {"name": DEPLOYMENT},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": DEPLOYMENT},
            "minReplicas": 3,
            "maxReplicas": 6,
        },
    }
    await cluster.api.create(AUTOSCALERS.format(namespace=cluster.namespace), body)


def _content(folder: Path, namespace: str, url: str, *, quick: bool) -> None:
    """The shipped content, told by its vars alone where the system is."""
    for kind in ("rules", "playbooks"):
        shutil.copytree(shipped(kind), folder / "content" / kind)
    place = folder / "content" / "rules" / VARS
    kubernetes = folder / "content" / "rules" / "30-kubernetes.yaml"
    rules = kubernetes.read_text(encoding="utf-8").replace("mode: observe", "mode: act")
    kubernetes.write_text(rules.replace(ROLLBACK, f"{ROLLBACK}          time_to_start: 0s\n"), "utf-8")
    known = yaml.safe_load(place.read_text(encoding="utf-8"))["vars"]
    known |= {"cluster": NAME, "namespace": namespace, "api_url": url, "admin_url": f"{url}/admin"}
    place.write_text(yaml.safe_dump({"vars": known}), encoding="utf-8")
    for path in (folder / "content" / "playbooks").glob("*.yaml") if quick else ():
        text = path.read_text(encoding="utf-8")
        times = QUICK | {"within": "3s"} if path.stem == "assess-system" else QUICK
        path.write_text(LOOKS.sub(_sooner(times), text), encoding="utf-8")


def _sooner(times: Mapping[str, str]) -> Any:
    return lambda match: f"    {match[1]}: {times[match[1]]}"


async def printed(service: Service, cluster: Cluster) -> list[Object]:
    """What `runbookd rbac` prints for the service's content, under a name of this test's own."""
    done = await service.cli("rbac", "--service-account", f"{cluster.namespace}/{cluster.namespace}")
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


@contextlib.asynccontextmanager
async def allowed(cluster: Cluster, documents: Sequence[Object], user: str) -> AsyncIterator[None]:
    """Give a user the roles of these documents in place of the ServiceAccount, until the block ends."""
    made = []
    try:
        for document in documents:
            if document["kind"] == "ServiceAccount":
                continue
            if "subjects" in document:
                subject = {"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}
                document = document | {"subjects": [subject]}  # noqa: PLW2901 - the one that is sent
            await cluster.api.create(_collection(document), document)
            made.append(f"{_collection(document)}/{document['metadata']['name']}")
        yield
    finally:
        for path in reversed(made):
            await cluster.api.delete(path)


def _collection(document: Object) -> str:
    namespace = document["metadata"].get("namespace")
    scope = f"/namespaces/{namespace}" if namespace else ""
    return f"{RBAC}{scope}/{document['kind'].lower()}s"


@contextlib.asynccontextmanager
async def backup(cluster: Cluster) -> AsyncIterator[str]:
    """A good Velero backup of the namespace: its name."""
    name = f"daily-{cluster.namespace.rpartition('-')[2]}"
    body = {
        "apiVersion": "velero.io/v1",
        "kind": "Backup",
        "metadata": {"name": name},
        "spec": {"includedNamespaces": [cluster.namespace]},
    }
    await cluster.api.create(BACKUPS, body)

    async def completed() -> bool:
        found = await cluster.api.get(f"{BACKUPS}/{name}")
        return bool(found.get("status", {}).get("phase") == "Completed")

    await eventually(completed, within=20, what="the backup is Completed")
    yield name
    await cluster.api.delete(f"{BACKUPS}/{name}")


def rules_of(documents: Sequence[Object]) -> Iterator[tuple[Object, Object]]:
    """Every rule of every role, with its role."""
    for document in documents:
        for rule in document.get("rules", []):
            yield document, rule
