"""Signing in to clusters, and asking their API: what every Kubernetes action has in common."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from runbookd.actions.base import Context
from runbookd.actions.config import ActionsConfig
from runbookd.actions.failures import Rejected
from runbookd.actions.kubernetes.cluster import Cluster, Patch, cluster
from runbookd.actions.kubernetes.kinds import DEPLOYMENT, NAMESPACE, NODE, POD, Ref
from runbookd.actions.kubernetes.targets import check_protected, resolve
from runbookd.model.action import Mode, OutcomeState
from tests.contract.actions.hands import call, context_of, deaf_server, failed, perform, succeeded
from tests.contract.actions.kube_api import TOKEN, KubeApi, kubeconfig, refusal
from tests.contract.actions.kube_objects import pod
from tests.servers import free_port

PODS = {"namespace": "shop"}


@asynccontextmanager
async def joined(config: Mapping[str, Any], mode: Mode = Mode.ACT) -> AsyncIterator[tuple[Cluster, Context]]:
    """The cluster as one call of an action sees it."""
    context = context_of(call("kubernetes.x", mode=mode), ActionsConfig.model_validate(config))
    try:
        yield await cluster(context, "main"), context
    finally:
        await context._shared.close()  # noqa: SLF001 - what the performer does at its end


def at(path: Path, url: str, token: str = TOKEN) -> Mapping[str, Any]:
    """Settings with a kubeconfig of this server."""
    path.write_text(kubeconfig(url, token), encoding="utf-8")
    return {"kubernetes": {"clusters": {"main": {"kubeconfig": str(path)}}}}


async def test_several_clusters_are_told_apart_by_name(kube: KubeApi, tmp_path: Path) -> None:
    """A step names one; a slip is met with the nearest."""
    kube.put(POD, pod("a"))
    path = tmp_path / "config"
    path.write_text(kubeconfig(kube.url, TOKEN), encoding="utf-8")
    one = {"kubeconfig": str(path), "context": "test"}
    two = {"kubernetes": {"clusters": {"blue": one, "green": one}}}
    assert succeeded(await perform("kubernetes.get_pods", PODS | {"cluster": "green"}, two))["count"] == 1
    assert "name clusters: blue, green;" in failed(await perform("kubernetes.get_pods", PODS, two), "refused")
    slip = await perform("kubernetes.get_pods", PODS | {"cluster": "gren"}, two)
    assert "Did you mean 'green'" in failed(slip, "refused")


@pytest.mark.parametrize("name", ["eu", "default"])
async def test_a_cluster_has_one_spelling(kube: KubeApi, tmp_path: Path, name: str) -> None:
    """One with a name is meant by it alone, whatever that is and however few there are; one without by none."""
    path = tmp_path / "config"
    path.write_text(kubeconfig(kube.url, TOKEN), encoding="utf-8")
    settings = {"kubernetes": {"clusters": {name: {"kubeconfig": str(path)}}}}
    scale: dict[str, Any] = {"namespace": "shop", "deployment": "api", "replicas": 3}
    outcome = await perform("kubernetes.scale", scale | {"cluster": None}, settings)
    assert failed(outcome, "refused").endswith(
        f"the settings name clusters: {name}; say which: `cluster: {name}`, or vars.cluster"
    )
    other = await perform("kubernetes.scale", scale | {"cluster": name}, {})
    assert f"the settings name no cluster, so none is called '{name}'" in failed(other, "refused")
    assert kube.asked == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be used"),
        ("", "cannot be used"),
        ("users: [{token: canary", "it is not YAML (line 1)"),
        ("[canary]", "cannot be used"),
        (
            kubeconfig("http://x", "canary").replace("current-context: test", "current-context: other"),
            "other",
        ),
    ],
)
async def test_a_kubeconfig_that_leads_nowhere_is_told(tmp_path: Path, text: str | None, said: str) -> None:
    """Missing, empty, broken and contradictory files are refused with their path, never with their content."""
    path = tmp_path / "config"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    settings = {"kubernetes": {"clusters": {"main": {"kubeconfig": str(path)}}}}
    message = failed(await perform("kubernetes.get_pods", PODS, settings), "refused")
    assert said in message
    assert f"the kubeconfig {path} (`actions.kubernetes.clusters.main.kubeconfig`) cannot be used" in message
    assert "canary" not in message


async def test_certificates_that_are_none_are_told(tmp_path: Path) -> None:
    """An authority that does not load is a fault of the settings."""
    path = tmp_path / "config"
    text = kubeconfig("https://127.0.0.1:1", TOKEN)
    path.write_text(
        text.replace("server:", "certificate-authority-data: bm9uZQ==\n    server:"), encoding="utf-8"
    )
    settings = {"kubernetes": {"clusters": {"main": {"kubeconfig": str(path)}}}}
    assert failed(await perform("kubernetes.get_pods", PODS, settings), "refused")


async def test_a_pods_account_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside a cluster `in_cluster` is refused with the reason."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    settings = {"kubernetes": {"clusters": {"main": {"in_cluster": True}}}}
    message = failed(await perform("kubernetes.get_pods", PODS, settings), "refused")
    assert "the service account of the pod" in message
    assert "outside a pod, name a file in `actions.kubernetes.clusters.main.kubeconfig`" in message


async def test_without_settings_there_is_one_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no name, and its kubeconfig is where kubectl looks for it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    message = failed(await perform("kubernetes.get_pods", PODS, {}), "refused")
    assert "cluster '(unnamed)': the kubeconfig ($KUBECONFIG or ~/.kube/config)" in message
    gone = tmp_path / "config"
    monkeypatch.setattr("kubernetes_asyncio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(gone))
    message = failed(await perform("kubernetes.get_pods", PODS, {}), "refused")
    assert f"cannot be used: there is no such file ({gone}); put it there; name a file in" in message
    assert "name a file in `actions.kubernetes.clusters.NAME.kubeconfig`, and NAME in the calls" in message


async def test_what_the_sdk_says_of_a_file_holds_no_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that only the SDK reads is refused without what stands in its entries."""
    path = tmp_path / "config"
    path.write_text(kubeconfig("http://x", "canary").replace("user:\n", "usr:\n"), encoding="utf-8")
    monkeypatch.setattr("kubernetes_asyncio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(path))
    message = failed(await perform("kubernetes.get_pods", PODS, {}), "refused")
    assert "cannot be used: Invalid kube-config file" in message
    assert "canary" not in message


async def test_a_missing_extra_is_named(
    kube: KubeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the SDK a call fails and says what to install."""
    real = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("kubernetes_asyncio"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    outcome = await perform("kubernetes.get_pods", PODS, kube.config(tmp_path))
    assert "pip install 'runbookd[kubernetes]'" in failed(outcome, "unsupported")


async def test_expired_credentials_are_loaded_anew_once(kube: KubeApi, tmp_path: Path) -> None:
    """A token that was changed in the file is taken up at the first 401; a second 401 is a failure."""
    kube.put(DEPLOYMENT, {"metadata": {"name": "api"}})
    settings = at(tmp_path / "config", kube.url, "old-token")
    async with joined(settings) as (where, context):
        with pytest.raises(Rejected, match="does not accept the credentials"):
            await where.get(DEPLOYMENT.at("shop", "api"))
        assert len(kube.asked) == 2
        at(tmp_path / "config", kube.url)
        assert (await where.get(DEPLOYMENT.at("shop", "api")))["metadata"]["name"] == "api"
        assert context.disclosed.wipe(f"old-token {TOKEN}") == "*** ***"


async def test_what_a_refused_write_may_have_done_is_known(kube: KubeApi, tmp_path: Path) -> None:
    """`sent` tells whether a request left: not before the first write, not for one that met no server."""
    kube.put(DEPLOYMENT, {"metadata": {"name": "api"}})
    async with joined(kube.config(tmp_path)) as (where, context):
        await where.get(DEPLOYMENT.at("shop", "api"))
        assert context.sent is None
        await where.patch(DEPLOYMENT.at("shop", "api"), {}, Patch.MERGE)
        assert context.sent is True
    async with joined(at(tmp_path / "other", f"http://127.0.0.1:{free_port()}")) as (where, context):
        with pytest.raises(Exception, match="no connection"):
            await where.delete(DEPLOYMENT.at("shop", "api"))
        assert context.sent is False


async def test_observe_mode_makes_every_write_a_dry_run(kube: KubeApi, tmp_path: Path) -> None:
    """No write can leave without dryRun=All there, and no stream at all."""
    kube.put(DEPLOYMENT, {"metadata": {"name": "api"}})
    api: Ref = DEPLOYMENT.at("shop", "api")
    async with joined(kube.config(tmp_path), Mode.OBSERVE) as (where, _):
        await where.create(DEPLOYMENT.at("shop"), {"metadata": {"name": "b"}})
        await where.replace(api, {})
        await where.patch(api, [], Patch.JSON)
        await where.delete(api, {})
        with pytest.raises(Rejected, match="observe mode"):
            async with where.stream(POD.at("shop", "a", "exec"), [("command", ["id"])]):
                pass
    assert [one.query["dryRun"] for one in kube.asked] == ["All"] * 4
    assert [one.query.get("fieldManager") for one in kube.asked] == ["runbookd"] * 3 + [None]
    assert kube.asked[2].content_type == "application/json-patch+json"


async def test_a_write_has_a_connection_of_its_own(kube: KubeApi, tmp_path: Path) -> None:
    """A pooled connection may be closed by the server just as a write leaves; then it would be sent twice."""
    ports: list[int] = []

    async def note(request: web.Request) -> None:
        assert request.transport is not None
        ports.append(request.transport.get_extra_info("peername")[1])

    kube.put(DEPLOYMENT, {"metadata": {"name": "api"}})
    kube.handle("GET", "", note)
    kube.handle("DELETE", "", note)
    async with joined(kube.config(tmp_path)) as (where, _):
        for _ in range(2):
            await where.get(DEPLOYMENT.at("shop", "api"))
        for _ in range(2):
            await where.delete(DEPLOYMENT.at("shop", "api"))
    assert ports[0] == ports[1]
    assert len(set(ports)) == 3


@pytest.mark.parametrize(
    ("status", "kind", "temporary"),
    [
        (400, "invalid", False),
        (404, "not_found", False),
        (409, "conflict", False),
        (410, "unavailable", True),
        (422, "invalid", False),
        (429, "rate_limited", True),
        (500, "server_error", True),
        (501, "unsupported", False),
        (503, "unavailable", True),
    ],
)
async def test_every_status_has_its_word(
    kube: KubeApi,
    tmp_path: Path,
    status: int,
    kind: str,
    temporary: bool,  # noqa: FBT001 - a row
) -> None:
    """The same words as for every other target, with what the server said and how long it asks to wait."""

    async def answer(_request: web.Request) -> web.Response:
        return refusal(status, "the server's reason", {"Retry-After": "7"})

    kube.handle("GET", "", answer)
    outcome = await perform("kubernetes.get_pods", PODS, kube.config(tmp_path))
    message = failed(outcome, kind)
    assert f"cluster 'main' answered {status} to list pods in shop" in message
    assert "the server's reason" in message
    assert outcome.failure is not None
    assert outcome.failure.temporary is temporary
    assert outcome.failure.retry_after == (7.0 if temporary else None)


async def test_a_server_that_is_not_there_or_says_nothing(kube: KubeApi, tmp_path: Path) -> None:
    """Refused, dropped and hung connections are told apart; a read of any of them has simply failed."""
    path = tmp_path / "config"
    away = await perform("kubernetes.get_pods", PODS, at(path, f"http://127.0.0.1:{free_port()}"))
    assert failed(away, "unreachable")

    async def drop(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    kube.handle("GET", "", drop)
    assert failed(await perform("kubernetes.get_pods", PODS, at(path, kube.url)), "connection_lost")
    async with deaf_server() as port:
        hung = await perform("kubernetes.get_pods", PODS, at(path, f"http://127.0.0.1:{port}"), within=0.3)
        assert failed(hung, "timeout", OutcomeState.FAILED)


async def test_one_answer_may_not_take_the_whole_step(kube: KubeApi, tmp_path: Path) -> None:
    """A hung answer is given up after `request_timeout`, long before a patient step's own time."""

    async def hang(_request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    kube.handle("GET", "", hang)
    settings = kube.config(tmp_path, request_timeout="200ms")
    outcome = await perform("kubernetes.get_pods", PODS, settings, within=60)
    assert "cluster 'main': list pods in shop: no answer in time" in failed(outcome, "timeout")


@pytest.mark.parametrize("text", ["<html>hello</html>", "[]", ""])
async def test_what_is_no_kubernetes_is_told(kube: KubeApi, tmp_path: Path, text: str) -> None:
    """A web page for an answer is a readable failure."""

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text=text)

    kube.handle("GET", "", page)
    outcome = await perform("kubernetes.get_pods", PODS, kube.config(tmp_path))
    assert "is it Kubernetes?" in failed(outcome, "unexpected_status")


@pytest.mark.parametrize(
    ("ref", "said"),
    [
        (POD.at("kube-system", "a"), "protected namespace"),
        (NAMESPACE.at(name="kube-public"), "protected namespace"),
        (DEPLOYMENT.at("shop", "ledger"), "deployments/shop/ledger is protected"),
        (NODE.at(name="control-1"), "nodes/control-1 is protected"),
    ],
)
def test_what_is_protected_is_refused(ref: Ref, said: str) -> None:
    """Namespaces, objects and patterns of either."""
    access = ActionsConfig.model_validate(
        {"kubernetes": {"protected": ["deployments/shop/ledger", "nodes/control-*"]}}
    ).kubernetes
    with pytest.raises(Rejected, match=said):
        check_protected(access, ref)
    check_protected(access, DEPLOYMENT.at("shop", "api"))


async def test_an_answer_is_bounded(kube: KubeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that would fill the memory is left, and smaller pages are asked for."""
    monkeypatch.setattr("runbookd.actions.kubernetes.cluster.MAX_ANSWER", 3000)
    kube.put(POD, *(pod(f"api-{number}") for number in range(8)))
    message = failed(await perform("kubernetes.get_pods", PODS, kube.config(tmp_path)), "too_large")
    assert "ask for less" in message
    smaller = kube.config(tmp_path, page_size=2)
    assert succeeded(await perform("kubernetes.get_pods", PODS, smaller))["count"] == 8


async def test_targets_are_a_frozen_list(kube: KubeApi, tmp_path: Path) -> None:
    """By name or selector, with what tells each from a later one; none, too many and protected ones refuse."""
    kube.put(POD, *(pod(f"api-{number}") for number in (3, 1, 2)), pod("web-1", app="web"))
    config = kube.config(tmp_path, max_targets=3, page_size=2, protected=["pods/shop/web-*"])
    async with joined(config) as (where, _):
        found = await resolve(where, POD, "shop", selector="app=api")
        assert [one.ref.name for one in found] == ["api-1", "api-2", "api-3"]
        assert all(one.uid and one.version for one in found)
        (one,) = await resolve(where, POD, "shop", name="api-2")
        assert one == found[1]
        wrongs: list[tuple[dict[str, Any], str]] = [
            ({"selector": "app=none"}, "there are no pods"),
            ({"selector": "app=api", "most": 2}, "more than 2"),
            ({"selector": "app!=none", "most": 50}, "more than 3"),
            ({"selector": "app=web"}, "is protected"),
            ({"name": "web-1"}, "is protected"),
            ({"name": "gone"}, "404"),
            ({}, "either a name or"),
            ({"name": "a", "selector": "b"}, "either a name or"),
        ]
        for wrong, said in wrongs:
            with pytest.raises(Rejected, match=said):
                await resolve(where, POD, "shop", **wrong)
