"""What messages and remedies want and is not there is told before anybody needs it, once for each missing thing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runbookd.actions.catalogue import ActionCatalogue
from runbookd.actions.config import ActionsConfig
from runbookd.content.load import load
from runbookd.reports.wanting import Here, wanting
from runbookd.settings import shipped
from tests.contract.actions.hands import KnownSecrets
from tests.contract.actions.kube_api import kubeconfig as kubeconfig_text

PEOPLE = """
roles:
  anna:
    primary: {pagerduty: {service_key: "${secret.phone}"}, slack: "#ops"}
    secondary: {email: anna@example.com}
  bert: {primary: {pagerduty: {schedule: P123}}}
escalations:
  ladder: [{after: 0m, page: [anna], notify: ["slack:#ops", "email:bert@example.com"]}]
"""
REMEDY = """
priorities: {P1: {name: High}}
rules: [{name: broken, match: [alertname="Broken"], mode: MODE, priority: P1, run: [{playbook: mend}]}]
"""
PLAYBOOKS = """
playbook: mend
evidence: [{action: prometheus.query, with: {promql: up}}]
steps:
  - {action: kubernetes.get_pods, with: {namespace: shop}}
  - {action: alertmanager.silence, with: {matchers: ['a="b"'], duration: 1m, comment: quiet}}
verify: [{action: prometheus.query, with: {promql: up, server: far}}]
"""
ALL = {
    "email": {"host": "mail", "sender": "a@example.com"},
    "pagerduty": {"token_secret": "rest"},
    "prometheus": {"far": {"url": "http://far"}},
    "alertmanagers": {"default": {"url": "http://here"}},
    "kubernetes": {"clusters": {}},
}
SECRETS = {"phone": "1", "slack_bot_token": "2", "rest": "3"}


def told(folder: Path, settings: dict[str, Any], **secrets: str) -> list[str]:
    """What is missing, without its place."""
    here = Here(kubeconfig="", secrets=KnownSecrets(secrets))
    found = wanting(load(folder, [], ActionCatalogue()), ActionsConfig.model_validate(settings), here)
    assert all(problem.line for problem in found)
    return [problem.message for problem in found]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of content, on a machine whose user has no kubeconfig."""
    monkeypatch.setenv("HOME", str(tmp_path))
    content = tmp_path / "content"
    content.mkdir()
    return content


def test_messages_that_nobody_would_get(folder: Path) -> None:
    """By mail, Slack and PagerDuty, to roles and to addresses; nothing once all is there."""
    (folder / "people.yaml").write_text(PEOPLE)
    assert told(folder, {}) == [
        "a message to role anna would be refused (and 1 more): the secret 'slack_bot_token' is not set",
        "a message to role anna would be refused: the secret 'phone' is not set",
        "a message to role anna would be refused (and 2 more): the settings have no mail server; set `actions.email`",
    ]
    (schedule,) = told(folder, {"email": ALL["email"]}, phone="1", slack_bot_token="2")
    assert schedule.startswith(
        "a message to role bert would be refused: who is on call cannot be asked; set `actions"
    )
    assert told(folder, ALL, **SECRETS) == []


def test_remedies_that_would_be_refused(folder: Path) -> None:
    """Those that act; what is only collected as evidence, or only observed, keeps no help from anybody."""
    for name, text in (("rules", REMEDY.replace("MODE", "act")), ("mend", PLAYBOOKS)):
        (folder / f"{name}.yaml").write_text(text)
    cluster, silence, query = told(folder, {})
    assert cluster.startswith(
        "playbook mend: kubernetes.get_pods would be refused: there is no way into a cluster"
    )
    assert (
        "alertmanager.silence would be refused: there is no 'default' in `actions.alertmanagers`" in silence
    )
    assert "prometheus.query would be refused: there is no 'far' in `actions.prometheus`" in query
    assert told(folder, ALL) == [cluster]
    kubeconfig = folder.parent / ".kube" / "config"
    kubeconfig.parent.mkdir()
    kubeconfig.write_text(kubeconfig_text("https://cluster:6443", "token"))
    assert told(folder, ALL) == []
    (folder / "rules.yaml").write_text(REMEDY.replace("MODE", "observe"))
    assert told(folder, {}) == []


def test_the_shipped_content_wants_no_more_than_its_people_need() -> None:
    """With a mail server and the secrets of its roles nothing is told, whatever its observing rules may ask."""
    keys = {f"pagerduty_{name}": "key" for name in ("l1", "l2", "l3", "security")}
    library = load([shipped("rules")], [shipped("playbooks")], ActionCatalogue())
    here = Here(kubeconfig="", secrets=KnownSecrets(keys | {"slack_bot_token": "token"}))
    settings = ActionsConfig.model_validate({"email": ALL["email"]})
    assert wanting(library, settings, here) == []
