"""What the inside asks of a store: one transaction at a time, and in it a repository per noun.

These docstrings are the specification: every engine does exactly this, and one contract suite holds them to it
(`tests/contract/store/`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from datetime import datetime, timedelta

    from runbookd.model.alert import Alert
    from runbookd.model.event import Delivery, DeliveryState, StoredEvent
    from runbookd.model.incident import Incident, IncidentClock
    from runbookd.model.retention import Kept
    from runbookd.model.run import Evidence, Hold, Listed, Run, StepRecord
    from runbookd.model.work import Work, WorkKind
    from runbookd.ports.ledger import Ledger
    from runbookd.ports.people import Levels, Messages
    from runbookd.ports.world import Trouble

T = TypeVar("T")


class Deliveries(Protocol):
    """Raw deliveries and the events taken from them."""

    async def add(self, delivery: Delivery) -> None:
        """Keep a delivery."""
        ...

    async def get(self, delivery_id: str) -> Delivery | None:
        """Return it, or None."""
        ...

    async def settle(
        self, delivery_id: str, state: DeliveryState, progress: int, reason: str | None = None
    ) -> None:
        """Record how far it has come; `reason` says why a dead letter is one."""
        ...

    async def pending(self) -> tuple[int, datetime | None]:
        """Count the deliveries not yet taken apart, and tell when the oldest came (None when there are none)."""
        ...

    async def dead(self) -> tuple[int, datetime | None]:
        """Count the dead letters, and tell when the newest came (None when there are none)."""
        ...

    async def recent(self, limit: int, state: DeliveryState | None = None) -> list[Delivery]:
        """Newest first."""
        ...

    async def add_event(self, event: StoredEvent) -> None:
        """Keep an event with its outcome."""
        ...

    async def event(self, event_id: str) -> StoredEvent | None:
        """Return it, or None."""
        ...

    async def events(self, limit: int, filters: Mapping[str, str]) -> list[StoredEvent]:
        """Newest first.

        Filters by equality on: source, name, status, outcome, delivery_id, incident_id, fingerprint, rule.
        """
        ...


class Alerts(Protocol):
    """Episodes."""

    async def latest(self, source: str, fingerprint: str) -> Alert | None:
        """Return the open episode, else the one that resolved last, else None."""
        ...

    async def get(self, alert_id: str) -> Alert | None:
        """Return it, or None."""
        ...

    async def save(self, alert: Alert) -> None:
        """Insert or replace by id. At most one open alert per (source, fingerprint); a second raises StoreError."""
        ...

    async def open_of(self, source: str) -> list[Alert]:
        """Every open episode of a source, oldest first."""
        ...

    async def link(self, alert_id: str, incident_id: str) -> None:
        """Make the alert part of the incident, once; it may belong to several (a rule's `continue`)."""
        ...

    async def any_open(self, incident_id: str) -> bool:
        """Whether an episode linked to the incident is open."""
        ...

    async def of_incident(self, incident_id: str) -> list[Alert]:
        """Every episode linked to an incident, oldest first."""
        ...

    async def incidents_of(self, alert_id: str) -> list[str]:
        """Ids of the incidents the alert is linked to, in the order they were linked."""
        ...

    async def count_for(self, rule: str, alert: Alert) -> None:
        """Count the episode for a rule, once."""
        ...

    async def count_episodes(self, rule: str, since: datetime, distinct: str) -> int:
        """Tell how many alerts counted for `rule` were first seen at or after `since` (`distinct="alert"`).

        With `distinct="incident"`: how many incidents those are linked to.
        """
        ...

    async def open_count(self) -> int:
        """Count open episodes."""
        ...


class Incidents(Protocol):
    """Incidents and their clocks."""

    async def open_for(self, rule: str, key: str) -> Incident | None:
        """Return the open incident with this rule and key, or None."""
        ...

    async def get(self, incident_id: str) -> Incident | None:
        """Return it, or None."""
        ...

    async def save(self, incident: Incident) -> None:
        """Insert or replace by id. At most one open incident per (rule, key); a second raises StoreError."""
        ...

    async def recent(self, limit: int, filters: Mapping[str, str]) -> list[Incident]:
        """Newest first. Filters by equality on: state, rule, priority."""
        ...

    async def save_clock(self, clock: IncidentClock) -> None:
        """Insert or replace by (incident, kind)."""
        ...

    async def clocks(self, incident_id: str) -> list[IncidentClock]:
        """Every clock of an incident, nearest deadline first."""
        ...


class Runs(Protocol):
    """Runs, the journal of their steps, their evidence, and what the guards need to know of the past."""

    async def add(self, run: Run) -> bool:
        """Keep a new run; False, and nothing kept, when (alert_id, rule, rung) has one already.

        Runs without an alert are always new.
        """
        ...

    async def get(self, run_id: str) -> Run | None:
        """Return it, or None."""
        ...

    async def save(self, run: Run) -> None:
        """Replace by id."""
        ...

    async def cancel_reason(self, run_id: str) -> str | None:
        """Return why the run is asked to stop; None when it is not, or is not there."""
        ...

    async def recent(self, limit: int, filters: Mapping[str, str]) -> list[Run]:
        """Newest first. Filters by equality on: state, playbook, rule, incident_id, alert_id, target, mode."""
        ...

    async def running_of(self, incident_id: str) -> list[Run]:
        """Every run of the incident that has not ended."""
        ...

    async def last_ended(self, rule: str, key: str, *, acted: bool = False) -> datetime | None:
        """When the latest run of this (rule, key), or that `acted`, ended; refused do not count; None when none did."""
        ...

    async def last_acted(self, target: str) -> datetime | None:
        """When the latest run that intended a mutating call on this target ended, or began if it still runs."""
        ...

    async def started_since(self, rule: str, key: str, since: datetime) -> int:
        """Count runs of this (rule, key) created at or after `since` that run, or changed something."""
        ...

    async def acted_since(self, since: datetime, most: int) -> int:
        """Count runs in act mode over all rules created at or after `since`, no further than `most`.

        Those count that run, or changed something.
        """
        ...

    async def save_step(self, step: StepRecord) -> None:
        """Insert or replace by (run, path, attempt)."""
        ...

    async def steps(self, run_id: str) -> list[StepRecord]:
        """The journal, in the order the rows were first written."""
        ...

    async def add_evidence(self, evidence: Evidence) -> None:
        """Keep it; the same (run, name) again replaces it (a repeated safe step)."""
        ...

    async def evidence(self, run_id: str) -> list[Evidence]:
        """Every piece, in the order it was taken."""
        ...

    async def listed_evidence(self, run_id: str) -> list[Listed]:
        """Every piece without its content, in the same order."""
        ...

    async def add_plan(self, plan_hash: str, text: str) -> None:
        """Keep the frozen playbooks under their hash; once is enough."""
        ...

    async def plan(self, plan_hash: str) -> str | None:
        """Return the text kept under this hash, or None."""
        ...

    async def lock(self, target: str, run_id: str, at: datetime) -> str:
        """Take the target for the run unless another has; return the id of the run that has it now."""
        ...

    async def holder(self, target: str) -> str | None:
        """Return the id of the run that has taken the target, or None."""
        ...

    async def unlock(self, run_id: str) -> None:
        """Let go of the target the run has taken."""
        ...

    async def hold(self, hold: Hold) -> None:
        """Keep the target for people; a hold of the same playbook that is there already stands."""
        ...

    async def holds_of(self, target: str) -> list[Hold]:
        """Return what holds the target for people, oldest first: one for each playbook."""
        ...

    async def holds(self) -> list[Hold]:
        """Every hold, oldest first."""
        ...

    async def release(self, target: str, playbook: str) -> bool:
        """End the hold of a playbook on a target; False when there was none."""
        ...


class WorkQueue(Protocol):
    """Rows of work; see `model/work.py`."""

    async def add(self, kind: WorkKind, ref: str, due_at: datetime, source: str | None = None) -> None:
        """Add a row; one that is there becomes due at the earlier of the two times, its lease untouched.

        `source` is a delivery's, which decides its lane; None for all that is no delivery.
        """
        ...

    async def claim(
        self, owner: str, now: datetime, lease: timedelta, limit: int, lane: str | None = None
    ) -> list[Work]:
        """Take up to `limit` due rows that nobody holds (no lease, or one that has run out), oldest due first.

        `lane` None takes them from all lanes. Kinds that a newer version added are left alone. Each taken row
        gets the owner, `epoch + 1` and `now + lease`.
        """
        ...

    async def take(
        self, kind: WorkKind, ref: str, owner: str, now: datetime, lease: timedelta
    ) -> Work | None:
        """Claim one named row whatever its due time; None when it is not there or somebody holds it."""
        ...

    async def hold(self, work: Work, now: datetime, lease: timedelta) -> None:
        """Extend the lease. Raises LeaseLost when `work`'s owner and epoch are no longer the row's: the fence.

        Every unit of work that writes under a claim calls this, `finish` or `reschedule`, once.
        """
        ...

    async def finish(self, work: Work) -> None:
        """Delete the row, unless it was made due again since the claim: then only release it. Raises LeaseLost."""
        ...

    async def reschedule(self, work: Work, due_at: datetime, attempts: int = 0) -> None:
        """Release the row until `due_at` (or an earlier wake-up made since the claim). Raises LeaseLost."""
        ...

    async def inherit(self, replica: str) -> int:
        """Release every row held by an earlier life of this replica (owner `replica/...`); returns how many.

        Only for who knows that no other process of that name lives.
        """
        ...

    async def next_due(self) -> datetime | None:
        """When the nearest row that nobody holds is due (or the nearest lease runs out); None when there is none."""
        ...

    async def overdue(self, now: datetime) -> tuple[int, datetime | None]:
        """Count the rows due before `now` that no claim holds, and tell when the oldest was due."""
        ...


class Retention(Protocol):
    """What is old enough to be forgotten. Nothing that something open still refers to is among it."""

    async def old(self, kind: Kept, before: datetime, limit: int) -> list[str]:
        """Ids of up to `limit` rows of a kind that ended before a time, those that ended first coming first."""
        ...

    async def forget(self, kind: Kept, ids: Sequence[str]) -> None:
        """Delete these rows, and the rows that are part of them."""
        ...


class Switches(Protocol):
    """Service-wide switches, shared by everyone on the database. `paused` is the one that stops all writes."""

    async def get(self, name: str) -> str | None:
        """Return the value, or None when it is not set."""
        ...

    async def beginning(self, prefix: str) -> dict[str, str]:
        """Return every switch that is set and whose name begins so, by name."""
        ...

    async def set(self, name: str, value: str | None) -> None:
        """Set it; None removes it."""
        ...


class Tx(Protocol):
    """One transaction, as seen by a unit of work."""

    @property
    def deliveries(self) -> Deliveries: ...
    @property
    def alerts(self) -> Alerts: ...
    @property
    def incidents(self) -> Incidents: ...
    @property
    def levels(self) -> Levels: ...
    @property
    def messages(self) -> Messages: ...
    @property
    def runs(self) -> Runs: ...
    @property
    def work(self) -> WorkQueue: ...
    @property
    def ledger(self) -> Ledger: ...
    @property
    def switches(self) -> Switches: ...
    @property
    def retention(self) -> Retention: ...


class Store(Protocol):
    """The memory."""

    async def write(self, unit: Callable[[Tx], Awaitable[T]]) -> T:
        """Run the unit in a transaction and return its answer once it is on disk.

        All of the unit is kept, or none: an exception inside it undoes it and is raised here. Units of different
        callers may be committed together. A unit awaits nothing but its `tx`, and may be run again from the
        start. Raises StoreUnavailable when the database cannot take writes for now.
        """
        ...

    async def read(self, unit: Callable[[Tx], Awaitable[T]]) -> T:
        """Run a unit that only reads, on one consistent state; it does not wait for writers."""
        ...

    async def attend(self, name: str, wake: Callable[[], None], trouble: Trouble | None = None) -> bool:
        """Be the replica of this name until `close`; whether no other living process has the name.

        `wake` is called when another process left work to do; now and then for nothing or not at all, so whoever waits
        for work looks by itself as well. `trouble` is told every few seconds what keeps us from hearing of work or
        from having the name; None when nothing does.
        """
        ...

    async def time(self) -> datetime | None:
        """Return the time all replicas go by; None where one machine has it for itself. Raises StoreUnavailable."""
        ...

    async def close(self) -> None:
        """Finish what was queued, and let go of the database."""
        ...
