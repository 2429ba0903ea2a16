"""What the API server's refusals mean, and which permission is missing."""

from __future__ import annotations

import json

import pytest

from runbookd.actions.failures import Rejected, Unavailable
from runbookd.actions.kubernetes.answers import failure_of
from runbookd.actions.kubernetes.kinds import DEPLOYMENT, NODE, POD


def body(message: str, **details: object) -> bytes:
    """A Status."""
    return json.dumps({"kind": "Status", "message": message, "details": details}).encode()


def test_a_missing_permission_is_named() -> None:
    """Verb, resource, API group and namespace, as a Role would have to hold them."""
    said = 'deployments.apps "api" is forbidden: User "u" cannot patch resource "deployments"'
    failure = failure_of("main", "patch", DEPLOYMENT.at("shop", "api"), (403, body(said)))
    assert isinstance(failure, Rejected)
    assert failure.kind == "denied"
    assert 'missing permission: verb "patch" on "deployments" (API group "apps") in namespace "shop"' in str(
        failure
    )
    cluster_wide = failure_of("main", "list", NODE.at(), (403, b""))
    assert 'verb "list" on "nodes" (API group "") in the whole cluster' in str(cluster_wide)


def test_a_refusal_by_a_policy_is_no_missing_permission() -> None:
    """Quotas and admission plugins answer 403 too; their own words are told."""
    failure = failure_of("main", "create", POD.at("shop"), (403, body("exceeded quota: pods=10")))
    assert "missing permission" not in str(failure)
    assert "exceeded quota" in str(failure)


def test_credentials_that_are_not_accepted_are_told() -> None:
    """A 401 points to where the credentials are set."""
    failure = failure_of("main", "list", POD.at("shop"), (401, body("Unauthorized")))
    assert "actions.kubernetes.clusters" in str(failure)


def test_a_list_that_is_gone_may_be_read_again() -> None:
    """A list whose continuation has expired is a temporary failure, an object that is gone is not."""
    assert isinstance(failure_of("main", "list", POD.at("shop"), (410, body("expired"))), Unavailable)
    gone = failure_of("main", "get", POD.at("shop", "a"), (410, body("gone")))
    assert isinstance(gone, Rejected)


@pytest.mark.parametrize(
    ("header", "details", "seconds"),
    [(7.0, {"retryAfterSeconds": 3}, 7.0), (None, {"retryAfterSeconds": 3}, 3.0), (None, {}, None)],
)
def test_patience_is_asked_for_in_header_or_body(
    header: float | None, details: dict[str, object], seconds: float | None
) -> None:
    """The header comes first, then what stands in the Status."""
    failure = failure_of("main", "list", POD.at("shop"), (429, body("slow", **details)), header)
    assert isinstance(failure, Unavailable)
    assert (failure.kind, failure.retry_after) == ("rate_limited", seconds)


def test_an_answer_that_is_no_status_is_told_as_it_is() -> None:
    """A proxy's page is cut to an excerpt."""
    failure = failure_of("main", "list", POD.at("shop"), (502, b"<html>" + b"x" * 5000))
    assert "<html>" in str(failure)
    assert len(str(failure)) < 1000
