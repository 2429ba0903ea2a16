"""`runbookd review`: the draft in its three forms, and that it is done."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.integration.cli.conftest import Runbookd, alert

Tell = Callable[..., Awaitable[None]]
RULES = """
priorities:
  P1: {name: High, acknowledge_within: 5m, announce: [statuspage], review_within: 24h}
rules:
  - name: disk-full
    match: [alertname="DiskFull"]
    priority: P1
    incident: {title: "Disk of ${event.labels.host} is full <script>"}
    run:
      - playbook: note
        with: {host: "${event.labels.host}"}
"""


@pytest.fixture
def reviewed(runbookd: Runbookd) -> Runbookd:
    """The console script with a priority that asks for a review."""
    (runbookd.folder / "rules" / "rules.yaml").write_text(RULES)
    return runbookd


async def ended(runbookd: Runbookd, told: Tell) -> str:
    """An incident that a person has ended; returns its id."""
    await told(alert("DiskFull", host="db-1", note="anna@example.com"))
    (found,) = runbookd.json("incidents")
    runbookd("note", found["id"], "ask anna@example.com | **now**")
    runbookd("resolve", found["id"], "--reason", "freed by hand")
    return str(found["id"])


async def test_the_draft_is_markdown_to_edit(reviewed: Runbookd, told: Tell) -> None:
    """Facts of the record are in it, blanks for the rest, and nobody's address."""
    identity = await ended(reviewed, told)
    text = reviewed("review", identity[-6:]).stdout
    assert text.startswith(f"# Post-Incident Review - {identity[-8:]}: Disk of db-1 is full \\<script\\>\n")
    for fact in (
        f"| Incident | `{identity}` |",
        "Note: ask (a mail address) \\| \\*\\*now\\*\\*",
        "Ended by hand: freed by hand",
        "Automation began note on hosts/db-1",
        "| `listing` | `run-",
        "4 bytes",
        "**[to be filled in: root cause]**",
    ):
        assert fact in text, fact
    assert "anna@" not in text


async def test_html_and_json_tell_the_same(reviewed: Runbookd, told: Tell) -> None:
    """HTML is one file; JSON has the facts by stable names."""
    identity = await ended(reviewed, told)
    target = reviewed.folder / "review.html"
    assert "review.html" in reviewed("review", identity, "--format", "html", "--output", str(target)).stderr
    page = target.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "Disk of db-1 is full &lt;script&gt;" in page
    facts = reviewed_json(reviewed, identity)
    assert (facts["incident_id"], facts["priority"], facts["over"]) == (identity, "P1", True)
    assert [run["playbook"] for run in facts["remedies"]] == ["note"]
    assert facts["evidence"][0]["size"] == 4
    assert facts["opened_at"].endswith("Z")


def reviewed_json(runbookd: Runbookd, identity: str) -> dict[str, Any]:
    """The facts alone."""
    found: dict[str, Any] = json.loads(runbookd("review", identity, "--format", "json").stdout)
    return found


async def test_a_review_is_done_once(reviewed: Runbookd, told: Tell) -> None:
    """Saying so stops its clock; said again, or of an incident that asks for none, it changes nothing."""
    identity = await ended(reviewed, told)
    assert "| to review | " in reviewed("review", identity).stdout
    assert f"the review of incident {identity} is done" in reviewed("review", identity, "--done").stdout
    assert "no review" in reviewed("review", identity, "--done").stderr
    assert "The review was done at " in reviewed("review", identity).stdout
    (clock,) = [
        each for each in reviewed.json("incidents", "show", identity)["clocks"] if each["kind"] == "review"
    ]
    assert clock["met_at"] is not None


async def test_what_cannot_be_reviewed_is_said(reviewed: Runbookd, told: Tell) -> None:
    """No such incident, a file that cannot be written, and `--done` with something to write."""
    identity = await ended(reviewed, told)
    assert "no incident" in reviewed("review", "nothere", code=3).stderr
    assert "nowhere" in reviewed("review", identity, "--output", "nowhere/x.md", code=4).stderr
    assert "leave out --format" in reviewed("review", identity, "--done", "--format", "html", code=2).stderr
