"""SIGTERM in the middle of each kind of step: the service ends in time, and its next life brings the run to its end.

A call that ends in time has an outcome that is known; one that takes longer is cut off, and is in doubt or made again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from aiohttp import web

from tests.acceptance.nursery import Mortal, Nursery, nursery
from tests.chaos.one_process import SETTINGS
from tests.chaos.scene import Report, served
from tests.servers import eventually, free_port, temporary_folder
from tests.service import notification

NAME = "SIGTERM"
WITHIN = 30.0

RULES = """
priorities: {P1: {name: High}}
rules:
  - name: stop
    match: [alertname="Stop"]
    priority: P1
    run: [{playbook: stop, with: {url: "${event.labels.url}", program: "${event.labels.program}"}}]
"""
HEAD = "playbook: stop\ninputs: {url: {type: string}, program: {type: string}}\n"
HELD = 'action: http.request, with: {url: "${inputs.url}/hold/x"}'
POST = 'action: http.request, with: {method: POST, url: "${inputs.url}/hold/x", idempotency_key: false, repeat: never}'
FAILING = HELD.replace("hold", "fail")
DONE = '  - {id: last, action: http.request, with: {url: "${inputs.url}/last"}}\n'
UNDONE = f"""{HEAD}on_failure: undo_and_escalate
steps:
  - id: x
    action: http.request
    with:
      method: POST
      url: ${{inputs.url}}/x
      idempotency_key: false
      undo: {{method: DELETE, url: "${{inputs.url}}/hold/x"}}
  - {{id: stop, action: flow.fail, with: {{message: it is worse now}}}}
"""
PROGRAM = (
    f"{HEAD}steps:\n"
    '  - {id: x, action: command.run, with: {command: program, args: ["${inputs.program}"]}}\n'
    f"{DONE}"
)
PARALLEL = f"""{HEAD}steps:
  - id: both
    parallel:
      - {{id: x, {HELD}}}
      - {{id: y, {HELD}}}
{DONE}"""
SCRIPT = """echo $$ >> "$0.pids"
/bin/sleep 2 &
echo $! >> "$0.pids"
wait
"""
"""A program with a child, which both end after two seconds; it tells their numbers."""
RAN = "the program"
"""How a start of it is called among the calls."""


@dataclass(frozen=True, slots=True)
class End:
    """How a run ends in the next life: what that is called, why (any of `reasons`), and whether people are told."""

    called: str
    reasons: frozenset[str]
    told: bool = True


WELL = End("goes on and ends well", frozenset({"done", "verified"}), told=False)
IN_DOUBT = End("ends in doubt, and people are told", frozenset({"in_doubt"}))
FAILED = End("goes on to its end, and people are told", frozenset({"step_failed"}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A playbook to be stopped in the middle of, after the call `begun` (None: any).

    `cut_off`: the call takes longer than the stop waits for it. `once` are calls made once over both lives.
    """

    playbook: str
    end: End = WELL
    begun: str | None = None
    cut_off: bool = False
    once: tuple[str, ...] = ("GET /last",)


KINDS = {
    "a call that reads": Kind(playbook=f"{HEAD}steps:\n  - {{id: x, {HELD}}}\n{DONE}"),
    "a call that changes": Kind(
        playbook=f"{HEAD}steps:\n  - {{id: x, {POST}}}\n{DONE}", once=("POST /hold/x", "GET /last")
    ),
    "a call that changes, cut off": Kind(
        playbook=f"{HEAD}steps:\n  - {{id: x, {POST}}}\n{DONE}",
        end=IN_DOUBT,
        cut_off=True,
        once=("POST /hold/x",),
    ),
    "evidence": Kind(playbook=f"{HEAD}evidence:\n  - {{name: x, {HELD}}}\nsteps:\n{DONE}"),
    "wait": Kind(playbook=f"{HEAD}steps:\n  - {{id: x, wait: 2s}}\n{DONE}"),
    "parallel": Kind(playbook=PARALLEL),
    "foreach": Kind(
        playbook=f"{HEAD}steps:\n"
        f"  - {{id: x, foreach: \"${{['a', 'b', 'c']}}\", max_parallel: 2, {HELD}}}\n"
        f"{DONE}"
    ),
    "a called playbook": Kind(
        playbook=f"{HEAD}steps:\n  - {{id: x, playbook: inner, with: {{url: '${{inputs.url}}'}}}}\n{DONE}"
    ),
    "retry": Kind(
        playbook=f"{HEAD}steps:\n  - {{id: x, {FAILING}, retry: {{attempts: 9, backoff: 1s}}}}\n{DONE}"
    ),
    "verify": Kind(playbook=f"{HEAD}steps:\n{DONE}verify:\n  - {{{HELD}, every: 1s, within: 60s}}\n"),
    "finally": Kind(playbook=f"{HEAD}steps:\n{DONE}  - {{id: x, finally: true, {HELD}}}\n"),
    "undo": Kind(playbook=UNDONE, end=FAILED, begun="DELETE /hold/x", once=("POST /x", "DELETE /hold/x")),
    "undo, cut off": Kind(
        playbook=UNDONE,
        end=IN_DOUBT,
        begun="DELETE /hold/x",
        cut_off=True,
        once=("POST /x", "DELETE /hold/x"),
    ),
    "a program": Kind(playbook=PROGRAM, begun=RAN, once=(RAN, "GET /last")),
    "a program, cut off": Kind(playbook=PROGRAM, end=IN_DOUBT, begun=RAN, cut_off=True, once=(RAN,)),
}
INNER = f"playbook: inner\ninputs: {{url: {{type: string}}}}\nsteps:\n  - {{id: x, {HELD}}}\n"


@dataclass
class Holder:
    """A server that answers `/hold/` after two seconds, and `/fail/` with 503, until it is let go."""

    url: str
    calls: Counter[str] = field(default_factory=Counter)
    let_go: bool = False

    async def answer(self, request: web.Request) -> web.Response:
        """Count, and hold."""
        self.calls[f"{request.method} {request.path}"] += 1
        if "/fail/" in request.path and not self.let_go:
            return web.json_response({}, status=503)
        if "/hold/" in request.path and not self.let_go:
            await asyncio.sleep(2)
        return web.json_response({})


@dataclass(frozen=True, slots=True)
class Program:
    """The program that a playbook runs: which processes it has had, the second of two being a child of the first."""

    script: Path

    @property
    def pids(self) -> list[int]:
        """All there were."""
        told = self.script.with_name(f"{self.script.name}.pids")
        return [int(line) for line in told.read_text().split()] if told.exists() else []

    @property
    def alive(self) -> list[int]:
        """Those that have not ended, though nobody may have asked yet how."""
        return [pid for pid in self.pids if _state_of(pid) not in {None, "Z"}]


def _state_of(pid: int) -> str | None:
    """The state of a process, as the kernel writes it (proc(5)); None when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


async def stops(report: Report, dice: Random) -> None:
    """Each kind in turn; the instant is by chance."""
    async with nursery() as born_by:
        for name, kind in KINDS.items():
            await _stop_in(report, born_by, (name, kind), dice.uniform(0.05, 0.5))


async def _stop_in(report: Report, born_by: Nursery, named: tuple[str, Kind], after: float) -> None:
    port = free_port()
    holder = Holder(f"http://127.0.0.1:{port}")
    with temporary_folder("stops") as folder:
        program = Program(Path(folder) / "program")
        program.script.write_text(SCRIPT)
        settings: dict[str, Any] = SETTINGS | {
            "stop_within": "100ms" if named[1].cut_off else "25s",
            "actions": {"commands": {"program": {"path": "/bin/sh", "args": ["/.*"]}}},
        }
        playbooks = {"stop": named[1].playbook, "inner": INNER}
        it = Mortal.at(Path(folder), rules=RULES, playbooks=playbooks, settings=settings)
        it.nursery = born_by
        async with served(holder.answer, port):
            try:
                await _play(report, named, it, (holder, program), after)
            finally:
                await it.kill()


async def _play(
    report: Report, named: tuple[str, Kind], it: Mortal, ends: tuple[Holder, Program], after: float
) -> None:
    (name, kind), (holder, program) = named, ends
    await it.start()
    labels = {"alertname": "Stop", "url": holder.url, "program": str(program.script)}
    assert await it.post(notification(labels)) == 202
    await _begun(name, kind, it, ends)
    await asyncio.sleep(after)
    begun = time.monotonic()
    await it.stop(within=WITHIN)
    report.row(NAME, f"{name}: seconds to stop", round(time.monotonic() - begun, 2))
    left = program.alive
    holder.let_go = True
    await it.start()
    with contextlib.suppress(AssertionError):
        await it.runs_ended(1, within=30)
    (run,) = it.rows("SELECT state, reason FROM runs")
    told = bool(it.rows("SELECT 1 FROM incidents WHERE escalated_at IS NOT NULL"))
    calls = _calls(*ends)
    ended = run["reason"] in kind.end.reasons and told == kind.end.told
    once = all(calls[call] == 1 for call in kind.once)
    found = f"{run['state']} ({run['reason']}), people told: {told}, {dict(calls)}"
    report.hold(NAME, f"{name}: {kind.end.called}", kept=ended and once, found=found)
    if RAN in kind.once:
        report.nothing(NAME, f"{name}: processes left behind", len(left), left)


async def _begun(name: str, kind: Kind, it: Mortal, ends: tuple[Holder, Program]) -> None:
    """Return when the service is in the middle of it."""
    if name == "wait":
        await it.until("SELECT 1 FROM steps WHERE state = 'waiting'")
        return

    def under_way() -> bool:
        calls = _calls(*ends)
        return bool(calls if kind.begun is None else calls[kind.begun])

    await eventually(under_way, within=20, every=0.01, what=f"{name} is under way")


def _calls(holder: Holder, program: Program) -> Counter[str]:
    """What was called how often: a program that runs has told of two processes."""
    return holder.calls + Counter({RAN: len(program.pids) // 2})
