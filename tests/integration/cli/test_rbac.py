"""`runbookd rbac`: the rights the content needs, ready for kubectl."""

from __future__ import annotations

import pytest
import yaml

from tests.integration.cli.conftest import Runbookd

LOOK = """
playbook: look
steps:
  - {id: pods, action: kubernetes.get_pods, with: {namespace: shop}}
  - {id: nodes, action: kubernetes.top_nodes}
"""


@pytest.fixture
def looking(runbookd: Runbookd) -> Runbookd:
    """Content with a playbook that looks at a namespace and at the nodes."""
    (runbookd.folder / "playbooks" / "look.yaml").write_text(LOOK)
    return runbookd


def test_rbac_prints_roles_for_the_loaded_content(looking: Runbookd) -> None:
    """An account, its roles and their bindings, as YAML documents; the cluster may be named."""
    done = looking("rbac", "--service-account", "ops/keeper")
    account, role, *_, binding = yaml.safe_load_all(done.stdout)
    assert account["metadata"] == {"name": "keeper", "namespace": "ops"}
    assert role["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]
    assert binding["kind"] == "ClusterRoleBinding"
    west = looking.having({"RUNBOOKD_ACTIONS": '{"kubernetes": {"clusters": {"west": {}}}}'})
    of_west = west("rbac", "--service-account", "ops/keeper", "--cluster", "west")
    assert list(yaml.safe_load_all(of_west.stdout))[1:] == []
    path = looking.folder / "playbooks" / "look.yaml"
    path.write_text(LOOK.replace("namespace: shop", "namespace: shop, cluster: west"))
    _, role, _ = yaml.safe_load_all(
        west("rbac", "--service-account", "ops/keeper", "--cluster", "west").stdout
    )
    assert role["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]


def test_rbac_without_the_cluster_says_that_something_is_missing(looking: Runbookd) -> None:
    """Exit code 1 when a right cannot be given in a namespace; 0 when nothing is left out."""
    done = looking("rbac", "--namespace-scoped", code=1)
    assert "kind: ClusterRole" not in done.stdout
    assert "# Left out, because it needs the whole cluster:" in done.stdout
    (looking.folder / "playbooks" / "look.yaml").unlink()
    assert list(yaml.safe_load_all(looking("rbac", "--namespace-scoped").stdout))[1:] == []


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--service-account", "nobody"], "is not NAMESPACE/NAME"),
        (["--cluster", "west"], "none is called 'west'"),
    ],
)
def test_rbac_refuses_what_makes_no_sense(runbookd: Runbookd, args: list[str], said: str) -> None:
    """A wrong option is exit code 2, with what is right."""
    assert said in runbookd("rbac", *args, code=2).stderr
