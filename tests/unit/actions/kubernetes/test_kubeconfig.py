"""A kubeconfig is looked at before anybody signs in: what is wrong is said with what to do, and without its content."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from runbookd.actions.config import KubernetesAccess
from runbookd.actions.kubernetes.kubeconfig import fault_of, fault_of_default, fault_of_none, faults

GOOD: Mapping[str, Any] = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "blue",
    "clusters": [
        {"name": "c", "cluster": {"server": "https://blue:6443", "certificate-authority-data": "eA=="}}
    ],
    "users": [{"name": "u", "user": {"token": "canary"}}, {"name": "none", "user": None}],
    "contexts": [
        {"name": "blue", "context": {"cluster": "c", "user": "u"}},
        {"name": "lost", "context": {"cluster": "gone", "user": "u"}},
        {"name": "nobody", "context": {"cluster": "c", "user": "gone"}},
        {"name": "bare", "context": {"cluster": "c", "user": "none"}},
    ],
}


def told(folder: Path, tree: object, context: str | None = None) -> str | None:
    """What is said of a file with this content."""
    file = folder / "config"
    file.write_text(tree if isinstance(tree, str) else yaml.safe_dump(tree), encoding="utf-8")
    fault = fault_of(str(file), context)
    assert fault is None or "canary" not in fault
    return fault


def with_(part: str, **entry: object) -> Mapping[str, Any]:
    """The good file, its first cluster or user with these entries besides."""
    first, *others = GOOD[f"{part}s"]
    return {**GOOD, f"{part}s": [{**first, part: {**first[part], **entry}}, *others]}


@pytest.mark.parametrize("context", [None, "blue", "bare"])
def test_a_good_file_has_no_fault(tmp_path: Path, context: str | None) -> None:
    """With its current context, or with one that is named."""
    assert told(tmp_path, GOOD, context) is None


@pytest.mark.parametrize(
    ("tree", "context", "fault"),
    [
        ("", None, "it is empty; write it with `kubectl config view --raw`"),
        ("a: [canary", None, "it is not YAML (line 1); mend it there"),
        ("[canary]", None, "it is not a kubeconfig: the whole: Input should be a valid dictionary"),
        (
            {**GOOD, "users": [{"name": "u", "usr": {"token": "canary"}}]},
            None,
            "users.0.user: Field required",
        ),
        (
            {**GOOD, "clusters": [{"name": "c", "cluster": {}}]},
            None,
            "clusters.0.cluster.server: Field required",
        ),
        ({**GOOD, "current-context": ""}, None, "no current-context; name one as the cluster's `context`"),
        (
            {**GOOD, "contexts": None},
            None,
            "there is no context 'blue' in it. Name one that is there (contexts in it: none)",
        ),
        (GOOD, "bleu", "there is no context 'bleu' in it. Did you mean 'blue'?"),
        (GOOD, "lost", "its context 'lost' names the cluster 'gone', which is not in it"),
        (GOOD, "nobody", "its context 'nobody' names the user 'gone', which is not in it"),
        (
            with_("user", **{"client-key": "me.key"}),
            None,
            "its `client-key` names {folder}/me.key, which is not there",
        ),
    ],
)
def test_a_bad_file_is_told_with_what_to_do(
    tmp_path: Path, tree: object, context: str | None, fault: str
) -> None:
    """One clause that says what is wrong, and none of the file's values."""
    assert fault.replace("{folder}", str(tmp_path)) in str(told(tmp_path, tree, context))


def test_files_beside_it_are_looked_for(tmp_path: Path) -> None:
    """Paths begin at the file's own folder; what stands in the file itself outranks them."""
    authority = with_("cluster", **{"certificate-authority": "ca.crt"})
    assert told(tmp_path, authority) is None
    key = with_("user", **{"client-key": "me.key"})
    (tmp_path / "me.key").write_text("x")
    assert told(tmp_path, key) is None


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """Missing, not a file, not text."""
    missing = fault_of(str(tmp_path / "none"), None)
    assert missing == "there is no such file; put it there, or correct the setting"
    assert fault_of(str(tmp_path), None) == "is a directory; let the user the service runs as read it"
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    assert str(fault_of(str(tmp_path / "binary"), None)).startswith("it is not text")


def test_each_cluster_of_the_settings_is_told_by_its_setting(tmp_path: Path) -> None:
    """One sentence for each file that cannot be used; clusters that name no file are left out."""
    good = tmp_path / "good"
    good.write_text(yaml.safe_dump(GOOD))
    clusters = {
        "blue": {"kubeconfig": str(good)},
        "green": {"kubeconfig": "/nowhere/config"},
        "here": {"in_cluster": True},
        "red": {"kubeconfig": str(good), "context": "red"},
    }
    green, red = faults(KubernetesAccess.model_validate({"clusters": clusters}))
    assert green == (
        "setting 'actions.kubernetes.clusters.green.kubeconfig': /nowhere/config cannot be used: there is no such "
        "file; put it there, or correct the setting"
    )
    assert red.startswith(
        f"setting 'actions.kubernetes.clusters.red.kubeconfig': {good} cannot be used: there is no"
    )


def test_a_default_kubeconfig_is_told_where_somebody_signs_in_by_it(tmp_path: Path) -> None:
    """One of the files `$KUBECONFIG` names is enough; a cluster with a file or account of its own needs none."""
    gone, there = tmp_path / "gone", tmp_path / "there"
    there.write_text(yaml.safe_dump(GOOD))
    nothing = KubernetesAccess()
    said = f"there is no such file ({gone}); put it there"
    assert fault_of_default(nothing, str(gone)) == said
    assert fault_of_default(nothing, f"{gone}:{there}") is None
    assert fault_of_default(nothing, "") is None
    for cluster, expected in (
        ({"kubeconfig": str(there)}, None),
        ({"in_cluster": True}, None),
        ({"context": "blue"}, said),
    ):
        access = KubernetesAccess.model_validate({"clusters": {"eu": cluster}})
        assert fault_of_default(access, str(gone)) == expected


def test_a_default_kubeconfig_is_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only file of `$KUBECONFIG`, or the one at home: with the context that each cluster names, or the current."""
    home = tmp_path / ".kube" / "config"
    home.parent.mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    nothing = KubernetesAccess()
    red = KubernetesAccess.model_validate({"clusters": {"eu": {}, "us": {"context": "red"}}})
    for access, text, said in (
        (nothing, yaml.safe_dump(GOOD), None),
        (nothing, "", "it is empty"),
        (nothing, "a: [", "it is not YAML"),
        (nothing, yaml.safe_dump({**GOOD, "current-context": "nope"}), "there is no context 'nope' in it"),
        (red, yaml.safe_dump(GOOD), "there is no context 'red' in it"),
    ):
        home.write_text(text)
        for found in (fault_of_default(access, str(home)), fault_of_none(access, "")):
            assert (found or "").startswith(f"{home} cannot be used: {said}" if said else "")
            assert (found is None) is (said is None)
    assert fault_of_default(nothing, f"{home}:{home}") is None
    home.unlink()
    assert str(fault_of_none(nothing, "")).startswith("there is no way into a cluster")
    assert fault_of_none(nothing, "somewhere") is None
