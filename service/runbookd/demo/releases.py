"""What the demo shop knows: its releases, which one serves, and every change asked of it.

Times are seconds since the epoch, handed in by the caller. Nothing here waits or touches the disk, so each
change is whole: a call is looked up by its key, applied and recorded without anything coming between.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from runbookd.errors import RunbookdError

Quality = Literal["good", "bad"]
Phase = Literal["received", "applied", "repeated", "refused"]

DEPLOY = "/admin/releases"
ROLL_BACK = "/admin/rollback"


class Refusal(RunbookdError):
    """The demo shop does not carry a call out; `status` is the HTTP status of its answer."""

    def __init__(self, status: int, message: str) -> None:
        """Keep the status beside the message, which says what was wrong and what to do instead."""
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class Release:
    """One release of the shop, and what its users have seen of it.

    `good` is True once it has served users without an error for the proving time, False from its first error
    on until it proves itself again, None while nobody can tell. `clean_since` is the first of the answers now
    being counted towards the proving time; None when there is none. `served` and `failed` count answers to
    users since this process started; they are not kept, as a Prometheus counter must restart from zero.
    """

    name: str
    quality: Quality
    deployed_at: float
    good: bool | None = None
    clean_since: float | None = None
    served: int = 0
    failed: int = 0


@dataclass(slots=True)
class Call:
    """One deploy or rollback as it was asked for, kept in the order of arrival.

    `phase` is received (not decided yet), applied, repeated (its key had been applied before: the recorded
    answer was given and nothing was done) or refused. `status` and `answer` are None until it is decided.
    `answered` is False while, or when for ever, the caller has not been sent the answer.
    """

    at: float
    path: str
    key: str | None
    body: dict[str, Any]
    phase: Phase = "received"
    status: int | None = None
    answer: dict[str, Any] | None = None
    answered: bool = False


@dataclass(slots=True)
class Shop:
    """The releases in the order of their deployment, the one that serves, and every mutating call."""

    current: str
    changed_at: float
    releases: list[Release]
    proven_after: float
    calls: list[Call] = field(default_factory=list)

    @classmethod
    def opened(cls, now: float, *, proven_after: float, release: str = "v1") -> Shop:
        """A new shop that serves one sound release, not proven yet."""
        return cls(release, now, [Release(release, "good", now)], proven_after)

    @classmethod
    def restored(cls, kept: dict[str, Any], *, proven_after: float) -> Shop:
        """The shop that `kept()` described. Raises KeyError, TypeError when it is not such a description."""
        releases = [Release(**release) for release in kept["releases"]]
        calls = [Call(**call) for call in kept["calls"]]
        return cls(kept["current"], kept["changed_at"], releases, proven_after, calls)

    def kept(self) -> dict[str, Any]:
        """What survives a restart, as JSON values: all but the counters and the proving now under way."""
        fresh = {"clean_since": None, "served": 0, "failed": 0}
        return {
            "current": self.current,
            "changed_at": self.changed_at,
            "releases": [asdict(release) | fresh for release in self.releases],
            "calls": [asdict(call) for call in self.calls],
        }

    @property
    def serving(self) -> Release:
        """The release users see now."""
        return self._release(self.current)

    @property
    def last_good(self) -> str | None:
        """The newest release, other than the current one, that is `good`; None when there is none.

        Newest is the one deployed last. A release that was replaced before it had served without error for
        `proven_after` seconds is not offered, nor is one whose last proving ended in an error.
        """
        proven = [release.name for release in self.releases if release.good and release.name != self.current]
        return proven[-1] if proven else None

    @property
    def rollbacks(self) -> int:
        """How many rollbacks were carried out; a repeat under a new key, or under none, counts again."""
        return sum(call.path == ROLL_BACK and call.phase == "applied" for call in self.calls)

    @property
    def repeated_keys(self) -> int:
        """How many calls were answered from the record because their key had been applied before."""
        return sum(call.phase == "repeated" for call in self.calls)

    def serve(self, now: float) -> tuple[int, bool]:
        """Answer one user: the HTTP status, and whether the verdict on the release changed with it."""
        release = self.serving
        before = release.good
        if release.quality == "bad":
            release.failed += 1
            release.clean_since = None
            release.good = False
            return 500, before is not False
        release.served += 1
        if release.clean_since is None:
            release.clean_since = now
        if now - release.clean_since >= self.proven_after:
            release.good = True
        return 200, release.good is not before

    def receive(self, path: str, key: str | None, body: dict[str, Any], now: float) -> Call:
        """Note that a change was asked for; `decide` or `refuse` it next."""
        call = Call(now, path, key, body)
        self.calls.append(call)
        return call

    def decide(self, call: Call, now: float) -> None:
        """Carry out a received call, or answer it from the record when its key was applied before.

        The rules are those of the Idempotency-Key header (draft-ietf-httpapi-idempotency-key-header): a key
        belongs to one request, so with another body it is refused (422); a refusal is not recorded under it.
        """
        try:
            first = self._applied_under(call)
            call.phase = "applied" if first is None else "repeated"
            if first is None:
                call.answer = self._change(call, now)
                call.status = 201 if call.path == DEPLOY else 200
            else:
                call.answer, call.status = first.answer, first.status
        except Refusal as refusal:
            self.refuse(call, refusal.status, str(refusal))

    def refuse(self, call: Call, status: int, message: str) -> None:
        """Decide a call without doing anything."""
        call.phase, call.status, call.answer = "refused", status, {"error": message}

    def _applied_under(self, call: Call) -> Call | None:
        if call.key is None:
            return None
        first = next((c for c in self.calls if c.key == call.key and c.phase == "applied"), None)
        if first is not None and (first.path, first.body) != (call.path, call.body):
            raise Refusal(422, f"Idempotency-Key {call.key!r} was used for another request; use a new key")
        return first

    def _change(self, call: Call, now: float) -> dict[str, Any]:
        before = self.current
        if call.path == DEPLOY:
            name = call.body["name"]
            if any(release.name == name for release in self.releases):
                raise Refusal(409, f"release {name!r} exists; deploy another name, or roll back to it")
            self.releases.append(Release(name, call.body["quality"], now))
        else:
            name = self._release(call.body["to"]).name
        if name != before:
            self.current, self.changed_at = name, now
            self.serving.clean_since = None
        return {"current": name, "previous": before, "changed": name != before}

    def _release(self, name: str) -> Release:
        found = next((release for release in self.releases if release.name == name), None)
        if found is None:
            raise Refusal(404, f"no release {name!r}; GET {DEPLOY} lists them")
        return found
