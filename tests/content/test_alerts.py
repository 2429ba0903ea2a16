"""The alerts of the how-to page: Prometheus loads them, and the shipped rules take every one that is named there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from runbookd.actions.catalogue import ActionCatalogue
from runbookd.content.load import load
from runbookd.language.cel import Scope
from runbookd.model.event import Event, Status
from runbookd.model.library import Library
from runbookd.model.views import event_view
from runbookd.settings import shipped
from runbookd.stages.match import compile_rules, match
from tests.servers import find_binary

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "alerts-for-the-runbook.md"
BLOCK = re.compile(r"^```yaml\n# alerts/runbook\.yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| (`.*?) \|.*?\| `([a-z-]+)` \|", re.MULTILINE)
NAME = re.compile(r"`(\w+)`")


@pytest.fixture(scope="module")
def page() -> str:
    """The page's text."""
    return PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def library() -> Library:
    """The shipped content."""
    return load(shipped("rules"), shipped("playbooks"), ActionCatalogue())


def alerts(page: str) -> list[dict[str, Any]]:
    """The alerting rules on the page."""
    (block,) = BLOCK.findall(page)
    return [rule for group in yaml.safe_load(block)["groups"] for rule in group["rules"]]


def named(page: str) -> dict[str, str]:
    """Every alert in the page's table, with the rule that takes it."""
    return {name: rule for names, rule in ROW.findall(page) for name in NAME.findall(names)}


def taken_by(library: Library, name: str) -> str | None:
    """The rule that takes an alert of this name about the system of the shipped `vars`."""
    known = library.vars
    labels = {
        "alertname": name,
        "namespace": str(known["namespace"]),
        "deployment": str(known["deployment"]),
        "pod": f"{known['deployment']}-6b7f-x2x",
    }
    event = Event(
        source="alertmanager", name=name, status=Status.FIRING, fingerprint="1", labels=labels, starts_at=None
    )
    taken, _ = match(
        compile_rules(library.rules), event, Scope({"event": event_view(event), "vars": library.vars})
    )
    return taken[0].name if taken else None


def test_prometheus_loads_the_page_s_alerts(page: str, tmp_path: Path) -> None:
    """Nothing is wrong with them for promtool, style included."""
    (block,) = BLOCK.findall(page)
    (tmp_path / "runbook.yaml").write_text(block, encoding="utf-8")
    command = [find_binary("promtool"), "check", "rules", "--lint=all", "--lint-fatal", "runbook.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_in_the_table_is_taken_by_the_rule_beside_it(page: str, library: Library) -> None:
    """The table's names and the rules' matchers agree, both ways."""
    table = named(page)
    assert {name: taken_by(library, name) for name in table} == table
    rules = [
        rule for rule in library.rules if Path(library.places[f"rule:{rule.name}"]).name.startswith("30-")
    ]
    matched = {name for rule in rules for text in rule.match for name in re.findall(r"[A-Z]\w+", text)}
    assert matched == set(table)


def test_a_breach_goes_before_lost_data(library: Library) -> None:
    """The order of the rules decides which of two remedies that hold the system makes way for the other."""
    names = [rule.name for rule in library.rules]
    assert names.index("security-breach") < names.index("data-loss") < names.index("system-down")


def test_every_alert_of_the_page_s_own_is_in_the_table(page: str) -> None:
    """What the page publishes is answered, and carries the system's namespace, by its labels or its expression."""
    for rule in alerts(page):
        assert rule["alert"] in named(page)
        assert rule["annotations"]["summary"]
        assert "namespace" in rule["labels"] or "by (namespace" in rule["expr"]
