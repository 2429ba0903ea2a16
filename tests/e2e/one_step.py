"""A runbookd whose only playbook makes one call, and how its run ends when it was killed in the middle of it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbookd.model.action import Call, Repeat
from tests.service import Service, notification, service

RULES = """
rules:
  - {name: act, match: [alertname="Trouble"], priority: P1, incident: {key: [alertname]}, run: [{playbook: act}]}
priorities: {P1: {name: High, respond_within: 1h, resolve_within: 2h}}
"""
ALERT = notification({"alertname": "Trouble"})
"""What the rule runs the playbook for."""


@dataclass(frozen=True, slots=True)
class End:
    """How a run ends whose call was carried out, and cut off before its answer.

    `attempts` are the states and reasons of the step's attempts; `escalated` is why people were told, None: they
    were not.
    """

    run: tuple[str, str]
    attempts: Sequence[tuple[str, str | None]]
    escalated: str | None = None


ENDS: Mapping[Repeat, End] = {
    Repeat.PROBE: End(("succeeded", "done"), [("succeeded", "probed_done")]),
    Repeat.SAFE: End(("succeeded", "done"), [("in_doubt", "interrupted"), ("succeeded", None)]),
    Repeat.NEVER: End(("failed", "in_doubt"), [("in_doubt", "in_doubt")], "run_in_doubt"),
}
"""By what the action allows after a crash."""


@contextlib.asynccontextmanager
async def one_step(kubeconfig: Path, call: Call) -> AsyncIterator[Service]:
    """The service, not started. Its playbook makes this call on the cluster of the kubeconfig."""
    # JSON is YAML.
    made = {"id": "act", "action": call.action, "with": {"cluster": "test", **call.params}}
    playbook = json.dumps({"playbook": "act", "steps": [made]})
    settings = {
        "reload": False,
        "actions": {"kubernetes": {"clusters": {"test": {"kubeconfig": str(kubeconfig)}}}},
    }
    async with service(rules=RULES, playbooks=playbook, settings=settings, start=False) as it:
        try:
            yield it
        except AssertionError as error:
            error.add_note(it.log[-4000:])
            raise


def attempts(it: Service) -> list[dict[str, Any]]:
    """The attempts at the step, oldest first."""
    return it.rows("SELECT * FROM steps WHERE path = 'steps/act' ORDER BY attempt")


def ending(it: Service) -> End:
    """How the only run ended."""
    (run,) = it.rows("SELECT state, reason FROM runs")
    (incident,) = it.rows("SELECT escalation_reason FROM incidents")
    made = [(row["state"], row["reason"]) for row in attempts(it)]
    return End((run["state"], run["reason"]), made, incident["escalation_reason"])
