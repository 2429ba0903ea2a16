"""SIGTERM in the middle of each kind of step: the service ends in time, and its next life brings the run to its end."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

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
    run: [{playbook: stop, with: {url: "${event.labels.url}"}}]
"""
HEAD = "playbook: stop\ninputs: {url: {type: string}}\n"
HELD = 'action: http.request, with: {url: "${inputs.url}/hold/x"}'
POST = 'action: http.request, with: {method: POST, url: "${inputs.url}/hold/x", idempotency_key: false'
FAILING = HELD.replace("hold", "fail")
DONE = '  - {id: last, action: http.request, with: {url: "${inputs.url}/last"}}\n'

KINDS = {
    "a call that reads": f"{HEAD}steps:\n  - {{id: x, {HELD}}}\n{DONE}",
    "a call that changes, and answers in time": (
        f"{HEAD}steps:\n  - {{id: x, {POST}, repeat: never}}}}\n{DONE}"
    ),
    "evidence": f"{HEAD}evidence:\n  - {{name: x, {HELD}}}\nsteps:\n{DONE}",
    "wait": f"{HEAD}steps:\n  - {{id: x, wait: 2s}}\n{DONE}",
    "parallel": (
        f"{HEAD}steps:\n  - id: both\n    parallel:\n      - {{id: x, {HELD}}}\n      - {{id: y, {HELD}}}\n{DONE}"
    ),
    "foreach": (
        f"{HEAD}steps:\n  - {{id: x, foreach: \"${{['a', 'b', 'c']}}\", max_parallel: 2, {HELD}}}\n{DONE}"
    ),
    "a called playbook": f"{HEAD}steps:\n  - {{id: x, playbook: inner, with: {{url: '${{inputs.url}}'}}}}\n{DONE}",
    "retry": f"{HEAD}steps:\n  - {{id: x, {FAILING}, retry: {{attempts: 9, backoff: 1s}}}}\n{DONE}",
    "verify": f"{HEAD}steps:\n{DONE}verify:\n  - {{{HELD}, every: 1s, within: 60s}}\n",
    "finally": f"{HEAD}steps:\n{DONE}  - {{id: x, finally: true, {HELD}}}\n",
}
INNER = f"playbook: inner\ninputs: {{url: {{type: string}}}}\nsteps:\n  - {{id: x, {HELD}}}\n"


@dataclass
class Holder:
    """A server that answers `/hold/` after two seconds the first time, and `/fail/` with 503 until it is let go."""

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


async def stops(report: Report, dice: Random) -> None:
    """Each kind in turn; the instant is by chance."""
    async with nursery() as born_by:
        for kind, playbook in KINDS.items():
            await _stop_in(report, born_by, kind, (playbook, dice.uniform(0.05, 0.5)))


async def _stop_in(report: Report, born_by: Nursery, kind: str, how: tuple[str, float]) -> None:
    playbook, after = how
    port = free_port()
    holder = Holder(f"http://127.0.0.1:{port}")
    with temporary_folder("stops") as name:
        playbooks = {"stop": playbook, "inner": INNER}
        it = Mortal.at(Path(name), rules=RULES, playbooks=playbooks, settings=SETTINGS)
        it.nursery = born_by
        async with served(holder.answer, port):
            try:
                await _play(report, kind, it, holder, after)
            finally:
                await it.kill()


async def _play(report: Report, kind: str, it: Mortal, holder: Holder, after: float) -> None:
    await it.start()
    assert await it.post(notification({"alertname": "Stop", "url": holder.url})) == 202
    if kind == "wait":
        await it.until("SELECT 1 FROM steps WHERE state = 'waiting'")
    else:
        await eventually(lambda: holder.calls, within=20, every=0.01, what=f"{kind} is under way")
    await asyncio.sleep(after)
    begun = time.monotonic()
    await it.stop(within=WITHIN)
    seconds = time.monotonic() - begun
    holder.let_go = True
    await it.start()
    with contextlib.suppress(AssertionError):
        await it.runs_ended(1, within=30)
    (run,) = it.rows("SELECT state, reason FROM runs")
    good = run["state"] in {"succeeded", "verified"} and holder.calls["GET /last"] == 1
    posted = holder.calls["POST /hold/x"]
    report.row(NAME, f"{kind}: seconds to stop", round(seconds, 2))
    found = f"{run['state']} ({run['reason']}), {dict(holder.calls)}"
    report.hold(NAME, f"{kind}: goes on and ends well", kept=good and posted <= 1, found=found)
