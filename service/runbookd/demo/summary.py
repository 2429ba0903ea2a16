"""The demo summed up: what users suffered, how soon it was noticed and mended, what ran, and whether all ended well."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

import orjson

from runbookd.demo import people_client
from runbookd.demo.messages import FAILED, SENT
from runbookd.demo.processes import RUNBOOKD
from runbookd.demo.screen import Screen
from runbookd.demo.shop_client import ShopClient
from runbookd.demo.timeline import Timeline, seconds_between
from runbookd.demo.told import MESSAGE, Told
from runbookd.demo.workspace import Workspace
from runbookd.model.audit import Entry
from runbookd.model.escalation import MessageKind
from runbookd.model.run import StepRecord, StepState
from runbookd.ports import Store, Tx

_INCIDENTS = "#incidents"
"""Where the shipped rules announce incidents."""


@dataclass(slots=True)
class Verdict:
    """What the story came to: lines for the reader, and what did not end as it should (nothing: all well)."""

    lines: list[tuple[str, str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def judge(self, what: str, said: str, *, good: bool) -> None:
        """Add a line that must be good."""
        self.lines.append((what, said))
        if not good:
            self.wrong.append(f"{what}: {said}")


async def sum_up(
    timeline: Timeline, shop: ShopClient, workspace: Workspace, broken_at: datetime, screen: Screen
) -> Verdict:
    """Show the sums, and return them."""
    verdict = Verdict()
    received = timeline.first(lambda entry: entry.what == "admitted")
    acted = timeline.first(lambda entry: entry.what == "step_intent")
    rollbacks = await shop.rollbacks()
    visits, failed = await shop.visits()
    if received is None:
        verdict.judge("detection", "no notification arrived", good=False)
    else:
        verdict.lines.append(("detection", f"{seconds_between(broken_at, received.at)} after the release"))
    if received is not None and acted is not None:
        verdict.lines.append(
            ("first change", f"{seconds_between(received.at, acted.at)} after the notification")
        )
    if rollbacks:
        verdict.lines.append(("users saw errors", f"for {seconds_between(broken_at, rollbacks[0])}"))
    verdict.lines.append(("requests failed", f"{failed} of {visits}"))
    verdict.judge("rollbacks", f"{len(rollbacks)} carried out by the shop", good=len(rollbacks) == 1)
    _ends(verdict, timeline)
    told = await people_client.told(workspace.people_url, workspace.people_token)
    _people(verdict, timeline, told)
    said, good = await verified_ledger(workspace)
    verdict.judge("ledger", said, good=good)
    screen.line()
    for what, text in verdict.lines:
        screen.line(f"  {what.ljust(18)}{text}")
    _last_word(timeline, told, screen)
    return verdict


def _ends(verdict: Verdict, timeline: Timeline) -> None:
    run = timeline.first(lambda entry: entry.run_id is not None and entry.what.startswith("run_"))
    closed = timeline.first(lambda entry: entry.what == "incident_resolved")
    told = _ended(run)
    verdict.judge("run", told, good=run is not None and run.what == "run_verified")
    said = "still open" if closed is None else f"resolved after {closed.detail['seconds']:.1f}s"
    verdict.judge("incident", said, good=closed is not None)


def _people(verdict: Verdict, timeline: Timeline, told: list[Told]) -> None:
    """Judge what people got: every message, and the word that it is over."""
    got = [each for each in told if each.what == MESSAGE]
    counts = Counter(each.by for each in got)
    lost = sum(entry.what == FAILED for entry in timeline.entries) + timeline.waiting
    ways = ", ".join(f"{count} by {way}" for way, count in counts.most_common())
    said = f"got {len(got)} messages: {ways}" if got else "got no message"
    said += f"; {lost} did not get through" if lost else ""
    verdict.judge("people", said, good=_resolved(timeline) is not None and not lost)


def _resolved(timeline: Timeline) -> Entry | None:
    """Return the ledger's entry of the first word that it is over."""
    return timeline.first(lambda entry: entry.what == SENT and entry.detail["kind"] == MessageKind.RESOLVED)


def _last_word(timeline: Timeline, told: list[Told], screen: Screen) -> None:
    """Show how people read that it is over, in the channel of incidents if it was told there."""
    entry = _resolved(timeline)
    subject = entry.detail["subject"] if entry is not None else None
    words = [each for each in told if each.what == MESSAGE and each.subject == subject]
    if not words:
        return
    said = next((each for each in words if _INCIDENTS in each.to), words[0])
    screen.line()
    screen.line(f"  That it is over, as {', '.join(said.to)} reads it:")
    screen.line()
    screen.quote(said.subject, "bold")
    screen.quote(said.text)


def _ended(run: Entry | None) -> str:
    if run is None:
        return "none has ended"
    return f"{run.detail['playbook']} {run.what.removeprefix('run_')} after {run.detail['seconds']:.1f}s"


async def show_steps(store: Store, timeline: Timeline, screen: Screen) -> None:
    """Show what ran, as the journal has it."""
    run_id = next((entry.run_id for entry in timeline.entries if entry.run_id is not None), None)
    if run_id is None:
        return

    async def read(tx: Tx) -> list[StepRecord]:
        return await tx.runs.steps(run_id)

    records = [each for each in await store.read(read) if each.state is not StepState.WAITING]
    rows = [_row(record) for record in records if record.action and "@" not in record.path]
    looks = [record for record in records if "@" in record.path]
    screen.line()
    screen.table(("step", "action", "attempt", "state", "took"), rows)
    if looks:
        screen.line(f"  verify: looked {len(looks)} times until it had held long enough")


def _row(record: StepRecord) -> tuple[str, str, str, str, str]:
    took = seconds_between(record.started_at, record.ended_at) if record.ended_at is not None else ""
    mark = " (changes)" if record.mutating else ""
    return record.path, f"{record.action}{mark}", str(record.attempt), record.state.value, took


async def verified_ledger(workspace: Workspace) -> tuple[str, bool]:
    """Ask `runbookd audit verify`, in a process of its own; returns what it says and whether all is well."""
    child = await asyncio.create_subprocess_exec(
        *(*RUNBOOKD, "--config", str(workspace.config), "audit", "verify", "--output", "json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await child.communicate()
    if child.returncode == 0:
        return f"whole, {orjson.loads(output)['checked']} entries", True
    said = (errors or output).decode(errors="replace").strip()
    return f"`runbookd audit verify` ended with status {child.returncode}: {said}", False
