"""Metrics, in a registry of their own. Names begin with `runbookd_`; labels have few values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from runbookd import __version__
from runbookd.units.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Mapping


class Metrics(Watch):
    """Counts what the pipeline tells."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register every metric."""
        self._deliveries = Counter(
            "runbookd_deliveries",
            "Deliveries kept, by source and result.",
            ["source", "result"],
            registry=registry,
        )
        self._events = Counter(
            "runbookd_events", "Events admitted, by outcome.", ["outcome"], registry=registry
        )
        self._calls = Histogram(
            "runbookd_action_seconds",
            "Time of calls of actions, by action and outcome.",
            ["action", "state"],
            registry=registry,
        )
        self._runs = Counter(
            "runbookd_runs", "Runs ended, by playbook and state.", ["playbook", "state"], registry=registry
        )
        self._breaches = Counter(
            "runbookd_clock_breaches",
            "Response-time clocks that ran out, by kind.",
            ["clock"],
            registry=registry,
        )
        self._escalations = Counter(
            "runbookd_escalations",
            "Incidents handed to people, by the first reason and priority.",
            ["reason", "priority"],
            registry=registry,
        )
        self.queue_age = Gauge(
            "runbookd_queue_age_seconds", "Age of the oldest delivery not yet admitted.", registry=registry
        )
        self.overdue = Gauge(
            "runbookd_overdue_seconds", "Lateness of the most overdue row of work.", registry=registry
        )
        self.heartbeat = Gauge(
            "runbookd_scheduler_heartbeat_timestamp_seconds",
            "When the scheduler last turned.",
            registry=registry,
        )
        self.paused = Gauge(
            "runbookd_paused", "1 while the switch stops all mutating calls.", registry=registry
        )
        self.braked = Gauge(
            "runbookd_storm_braked",
            "1 while it is the storm brake that stops all mutating calls; a person resumes.",
            registry=registry,
        )
        self.reloads = Counter(
            "runbookd_reloads", "Reloads of rules and playbooks, by result.", ["result"], registry=registry
        )
        Gauge("runbookd_build_info", "Always 1.", ["version"], registry=registry).labels(__version__).set(1)

    def received(self, source: str, result: str) -> None:
        """Count a delivery."""
        self._deliveries.labels(source, result).inc()

    def admitted(self, outcomes: Mapping[str, int]) -> None:
        """Count events."""
        for outcome, count in outcomes.items():
            self._events.labels(outcome).inc(count)

    def called(self, action: str, state: str, seconds: float) -> None:
        """Time a call."""
        self._calls.labels(action, state).observe(seconds)

    def ended(self, playbook: str, state: str) -> None:
        """Count a run."""
        self._runs.labels(playbook, state).inc()

    def breached(self, kind: str) -> None:
        """Count a breach."""
        self._breaches.labels(kind).inc()

    def escalated(self, reason: str, priority: str) -> None:
        """Count an escalation."""
        self._escalations.labels(reason, priority).inc()
