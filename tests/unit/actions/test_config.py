"""The settings of the actions, and what they let through."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from runbookd.actions.config import ActionsConfig, Endpoint
from runbookd.actions.failures import Rejected
from runbookd.actions.reach import check_host
from runbookd.actions.servers import choose

ONE = Endpoint(url="http://one:9090")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"prometheus": {"x": {"url": "ftp://one"}}}, "prometheus.x.url"),
        ({"prometheus": {"x": {"url": "http://one/?a=1"}}}, "prometheus.x.url"),
        ({"prometheus": {"x": {"url": "http://one", "username": "me"}}}, "given together"),
        ({"prometheus": {"x": {"url": "http://one", "password_secret": "pw"}}}, "given together"),
        (
            {
                "prometheus": {
                    "x": {"url": "http://o", "username": "m", "password_secret": "p", "token_secret": "t"}
                }
            },
            "either",
        ),
        ({"commands": {"x": {"path": "restart"}}}, "not an absolute path"),
        ({"commands": {"x": {"path": "/bin/true", "args": ["("]}}}, "not a regular expression"),
        ({"commands": {"x": {"path": "/bin/true", "shell": True}}}, "Extra inputs"),
        ({"http": {"max_body": 0}}, "http.max_body"),
        ({"kafka": {}}, "Extra inputs"),
        ({"kubernetes": {"clusters": {"x": {"in_cluster": True, "context": "c"}}}}, "give either"),
        ({"kubernetes": {"clusters": {"x": {"kubeconfig": "config"}}}}, "not an absolute path"),
        ({"kubernetes": {"max_targets": 0}}, "kubernetes.max_targets"),
        ({"kubernetes": {"request_timeout": "soon"}}, "kubernetes.request_timeout"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any], said: str) -> None:
    """Settings that make no sense are refused before anything runs."""
    with pytest.raises(ValidationError) as refused:
        ActionsConfig.model_validate(wrong)
    assert said in str(refused.value)


def test_nothing_has_to_be_set() -> None:
    """Without settings there is no server and no command, and every public host may be called."""
    config = ActionsConfig()
    assert (config.prometheus, config.alertmanagers, config.commands) == ({}, {}, {})
    assert config.http.allowed_hosts is None
    assert config.kubernetes.clusters == {}
    assert config.kubernetes.protected_namespaces == ["kube-system", "kube-public", "kube-node-lease"]


@pytest.mark.parametrize(
    ("servers", "name", "expected"),
    [
        ({"one": ONE}, None, "one"),
        ({"one": ONE, "default": ONE}, None, "default"),
        ({"one": ONE, "two": ONE}, "two", "two"),
    ],
)
def test_a_server_is_chosen_by_name(servers: dict[str, Endpoint], name: str | None, expected: str) -> None:
    """The named server, the only one, or the one called `default`."""
    assert choose(servers, name, "actions.prometheus")[0] == expected


@pytest.mark.parametrize(
    ("servers", "name", "said"),
    [
        ({}, None, "there is no 'default' in `actions.prometheus`"),
        ({"one": ONE, "two": ONE}, None, "name a `server`: one, two"),
        ({"one": ONE, "two": ONE}, "tow", "Did you mean 'two'"),
    ],
)
def test_a_server_that_is_not_there_is_told(
    servers: dict[str, Endpoint], name: str | None, said: str
) -> None:
    """The refusal names the setting and what there is."""
    with pytest.raises(Rejected, match=said):
        choose(servers, name, "actions.prometheus")


@pytest.mark.parametrize("host", ["shop.example.com", "SHOP.example.com.", "api.internal"])
def test_allowed_hosts_pass(host: str) -> None:
    """Host names fit the globs whatever their case, and with the root's dot."""
    check_host(host, ["*.example.com", "API.internal"])


@pytest.mark.parametrize("host", ["example.com", "shop.example.com.evil.org", "evil.org"])
def test_other_hosts_do_not(host: str) -> None:
    """A host that fits no glob is refused with the setting's name."""
    with pytest.raises(Rejected, match="allowed_hosts"):
        check_host(host, ["*.example.com"])
