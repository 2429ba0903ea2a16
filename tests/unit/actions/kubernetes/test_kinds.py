"""Paths, verbs and rights of the API, and names that may become part of a path."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from runbookd.actions.failures import Rejected
from runbookd.actions.kubernetes.get_resource import AnyName
from runbookd.actions.kubernetes.kinds import (
    DEPLOYMENT,
    NODE,
    POD,
    KindName,
    Namespace,
    ObjectName,
    Selector,
    kind_of,
    permission,
    permission_of,
)

EVIL = ["", "..", ".", "a/b", "a%2fb", "../secrets", "A b", "a\n", "a?x=1", "a#b", "-a", "a" * 300, "${x}"]


@pytest.mark.parametrize("text", EVIL)
@pytest.mark.parametrize("kind", [Namespace, ObjectName, KindName, AnyName])
def test_no_text_can_leave_its_place_in_a_path(kind: Any, text: str) -> None:
    """What is no name of an object is refused before it becomes part of a path."""
    with pytest.raises(ValidationError):
        TypeAdapter[str](kind).validate_python(text)


@pytest.mark.parametrize("text", ["app=api\n", "a&b", "", "x" * 2000, "app=api;rm"])
def test_a_selector_is_a_selector(text: str) -> None:
    """A selector cannot add parameters to the query."""
    with pytest.raises(ValidationError):
        TypeAdapter[str](Selector).validate_python(text)


def test_paths() -> None:
    """Core and named groups, with and without namespace, name and subresource."""
    assert DEPLOYMENT.at("shop", "api").path == "/apis/apps/v1/namespaces/shop/deployments/api"
    assert POD.at().path == "/api/v1/pods"
    assert POD.at("shop", "a", "log").path == "/api/v1/namespaces/shop/pods/a/log"
    assert NODE.at("shop", "n").path == "/api/v1/nodes/n"
    assert POD.at("shop", "a").of("eviction").resource == "pods/eviction"
    assert DEPLOYMENT.api_version == "apps/v1"


def test_objects_are_told_in_words() -> None:
    """Messages name the resource, the namespace and the object."""
    assert str(POD.at("shop", "a")) == "pods shop/a"
    assert str(POD.at("shop")) == "pods in shop"
    assert str(POD.at()) == "pods in all namespaces"
    assert str(NODE.at(name="n")) == "nodes n"


def test_verbs_are_those_of_rbac() -> None:
    """A GET with a name is get, without one list; the writes have their own."""
    one, many = POD.at("shop", "a"), POD.at("shop")
    assert [one.verb("GET"), many.verb("GET"), many.verb("POST")] == ["get", "list", "create"]
    assert [one.verb("PUT"), one.verb("PATCH"), one.verb("DELETE")] == ["update", "patch", "delete"]


def test_rights_are_data() -> None:
    """A rule as a Role holds it, and whether it has to be a ClusterRole's."""
    assert permission(POD, "get", sub="log", names=["a"]).rule == {
        "apiGroups": [""],
        "resources": ["pods/log"],
        "verbs": ["get"],
        "namespaced": True,
        "resourceNames": ["a"],
    }
    assert permission(NODE, "list").rule["namespaced"] is False
    assert permission_of("kind", "get").rule == {"kindFrom": "kind", "verbs": ["get"]}


def test_a_kind_is_found_by_its_name() -> None:
    """Built-in kinds by their plural, any other with version and group; a slip is met with the nearest."""
    assert kind_of("deployments") is DEPLOYMENT
    made = kind_of("certificates.v1.cert-manager.io")
    assert made.at("shop", "tls").path == "/apis/cert-manager.io/v1/namespaces/shop/certificates/tls"
    assert kind_of("clusterissuers.v1.cert-manager.io", namespaced=False).namespaced is False
    assert kind_of("endpoints.v1").at("shop").path == "/api/v1/namespaces/shop/endpoints"
    with pytest.raises(Rejected, match="deployments"):
        kind_of("deployment")
