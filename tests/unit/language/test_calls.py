"""People read what is called and where, and nothing secret of it."""

from __future__ import annotations

import pytest

from runbookd.language.calls import called
from runbookd.language.values import SecretRef, SecretText


@pytest.mark.parametrize(
    ("params", "path", "name"),
    [
        ({"url": "https://shop.example/health"}, "steps/s", "http.request GET https://shop.example/health"),
        (
            {"method": "POST", "url": "https://ann:pw@shop.example:8443/a?token=x#y"},
            "steps/s",
            "http.request POST https://shop.example:8443/a",
        ),
        (
            {"url": SecretText(("https://h.example/", SecretRef("key"), "/x"))},
            "steps/s",
            "http.request GET https://h.example/${secret.key}/x",
        ),
        (
            {"url": "https://a.example/", "undo": {"method": "PUT", "url": "https://b.example/"}},
            "undo/steps/s",
            "http.request PUT https://b.example/",
        ),
        ({"url": "http://[::1"}, "steps/s", "http.request"),
        ({"url": "nowhere"}, "steps/s", "http.request"),
        ({"url": 7}, "steps/s", "http.request"),
        (None, "steps/s", "http.request"),
    ],
)
def test_a_request_is_called_by_its_method_and_address(params: object, path: str, name: str) -> None:
    """Without user, password, query and fragment; where there is no address, by its action alone."""
    assert called("http.request", params, path) == name


def test_another_call_is_called_by_its_action() -> None:
    """And a step that calls nothing by nothing."""
    assert called("kubernetes.scale", {"url": "https://a.example/"}) == "kubernetes.scale"
    assert called(None, {}) == ""
