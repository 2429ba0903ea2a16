"""The rights that content needs: for the objects it names, no wider and no more."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from runbookd.actions.catalogue import ActionCatalogue
from runbookd.content.load import load
from runbookd.model.library import Library
from runbookd.reports.rbac import Right, Rights, rights
from runbookd.reports.rbac_manifest import Account, manifest
from runbookd.settings import shipped

CATALOGUE = ActionCatalogue()
RULE = """
priorities: {P1: {name: High}}
vars: {namespace: shop, deployment: api}
rules:
  - name: broken
    match: [alertname="Broken", namespace="shop"]
    priority: P1
    run: [{playbook: mend, with: {GIVEN}}]
"""
RESTART = """
playbook: mend
inputs:
  namespace: {type: string}
  deployment: {type: string}
target: deployments/${inputs.namespace}/${inputs.deployment}
steps:
  - action: kubernetes.rollout_restart
    with: {namespace: "${inputs.namespace}", deployment: "${inputs.deployment}"}
"""
GET_AND_PATCH = ("get", "patch")


def library(folder: Path, given: str, *playbooks: str) -> Library:
    """Content of one rule, whose remedy is given these inputs, and these playbooks."""
    (folder / "rules.yaml").write_text(RULE.replace("GIVEN", given))
    for number, text in enumerate(playbooks):
        (folder / f"playbook-{number}.yaml").write_text(text)
    return load(folder, [], CATALOGUE)


def asked(folder: Path, given: str, *playbooks: str) -> Rights:
    """The rights that content needs."""
    return rights(library(folder, given, *playbooks), CATALOGUE)


def words(found: tuple[Right, ...]) -> set[str]:
    """Each right as `verbs resource names`."""
    return {" ".join([",".join(each.verbs), each.resource, *each.names]) for each in found}


@pytest.mark.parametrize(
    "given",
    [
        "namespace: shop, deployment: api",
        'namespace: "${vars.namespace}", deployment: "${vars.deployment}"',
        'namespace: "${event.labels.namespace}", deployment: api',
    ],
    ids=["constants", "vars", "a label the rule pins"],
)
def test_what_is_known_before_any_alert_narrows_the_right(tmp_path: Path, given: str) -> None:
    """Constants, vars and pinned labels give a Role in that namespace, for that object."""
    found = asked(tmp_path, given, RESTART)
    because = ("mend: kubernetes.rollout_restart",)
    right = Right(group="apps", resource="deployments", verbs=GET_AND_PATCH, names=("api",), because=because)
    assert found == Rights(namespaces={"shop": (right,)})


def test_a_label_of_the_alert_makes_it_the_whole_cluster(tmp_path: Path) -> None:
    """A namespace that only the alert knows needs a ClusterRole, and the manifest says why."""
    given = 'namespace: "${event.labels.team}", deployment: "${event.labels.deployment}"'
    found = asked(tmp_path, given, RESTART)
    assert not found.namespaces
    assert words(found.cluster) == {"get,patch deployments"}
    assert found.cluster[0].unknown
    assert "only known when it is called" in manifest(found, Account("ops", "runbookd"))


def test_a_playbook_no_rule_reaches_counts_as_run_by_hand(tmp_path: Path) -> None:
    """Whoever runs it gives the inputs, so nothing of it is known, not even a default."""
    by_hand = RESTART.replace("playbook: mend", "playbook: by-hand").replace(
        "namespace: {type: string}", "namespace: {type: string, default: shop}"
    )
    found = asked(tmp_path, "namespace: shop, deployment: api", RESTART, by_hand)
    assert words(found.cluster) == {"get,patch deployments"}
    assert found.cluster[0].because == ("by-hand: kubernetes.rollout_restart",)


def test_a_called_playbook_is_followed_with_its_inputs(tmp_path: Path) -> None:
    """A step that calls a playbook hands on what is known; blocks of steps are looked into."""
    outer = """
playbook: mend
steps:
  - parallel:
      - {id: inner, playbook: restart, with: {namespace: shop, deployment: "${vars.deployment}"}}
"""
    found = asked(tmp_path, "", outer, RESTART.replace("playbook: mend", "playbook: restart"))
    assert {place: words(found.namespaces[place]) for place in found.namespaces} == {
        "shop": {"get,patch deployments api"}
    }
    assert not found.cluster


def test_rights_that_hang_on_a_parameter_are_only_given_with_it(tmp_path: Path) -> None:
    """An autoscaler is only changed when the step says so; a StatefulSet is no Deployment."""
    scale = """
playbook: mend
steps:
  - {id: scale, action: kubernetes.scale, with: {namespace: shop, statefulset: db, replicas: 3}}
"""
    found = words(asked(tmp_path, "", scale).namespaces["shop"])
    assert found == {"get,patch statefulsets db", "list horizontalpodautoscalers", "list scaledobjects"}
    scale = scale.replace("replicas: 3", "replicas: 3, autoscaler: floor")
    assert "get,list,patch scaledobjects" in words(asked(tmp_path, "", scale).namespaces["shop"])


def test_a_kind_that_is_a_parameter_is_the_resource(tmp_path: Path) -> None:
    """`kind` and `kinds` name resources, with their own groups and versions; one known only later is told."""
    look = """
playbook: mend
inputs: {kind: {type: string, default: deployments}}
steps:
  - {id: a, action: kubernetes.get_resource, with: {kind: ingresses, namespace: shop, name: web}}
  - {id: b, action: kubernetes.get_resource, with: {kind: certificates.v1.cert-manager.io, namespace: shop, name: tls}}
  - {id: c, action: kubernetes.get_resource, with: {kind: nodes, name: node-1}}
  - {id: d, action: kubernetes.get_resource, with: {kind: "${inputs.kind}", namespace: shop, name: api}}
  - {id: e, action: kubernetes.get_resource, with: {kind: nonsense, namespace: shop, name: api}}
  - {id: f, action: kubernetes.export_resources, with: {namespaces: [shop, depot], kinds: [services]}}
"""
    found = asked(tmp_path, "kind: services", look)
    assert words(found.namespaces["shop"]) == {
        "get ingresses web",
        "get certificates tls",
        "get services api",
        "list services",
    }
    assert words(found.namespaces["depot"]) == {"list services"}
    assert words(found.cluster) == {"get nodes node-1"}
    late = asked(tmp_path, 'kind: "${event.labels.kind}"', look)
    assert late.undecided == ("mend: kubernetes.get_resource on a kind that is only known when it is called",)
    assert "add them by hand" in manifest(late, Account("ops", "runbookd"))


def test_a_step_that_is_never_taken_needs_nothing(tmp_path: Path) -> None:
    """A `when` that is false whatever happens leaves its step out; one that is not known does not."""
    maybe = RESTART.replace("    with:", "    when: inputs.deployment != 'api'\n    with:")
    assert asked(tmp_path, "namespace: shop, deployment: api", maybe) == Rights()
    assert asked(tmp_path, "namespace: shop, deployment: db", maybe).namespaces
    assert asked(tmp_path, 'namespace: shop, deployment: "${event.name}"', maybe).namespaces
    broken = maybe.replace("!= 'api'", "== 1 / 0")
    assert asked(tmp_path, "namespace: shop, deployment: api", broken).namespaces


def test_a_wider_right_makes_a_narrower_one_needless(tmp_path: Path) -> None:
    """What holds for all objects, or in the whole cluster, is not given again for one of them."""
    both = """
playbook: mend
steps:
  - {id: a, action: kubernetes.get_pods, with: {namespace: shop}}
  - {id: b, action: kubernetes.get_pods}
"""
    content = library(tmp_path, "", both)
    assert rights(content, CATALOGUE).namespaces == {}
    inside = rights(content, CATALOGUE, cluster_wide=False)
    assert words(inside.namespaces["shop"]) == words(inside.cluster) == {"list pods"}


def test_content_that_needs_no_kubernetes_needs_no_rights(tmp_path: Path) -> None:
    """An account without roles, and nothing that is left out."""
    found = asked(tmp_path, "", "playbook: mend\nsteps: [{action: flow.log, with: {message: hello}}]\n")
    (account,) = yaml.safe_load_all(manifest(found, Account("ops", "runbookd")))
    assert (found, account["kind"]) == (Rights(), "ServiceAccount")


def test_calls_to_another_cluster_do_not_count(tmp_path: Path) -> None:
    """With the names of a cluster, only the calls to it count; where the name is not known, it may be this one."""
    two = """
playbook: mend
inputs: {cluster: {type: string, default: null}}
steps:
  - {id: a, action: kubernetes.get_pods, with: {namespace: shop, cluster: east}}
  - {id: b, action: kubernetes.get_events, with: {namespace: shop}}
  - {id: c, action: kubernetes.top_pods, with: {namespace: shop, cluster: "${inputs.cluster}"}}
"""
    content = library(tmp_path, 'cluster: "${event.name}"', two)
    east = words(rights(content, CATALOGUE, {"east"}).namespaces["shop"])
    assert east == {"list pods"}
    resources = [each.resource for each in rights(content, CATALOGUE, {"west", None}).namespaces["shop"]]
    assert resources == ["events", "pods", "pods"]


def test_inputs_that_no_run_would_take_break_nothing(tmp_path: Path) -> None:
    """A value that cannot be rendered, or does not fit its input, leaves the right wide."""
    strict = RESTART.replace("namespace: {type: string}", 'namespace: {type: string, pattern: "shop"}')
    given = 'namespace: "${vars.deployment}", deployment: "${string(1 / 0)}"'
    assert words(asked(tmp_path, given, strict).cluster) == {"get,patch deployments"}


def test_the_shipped_content_needs_rights_in_its_own_namespaces() -> None:
    """Only the look at the nodes needs the whole cluster; every object that has a name in `vars` is named."""
    found = rights(load(shipped("rules"), shipped("playbooks"), CATALOGUE), CATALOGUE)
    assert set(found.namespaces) == {"medinovai", "velero"}
    assert words(found.cluster) == {"list nodes", "list pods"}
    assert {each for right in found.cluster for each in right.because} == {
        "assess-system: kubernetes.describe_nodes"
    }
    inside = words(found.namespaces["medinovai"])
    assert "get,patch,watch deployments medinovai-backend" in inside
    assert "get,patch ingresses medinovai-ingress" in inside
    assert not found.undecided


def test_the_manifest_is_yaml_that_binds_the_account() -> None:
    """Each role is bound to the account in its own namespace; the same content gives the same text."""
    content = load(shipped("rules"), shipped("playbooks"), CATALOGUE)
    account = Account("ops", "keeper")
    text = manifest(rights(content, CATALOGUE), account)
    assert text == manifest(rights(content, CATALOGUE), account)
    found = list(yaml.safe_load_all(text))
    kinds = [(each["kind"], each["metadata"].get("namespace")) for each in found]
    assert kinds == [
        ("ServiceAccount", "ops"),
        ("Role", "medinovai"),
        ("RoleBinding", "medinovai"),
        ("Role", "velero"),
        ("RoleBinding", "velero"),
        ("ClusterRole", None),
        ("ClusterRoleBinding", None),
    ]
    subject = {"kind": "ServiceAccount", "name": "keeper", "namespace": "ops"}
    assert all(each["subjects"] == [subject] for each in found if each["kind"].endswith("Binding"))


def test_without_the_cluster_the_manifest_says_what_is_missing() -> None:
    """Namespaced rights only: no ClusterRole, and a comment with each right that is left out."""
    content = load(shipped("rules"), shipped("playbooks"), CATALOGUE)
    text = manifest(
        rights(content, CATALOGUE, cluster_wide=False), Account("ops", "runbookd"), cluster_wide=False
    )
    found = list(yaml.safe_load_all(text))
    assert {each["kind"] for each in found} == {"ServiceAccount", "Role", "RoleBinding"}
    assert "# Left out, because it needs the whole cluster:" in text
    assert 'resources: ["nodes"]' in text.partition("Left out")[2]
