"""Ledger entries: what happened, in order, each bound to the one before by its hash."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


class Stage(StrEnum):
    """The nine words: stage files, log field, metric label, ledger kind, headings of the docs, names of tests."""

    RECEIVE = "receive"
    NORMALIZE = "normalize"
    ADMIT = "admit"
    MATCH = "match"
    PLAN = "plan"
    EXECUTE = "execute"
    VERIFY = "verify"
    ESCALATE = "escalate"
    AUDIT = "audit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Something to be written to the ledger. `what` is a named reason; `detail` says the rest, without secrets.

    `actor` is `runbookd`, or who asked (`cli:NAME`, a door's name). Ids are None where there is none.
    """

    at: datetime
    stage: Stage
    what: str
    actor: str = "runbookd"
    delivery_id: str | None = None
    event_id: str | None = None
    incident_id: str | None = None
    run_id: str | None = None
    detail: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """An entry as it stands in the ledger. `text` is the canonical JSON that was hashed; chains are independent.

    `hash` = SHA-256 over the previous hash and `text`; the first entry of a chain has 64 zeros before it.
    """

    chain: str
    seq: int
    text: str
    previous: str
    hash: str
    entry: Entry


class LedgerRow(NamedTuple):
    """A ledger entry as its row stands in the database, not understood: what a check of a million of them needs."""

    chain: str
    seq: int
    text: str
    previous: str
    hash: str
    stage: str
    what: str
    delivery_id: str | None
    event_id: str | None
    incident_id: str | None
    run_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """Where what is left of a chain begins: after entry `seq`, whose hash is `hash`.

    The entries up to it are in an archive; `seal` is the signed line that archive ends with.
    """

    chain: str
    seq: int
    hash: str
    seal: str
