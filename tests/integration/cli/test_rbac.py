"""`runbookd rbac`: the rights the content needs, ready for kubectl."""

from __future__ import annotations

import pytest
import yaml

from runbookd.settings import shipped
from tests.integration.cli.conftest import Runbookd

CONTENT = ("--rules", str(shipped("rules")), "--playbooks", str(shipped("playbooks")))


def test_rbac_prints_roles_for_the_loaded_content(runbookd: Runbookd) -> None:
    """The shipped content: an account, its roles and their bindings, as YAML documents."""
    done = runbookd("rbac", *CONTENT, "--service-account", "ops/keeper")
    found = list(yaml.safe_load_all(done.stdout))
    assert found[0]["metadata"] == {"name": "keeper", "namespace": "ops"}
    assert found[-1]["kind"] == "ClusterRoleBinding"
    assert yaml.safe_load_all(runbookd("rbac", "--cluster", "default", *CONTENT).stdout)


def test_rbac_without_the_cluster_says_that_something_is_missing(runbookd: Runbookd) -> None:
    """Exit code 1 when a right cannot be given in a namespace; 0 when nothing is left out."""
    assert "ClusterRole" not in runbookd("rbac", *CONTENT, "--namespace-scoped", code=1).stdout
    assert runbookd("rbac", "--namespace-scoped").stdout.count("---") == 0


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--service-account", "nobody"], "is not NAMESPACE/NAME"),
        (["--cluster", "west"], "there is no cluster 'west'"),
    ],
)
def test_rbac_refuses_what_makes_no_sense(runbookd: Runbookd, args: list[str], said: str) -> None:
    """A wrong option is exit code 2, with what is right."""
    assert said in runbookd("rbac", *args, code=2).stderr
