"""Run every benchmark and print a table: `make bench`, or `python -m tests.bench [NAME ...]`."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from aiohttp import web

from runbookd.language.cel import Scope
from runbookd.model.event import Event, Status
from runbookd.model.rule import Rule
from runbookd.model.views import event_view
from runbookd.stages.match import compile_rules, match
from tests.bench import ledger
from tests.bench.bodies import alert, notification
from tests.bench.load import Connection, Result, burst, post, saturate
from tests.bench.target import TOKEN, Target, memory_mib

HOOK = "/v1/hooks/alertmanager"
SECONDS = 4.0
_numbers = iter(range(1, 1 << 60))


def main() -> None:
    """Run those named, or all."""
    every: dict[str, Callable[[], None]] = {
        "match": bench_match,
        "start": bench_start,
        "accept": bench_accept,
        "end-to-end": bench_end_to_end,
        "latency": bench_latency,
        "burst": bench_burst,
        "deadlines": bench_deadlines,
        "kubernetes": bench_kubernetes,
        "ledger": bench_ledger,
    }
    print(f"{'what':<58} {'figure':>14} {'bare limit':>14} {'share':>7}")
    for name in sys.argv[1:] or every:
        every[name]()


def row(what: str, figure: str, limit: str = "", share: float | None = None) -> None:
    """Print one line of the table."""
    print(f"{what:<58} {figure:>14} {limit:>14} {'' if share is None else f'{share:.0%}':>7}", flush=True)


def bench_match() -> None:
    """One event against N rules, one of which matches, beside a loop over all of them."""
    for count in (10, 1_000, 10_000):
        rules = [
            Rule.model_validate(
                {
                    "name": f"rule-{number}",
                    "match": [f'alertname="Alert{number}"', 'severity="critical"'],
                    "priority": "P0",
                }
            )
            for number in range(count)
        ]
        compiled = compile_rules(rules)
        labels = alert(1, f"Alert{count - 1}")["labels"]
        assert isinstance(labels, dict)
        event = Event(source="bench", name="x", status=Status.FIRING, fingerprint="f", labels=labels)
        scope = Scope({"event": event_view(event)})
        indexed = _per_call(lambda: match(compiled, event, scope), 2_000)  # noqa: B023 - called at once
        loop = _per_call(
            lambda: [one for one in compiled.rules if all(m.matches(labels) for m in one.matchers)],  # noqa: B023
            max(5, 20_000 // count),
        )
        row(f"match one event against {count:,} rules", f"{indexed:.1f} us", f"loop {loop:.0f} us")


def _per_call(call: Callable[[], object], times: int) -> float:
    best = float("inf")
    for _ in range(3):
        begun = time.perf_counter()
        for _ in range(times):
            call()
        best = min(best, (time.perf_counter() - begun) / times)
    return best * 1e6


def bench_start() -> None:
    """From exec to the first answer, and memory at rest, beside a bare server that keeps what it is told."""
    begun = time.perf_counter()
    with bare("durable") as (_, process):
        bare_seconds, bare_memory = time.perf_counter() - begun, memory_mib(process.pid)
    for count in (1, 1_000):
        with target(rules=count, step="log") as service:
            row(f"start-up with {count:,} rules", f"{service.start_seconds:.2f} s", f"{bare_seconds:.2f} s")
            if count == 1:
                row("memory at rest", f"{service.memory_mib():.0f} MiB", f"{bare_memory:.0f} MiB")


def bench_accept() -> None:
    """Durable deliveries per second. Nothing matches, so that only receiving and admitting is measured."""
    for per_delivery in (1, 10):
        bare = {kind: _bare(kind, per_delivery) for kind in ("parse", "durable")}
        with target(rules=1, step="log") as service:
            result = asyncio.run(_saturate(service.port, per_delivery, "Nothing"))
            peak = service.memory_mib()
        limit = bare["durable"]
        row(
            f"durable deliveries/s, {per_delivery} alert(s) each, 16 connections",
            f"{result.per_second:,.0f}/s",
            f"{limit.per_second:,.0f}/s",
            result.per_second / limit.per_second,
        )
        if per_delivery > 1:
            row("  the same in alerts/s", f"{result.per_second * per_delivery:,.0f}/s")
        row("  bare aiohttp, parsed and not kept", "", f"{bare['parse'].per_second:,.0f}/s")
        row(
            "  answer time p50 / p99",
            f"{result.percentile(0.5):.1f}/{result.percentile(0.99):.1f} ms",
            f"{limit.percentile(0.5):.1f}/{limit.percentile(0.99):.1f} ms",
        )
        row("  memory under load", f"{peak:.0f} MiB")


def bench_end_to_end() -> None:
    """Events whose playbook has run and been audited, per second, until the backlog is empty; beside keeping alone."""
    limit = _bare("durable", 1).per_second
    for rules in (1, 1_000):
        with target(rules=rules, step="log") as service:
            begun = time.perf_counter()
            result = asyncio.run(_saturate(service.port, 1, f"Alert{rules - 1}"))
            sent = len(result.times)
            while (done := service.metric("runbookd_runs_total")) < sent and time.perf_counter() - begun < 90:
                time.sleep(0.05)
            rate = done / (time.perf_counter() - begun)
        what = f"event to action done and audited, {rules:,} rules"
        row(what, f"{rate:,.0f}/s", f"{limit:,.0f}/s", rate / limit)


def bench_latency() -> None:
    """From the webhook's first byte to the action's call arriving elsewhere, at 20 events a second."""
    asyncio.run(_latency())


async def _latency() -> None:
    seen: list[float] = []

    async def sink(request: web.Request) -> web.Response:
        arrived = time.time_ns()
        seen.append((arrived - int((await request.json())["sent_ns"])) / 1e6)
        return web.json_response({})

    app = web.Application()
    app.router.add_post("/", sink)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    with bare("forward", url) as (port, _):
        limit = await _paced(port, seen)
    service, stop = await asyncio.to_thread(_start, rules=1, step="sink", sink=url)
    times = await _paced(service.port, seen)
    await asyncio.to_thread(stop)
    await runner.cleanup()
    row(
        f"webhook to first action at 20/s, p50 / p99 (n={len(times.times)})",
        f"{times.percentile(0.5):.1f}/{times.percentile(0.99):.1f} ms",
        f"{limit.percentile(0.5):.1f}/{limit.percentile(0.99):.1f} ms",
    )


async def _paced(port: int, seen: list[float]) -> Result:
    """Send 300 events, 20 a second, and return the times the sink saw, but for the first ones."""
    seen.clear()
    connection = await Connection.open(port)
    for _ in range(300):
        due = time.perf_counter() + 0.05
        body = notification([alert(next(_numbers), "Alert0", time.time_ns())])
        await connection.send(post(HOOK, body, TOKEN))
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
    await asyncio.sleep(0.5)
    connection.close()
    return Result(times=seen[20:])


def bench_burst() -> None:
    """5,000 webhooks over 2,000 new connections at once, and one body of 5 MB."""
    with target(rules=1, step="log") as service:
        requests = [post(HOOK, notification([alert(next(_numbers), "Nothing")]), TOKEN) for _ in range(5_000)]
        result = asyncio.run(burst(service.port, requests, connections=2_000))
        row(
            "5,000 webhooks over 2,000 new connections",
            f"{result.seconds:.1f} s",
            str(result.statuses),
        )
        large = post(HOOK, notification([alert(next(_numbers), "Nothing") for _ in range(5_500)]), TOKEN)
        single = asyncio.run(burst(service.port, [large], connections=1))
        size = f"one body of {len(large) / 1e6:.1f} MB, 5,500 alerts"
        row(size, f"{single.seconds * 1000:.0f} ms", str(single.statuses))


def bench_deadlines() -> None:
    """How late levels are told, of 100,000 pending, under load and after a kill; beside rows claimed, and timers."""
    from tests.bench import deadlines  # noqa: PLC0415 - it reads half of the service

    for what, figure, limit, share in deadlines.figures():
        row(what, figure, limit, share)


def bench_kubernetes() -> None:
    """Reads of 500 pods and 200 Deployments on a real control plane, beside the bare SDK in one page and in pages."""
    from tests.bench import kubernetes  # noqa: PLC0415 - half a second that the other benchmarks need not wait

    reason = kubernetes.missing()
    if reason:
        row("kubernetes", "not measured", reason)
        return
    for one in kubernetes.figures():
        row(
            one.what,
            _read(one.seconds, one.peak),
            _read(one.bare_seconds, one.bare_peak),
            one.bare_seconds / one.seconds,
        )
        if one.paged_seconds is not None and one.paged_peak is not None:
            row("  the same, bare in pages of 100", "", _read(one.paged_seconds, one.paged_peak))


def bench_ledger() -> None:
    """`runbookd audit verify` on 300,000 entries, beside reading and hashing them and no more."""
    ours, postgres, bare = ledger.figures()
    what = f"audit verify, {ledger.ENTRIES:,} entries"
    row(f"{what}, by the clock", f"{ours.wall:,.0f}/s", f"{bare.wall:,.0f}/s", ours.wall / bare.wall)
    row(
        "  the same, per second of processor, with its start",
        f"{ours.processor:,.0f}/s",
        f"{bare.processor:,.0f}/s",
        ours.processor / bare.processor,
    )
    row(
        "  the same on Postgres, whose server works beside it, by the clock",
        f"{postgres.wall:,.0f}/s",
        f"{bare.wall:,.0f}/s",
        postgres.wall / bare.wall,
    )


def _read(seconds: float, peak: int) -> str:
    return f"{seconds * 1000:.0f} ms {peak / 1e6:.1f} MB"


async def _saturate(port: int, per_delivery: int, name: str) -> Result:
    def make(_: int) -> bytes:
        body = notification([alert(next(_numbers), name) for _ in range(per_delivery)])
        return post(HOOK, body, TOKEN)

    prepared = [make(0) for _ in range(int(SECONDS * 8_000 / per_delivery**0.5))]
    return await saturate(
        port, lambda number: prepared[number % len(prepared)], connections=16, seconds=SECONDS
    )


def _bare(kind: str, per_delivery: int) -> Result:
    with bare(kind) as (port, _):
        return asyncio.run(_saturate(port, per_delivery, "Nothing"))


@contextmanager
def bare(kind: str, *sink: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """A bare server for the time of a block: its port, and its process."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.bench.bare", kind, str(Path(folder) / "bare.db"), *sink]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline()), process
        finally:
            process.kill()
            process.wait()


def _start(*, rules: int, step: str, sink: str = "") -> tuple[Target, Callable[[], None]]:
    folder = tempfile.TemporaryDirectory()
    service = Target(Path(folder.name), rules=rules, step=step, sink=sink)

    def stop() -> None:
        service.stop()
        folder.cleanup()

    return service, stop


@contextmanager
def target(*, rules: int, step: str) -> Iterator[Target]:
    """A service for the time of a block."""
    service, stop = _start(rules=rules, step=step)
    try:
        yield service
    finally:
        stop()


if __name__ == "__main__":
    main()
