"""Third-party input: every alert that Debian's ceph-prometheus-alerts publishes comes through, with a reason."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from runbookd.actions.catalogue import ActionCatalogue
from runbookd.actions.config import ActionsConfig
from runbookd.content.load import examine
from runbookd.language.cel import Scope
from runbookd.model.event import Event, Status
from runbookd.model.library import Library
from runbookd.model.reasons import Verdict
from runbookd.model.views import event_view
from runbookd.settings import shipped
from runbookd.stages.match import compile_rules, explain, match
from tests.acceptance.nursery import nursery
from tests.acceptance.one_service import alertmanager_telling, one_service
from tests.servers import Alertmanager, Server, eventually

PACKAGE = "ceph-prometheus-alerts"
HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "rules-for-published-alerts.md"
BLOCK = re.compile(r"^```yaml\n# (rules|playbooks)/(\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OUTCOMES = {"new_alert", "for_count_not_reached"}


@pytest.fixture(scope="module")
def published() -> list[dict[str, Any]]:
    """Every alerting rule of the package's files."""
    listed = subprocess.run(["dpkg", "-L", PACKAGE], capture_output=True, text=True, check=False)
    files = [Path(line) for line in listed.stdout.splitlines() if line.endswith((".yml", ".yaml"))]
    if not files:
        pytest.skip(f"needs {PACKAGE}: apt-get install {PACKAGE}")
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


@pytest.fixture
def content(tmp_path: Path) -> Path:
    """A folder with the files of the how-to page, each under the name it has there."""
    found = BLOCK.findall(HOWTO.read_text(encoding="utf-8"))
    assert {kind for kind, _, _ in found} == {"rules", "playbooks"}
    for kind, name, text in found:
        (tmp_path / kind).mkdir(exist_ok=True)
        (tmp_path / kind / name).write_text(text, encoding="utf-8")
    return tmp_path


def library_of(content: Path) -> Library:
    """The page's content before what is shipped, as the service reads it."""
    catalogue = ActionCatalogue(ActionsConfig())
    report = examine(
        [content / "rules", shipped("rules")], [content / "playbooks", shipped("playbooks")], catalogue
    )
    assert report.library is not None, "\n".join(map(str, report.problems))
    return report.library


def test_the_rules_on_the_how_to_page_pass_the_check(content: Path) -> None:
    """The page's rules and playbook load beside the shipped content, and their embedded tests pass."""
    library = library_of(content)
    assert {"ceph-data-at-risk", "ceph-warning"} <= {rule.name for rule in library.rules}
    assert "collect-ceph-health" in library.playbooks


def test_every_published_alert_is_taken_by_one_rule_and_every_other_says_why_not(
    content: Path, published: list[dict[str, Any]]
) -> None:
    """For each alert every rule there is gives its reason, and the ceph rules take them all."""
    library = library_of(content)
    compiled = compile_rules(library.rules)
    for rule in published:
        event = _event(rule)
        scope = Scope({"event": event_view(event), "vars": library.vars})
        (taken,), _ = match(compiled, event, scope)
        decisions = {one.rule: one for one in explain(compiled, event, scope)}
        assert decisions.keys() == {one.name for one in library.rules}
        assert taken.name.startswith("ceph-")
        for name, decision in decisions.items():
            assert decision.matched == (name == taken.name)
            assert decision.matched or decision.detail, f"{rule['alert']}: {name} gives no reason"


def _event(rule: Mapping[str, Any]) -> Event:
    labels = {"alertname": rule["alert"], **rule["labels"]}
    return Event(
        source="alertmanager",
        name=rule["alert"],
        status=Status.FIRING,
        fingerprint=rule["alert"],
        severity=rule["labels"]["severity"],
        labels=labels,
        annotations={"summary": "s"} | rule["annotations"],
    )


async def test_every_published_alert_comes_through_real_servers_with_an_outcome(
    content: Path,
    published: list[dict[str, Any]],
    prometheus: Callable[..., Awaitable[Server]],
    alertmanager: Callable[..., Awaitable[Alertmanager]],
) -> None:
    """N alerting rules, N events: normalized whole, matched with reasons, each with its outcome; none is lost."""
    async with nursery() as born_by, one_service(born_by, content) as service:
        sender = await alertmanager(alertmanager_telling(service))
        monitored = await prometheus(_telling(sender), _always_firing(published))
        service.settings |= {"actions": {"prometheus": {"default": {"url": monitored.url}}}}
        service.configure()
        await service.start()
        expected = {rule["alert"]: rule for rule in published}

        def told() -> list[dict[str, Any]]:
            rows = service.rows("SELECT * FROM events")
            return rows if len({row["name"] for row in rows}) == len(expected) else []

        events = await eventually(told, within=60, every=0.2, what="an event of every published alert")
        await eventually(lambda: not service.rows("SELECT 1 FROM runs WHERE state = 'running'"), within=30)
        assert len(events) == len(published)
        for row in events:
            _whole(json.loads(row["event"]), expected[row["name"]])
            assert row["outcome"] in OUTCOMES, row["outcome"]
        _reasons_are_kept(service.rows("SELECT text FROM ledger"), expected)
        assert not service.rows("SELECT 1 FROM deliveries WHERE state <> 'admitted'")
        states = {row["state"] for row in service.rows("SELECT state FROM runs")}
        assert states == {"observed"}
        critical = {name for name, rule in expected.items() if rule["labels"]["severity"] == "critical"}
        assert len(service.rows("SELECT 1 FROM runs")) == len(critical)


def _whole(event: Mapping[str, Any], rule: Mapping[str, Any]) -> None:
    """The event has the rule's labels, and an annotation for each of the rule's."""
    assert event["labels"] == {"alertname": rule["alert"], **rule["labels"]}
    assert event["annotations"].keys() == rule["annotations"].keys()
    for name, template in rule["annotations"].items():
        if "{{" not in template:
            assert event["annotations"][name] == template


def _reasons_are_kept(ledger: list[dict[str, Any]], expected: Mapping[str, Any]) -> None:
    """One match entry for each alert; every rule compared has its verdict, and its detail unless it matched."""
    entries = [json.loads(row["text"]) for row in ledger]
    matched = [one["detail"] for one in entries if one["stage"] == "match" and "alert" in one["detail"]]
    assert sorted(one["name"] for one in matched) == sorted(expected)
    for one in matched:
        verdicts = [rule["verdict"] for rule in one["rules"]]
        assert Verdict.MATCHED in verdicts
        assert all(rule["detail"] for rule in one["rules"] if rule["verdict"] != Verdict.MATCHED)


def _always_firing(published: list[dict[str, Any]]) -> dict[str, Any]:
    """The rules with their labels and annotations as they are, true at once and for ever."""
    rules = [
        {name: value for name, value in rule.items() if name != "for"} | {"expr": "vector(1)"}
        for rule in published
    ]
    return {"groups": [{"name": "published", "interval": "1s", "rules": rules}]}


def _telling(alertmanager: Alertmanager) -> dict[str, Any]:
    """A Prometheus configuration that scrapes nothing and tells this Alertmanager."""
    targets = [alertmanager.url.removeprefix("http://")]
    return {
        "global": {"evaluation_interval": "1s"},
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": targets}]}]},
    }
