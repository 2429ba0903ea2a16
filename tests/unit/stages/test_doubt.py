"""A call in doubt: what is told names its object, hides what is secret, and says what a person has to do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest

from runbookd.actions.catalogue import ActionCatalogue
from runbookd.language.values import SecretRef, SecretText
from runbookd.model.action import Failure, Outcome, OutcomeState, Permission, Probed, Repeat, Spec
from runbookd.stages.doubt import about, subject
from tests.unit.stages.run_of import RunOf, doubt, ok

PARTS = "steps: [{id: a, action: %s, with: {url: 'https://me:pw@shop/admin/back?token=t'}}]"


def spec(*rules: Mapping[str, object], system: str = "kubernetes") -> Spec:
    """An action with these permissions."""
    return Spec(
        name="x.act",
        summary="",
        mutates=True,
        repeat=Repeat.NEVER,
        undo="",
        timeout=timedelta(seconds=1),
        example={},
        permissions=tuple(Permission(system=system, rule=rule) for rule in rules),
    )


def rule(resource: str, *verbs: str, **more: object) -> Mapping[str, object]:
    """One rule of a Role."""
    return {"resources": [resource], "verbs": list(verbs), **more}


@pytest.mark.parametrize(
    ("action", "named"),
    [
        ("kubernetes.rollout_undo", "deployments/medinovai/medinovai-backend"),
        ("kubernetes.rollout_restart", "deployments/medinovai/medinovai-backend"),
        ("kubernetes.scale", "deployments/medinovai/medinovai-backend"),
        ("kubernetes.set_env", "deployments/medinovai/medinovai-backend"),
        ("kubernetes.exec", "deployments/medinovai/medinovai-backend"),
        ("kubernetes.patch", "networkpolicies/medinovai/backend"),
        ("kubernetes.annotate_ingress", "ingresses/medinovai/medinovai-ingress"),
        ("kubernetes.delete_pod", "pods/medinovai/medinovai-backend-6b7f9c-x2x4z"),
        ("kubernetes.run_job", "jobs/medinovai/backup-now"),
        ("kubernetes.cordon", "nodes/worker-3"),
        ("kubernetes.uncordon", "nodes/worker-3"),
        ("kubernetes.drain", "nodes/worker-3"),
        ("certmanager.renew", "certificates/medinovai/api-tls"),
        ("velero.create_backup", "backups/before-restore"),
        ("velero.restore", "backup=daily-20260304010000"),
        ("http.request", "https://shop.example.com/admin/rollback"),
        ("command.run", "the command 'restart-relay'"),
        ("alertmanager.expire_silence", "silence_id=${steps.silence.silence_id}"),
        ("alertmanager.silence", "duration=30m, comment=Being rolled back"),
    ],
)
def test_every_shipped_change_names_its_object(action: str, named: str) -> None:
    """Whatever changes something can say what it is about from its parameters."""
    found = ActionCatalogue().spec(action)
    assert found is not None
    assert about(action, found, found.example) == f"{action} of {named}"


def test_no_shipped_change_is_left_out_above() -> None:
    """An action that changes something is named by more than its own name, whichever there are."""
    for action in ActionCatalogue().describe():
        found = ActionCatalogue().spec(action.name)
        assert action.mutates == "no" or subject(found, action.example)


def test_the_cluster_is_named() -> None:
    """Of several clusters, the one that was called is told."""
    params = {"cluster": "blue", "namespace": "shop", "pod": "api-1"}
    assert subject(spec(rule("pods", "delete")), params) == "pods/shop/api-1 in cluster 'blue'"


@pytest.mark.parametrize(
    ("rules", "params", "named"),
    [
        ([rule("pods", "delete")], {"namespace": "shop", "selector": "app=api"}, "pods in shop with app=api"),
        ([rule("pods", "delete")], {"selector": "app=api"}, "pods in all namespaces with app=api"),
        ([rule("pods", "list"), rule("jobs", "create")], {"pod": "p", "name": "j"}, "jobs/j"),
        (
            [rule("pods", "patch", when="pod"), rule("deployments", "get")],
            {"deployment": "d"},
            "deployments/d",
        ),
        ([{"kindFrom": "kind", "verbs": ["patch"]}], {"kind": "widgets.v1.x.io", "name": "w"}, "widgets/w"),
        ([rule("pods/exec", "create")], {"pod": "p", "namespace": "n"}, "pods/n/p"),
        ([rule("pods", "delete")], {"count": 3, "force": True, "labels": {}}, "count=3, force=True"),
        ([rule("pods", "delete")], {}, ""),
        ([{"verbs": "delete"}], {}, ""),
    ],
)
def test_an_object_is_read_from_rights_and_parameters(
    rules: list[Mapping[str, object]], params: Mapping[str, object], named: str
) -> None:
    """What may be changed comes before what is only read; a right that does not apply names nothing."""
    assert subject(spec(*rules), params) == named


def test_rights_on_other_systems_name_nothing() -> None:
    """Only Kubernetes' rules are read as such."""
    assert subject(spec(rule("pods", "delete"), system="aws"), {"pod": "p"}) == "pod=p"
    assert about("gone", None, {}) == "gone"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://me:pw@shop.example.com:8443/a/b?token=t#x", "https://shop.example.com:8443/a/b"),
        (SecretText(("https://shop/hooks/", SecretRef("path"))), "https://shop/hooks/***"),
        ("https://[broken", ""),
        ("nowhere", ""),
    ],
)
def test_a_url_is_told_without_what_may_be_secret(url: object, told: str) -> None:
    """Host and path, never user, password, query or a secret's text."""
    assert subject(None, {"url": url}) == told


def test_a_doubt_says_where_to_look_and_what_to_do() -> None:
    """The step, the run's end and so the escalation name the place, and the playbook that does it anew."""
    run = RunOf(PARTS % "never", {"steps/a": doubt("timed out")})
    finish = run.to_the_end()
    assert str(run.row("steps/a").message) == (
        "timed out; it may have taken effect and must not be repeated blindly. Look at https://shop/admin/back: if it "
        "took effect, go on from there by hand; if not, `runbookd run main` with the same inputs does it anew"
    )
    assert "Look at https://shop/admin/back" in finish.message


def test_a_call_that_was_cut_off_is_named() -> None:
    """After a crash nobody but the journal knows what the call was about."""
    run = RunOf(PARTS % "never")
    run.look()
    run.crash().to_the_end()
    assert str(run.row("steps/a").message).startswith(
        "never of https://shop/admin/back: cut off before an answer;"
    )


def test_a_probe_that_fails_says_why() -> None:
    """When the target cannot be asked, the reason stands beside the doubt."""
    failure = Failure(kind="unreachable", message="cluster 'blue': no connection")
    unknown = (Probed.UNKNOWN, Outcome(state=OutcomeState.FAILED, failure=failure))
    run = RunOf("steps: [{id: a, action: probe}]", {"steps/a": [doubt("lost"), unknown]})
    run.to_the_end()
    assert str(run.row("steps/a").message) == (
        "lost; asked whether it took effect, the target could not say: cluster 'blue': no connection. Look at what "
        "probe changes: if it took effect, go on from there by hand; if not, `runbookd run main` with the same inputs "
        "does it anew"
    )


def test_an_undo_in_doubt_is_finished_by_hand() -> None:
    """Of an undo nobody is told to run the playbook again."""
    text = """
on_failure: undo_and_escalate
steps:
  - {id: a, action: never, with: {url: 'https://shop/back'}}
  - {id: b, action: read}
"""
    broken = Outcome(state=OutcomeState.FAILED, failure=Failure(kind="failed", message="broken"))
    run = RunOf(text, {"steps/a": ok(), "steps/b": broken, "undo/steps/a": doubt("lost")})
    run.to_the_end()
    assert str(run.row("undo/steps/a").message) == (
        "lost; the undo may have happened. Look at https://shop/back: if the undo did not happen, undo it by hand"
    )
