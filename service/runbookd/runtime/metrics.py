"""Metrics, in a registry of their own. Names begin with `runbookd_`; labels have few values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from runbookd import __version__
from runbookd.model.escalation import MessageState
from runbookd.units.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbookd.model.escalation import Message

_LATENESS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
"""Seconds. A level is told within one second of its time while the service is up; an outage is minutes."""
_SENDING = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600)
"""Seconds. A page is tried for a minute, other messages for an hour."""


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
        self.beats = Counter(
            "runbookd_heartbeats",
            "Signs of life to the service elsewhere (`heartbeat.url`): alive, trouble, or why it did not get through.",
            ["result"],
            registry=registry,
        )
        self.attendance_failures = Counter(
            "runbookd_attendance_failures",
            "Times the replica, asked every 5 s, did not hear of work others leave, or had not its name to itself.",
            registry=registry,
        )
        self._of_the_ledger(registry)
        self.queue_age = Gauge(
            "runbookd_queue_age_seconds", "Age of the oldest delivery not yet admitted.", registry=registry
        )
        self.overdue = Gauge(
            "runbookd_overdue_seconds",
            "Lateness of the most overdue row of work, whatever its kind, that nobody is at.",
            registry=registry,
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
        self._of_people(registry)
        Gauge("runbookd_build_info", "Always 1.", ["version"], registry=registry).labels(__version__).set(1)

    def _of_the_ledger(self, registry: CollectorRegistry) -> None:
        """Register what is told of archives and checkpoints."""
        self._archive_failures = Counter(
            "runbookd_archive_failures",
            "Times the ledger was to be archived and could not be; it is kept whole, and tried again.",
            registry=registry,
        )
        self.checkpoint_age = Gauge(
            "runbookd_checkpoint_age_seconds",
            "Since the last time that every chain of the ledger was signed, in every place; 0 without a key.",
            registry=registry,
        )
        self.checkpoint_failures = Counter(
            "runbookd_checkpoint_failures",
            "Checkpoints not made: the place that failed (file, s3), `store`, or `changed` for a chain that was.",
            ["reason"],
            registry=registry,
        )
        for reason in ("changed", "file", "s3", "store"):  # from 0, so that the first one is seen as a rise
            self.checkpoint_failures.labels(reason)

    def _of_people(self, registry: CollectorRegistry) -> None:
        """Register what tells how soon people are reached."""
        self._breaches = Counter(
            "runbookd_clock_breaches",
            "Response-time clocks that ran out, by kind; not of what is only observed.",
            ["clock"],
            registry=registry,
        )
        self._escalations = Counter(
            "runbookd_escalations",
            "Incidents handed to people, by the first reason and priority.",
            ["reason", "priority"],
            registry=registry,
        )
        self._levels = Histogram(
            "runbookd_level_lateness_seconds",
            "How long after it was due a level of an escalation was told.",
            buckets=_LATENESS,
            registry=registry,
        )
        self._messages = Counter(
            "runbookd_messages",
            "Messages settled: sent, failed, or dropped because they were not needed any more.",
            ["channel", "kind", "state"],
            registry=registry,
        )
        self._sending = Histogram(
            "runbookd_message_seconds",
            "Time from the making of a message to its having been sent, by channel.",
            ["channel"],
            buckets=_SENDING,
            registry=registry,
        )
        self.messages_waiting = Gauge(
            "runbookd_messages_waiting", "Messages on their way.", registry=registry
        )
        self.message_age = Gauge(
            "runbookd_message_age_seconds", "Age of the oldest message on its way.", registry=registry
        )

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

    def level_told(self, late: float) -> None:
        """Measure its lateness."""
        self._levels.observe(late)

    def messaged(self, message: Message) -> None:
        """Count it, and measure how long it took if it was sent."""
        self._messages.labels(message.channel.value, message.kind.value, message.state.value).inc()
        if message.state is MessageState.SENT and message.settled_at is not None:
            seconds = (message.settled_at - message.created_at).total_seconds()
            self._sending.labels(message.channel.value).observe(seconds)

    def archiving_failed(self) -> None:
        """Count it."""
        self._archive_failures.inc()
