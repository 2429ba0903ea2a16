"""A playbook's outline has the paths its journal will have."""

from __future__ import annotations

from runbookd.actions.catalogue import ActionCatalogue
from runbookd.cli.outline import outline
from runbookd.model.playbook import Playbook

PLAYBOOK = Playbook.model_validate(
    {
        "playbook": "all-kinds",
        "evidence": [{"action": "http.request", "name": "before", "with": {"url": "http://127.0.0.1/"}}],
        "steps": [
            {"id": "say", "action": "flow.log", "with": {"message": "x"}, "when": "true", "finally": True},
            {"wait": "2m"},
            {"playbook": "other", "continue_on_failure": True, "foreach": ["a"]},
            {"assert": "1 < 2"},
            {"id": "both", "parallel": [{"id": "one", "action": "flow.log", "with": {"message": "x"}}]},
            {"id": "post", "action": "http.request", "with": {"url": "http://127.0.0.1/", "method": "POST"}},
        ],
        "verify": [
            {"check": "alert_resolved"},
            {"action": "flow.log", "with": {"message": "x"}, "for": "1m"},
        ],
    }
)


def test_the_outline_names_every_step_as_the_journal_will() -> None:
    """Evidence, steps, inner steps and checks have their paths, kinds and conditions; what changes is marked."""
    lines = [(line.path, line.what, line.mutates, line.note) for line in outline(PLAYBOOK, ActionCatalogue())]
    assert lines == [
        ("evidence/before", "http.request", False, ""),
        ("steps/say", "flow.log", False, "when true, finally"),
        ("steps/1", "wait 2m", False, ""),
        ("steps/2", "playbook other", False, "for each item, goes on after a failure"),
        ("steps/3", "assert 1 < 2", False, ""),
        ("steps/both", "parallel", False, ""),
        ("steps/both/one", "flow.log", False, ""),
        ("steps/post", "http.request", True, ""),
        ("verify/0", "alert_resolved", False, "every 15s, within 10m"),
        ("verify/1", "flow.log", False, "every 15s for 1m, within 10m"),
    ]
