"""The kinds of rows that are forgotten by age. The ledger's are not among them: they are archived first."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta


class Kept(StrEnum):
    """A kind of row, each with what is part of it. In this order, since the later are referred to by the earlier.

    `DELIVERIES`: with their bodies. `RUNS`: with steps and evidence. `INCIDENTS`: with their clocks,
    levels and messages. `ACTS`: the keys by which the same act told twice is done once.
    `MESSAGES`: those of no incident.
    """

    DELIVERIES = "deliveries"
    EVENTS = "events"
    RUNS = "runs"
    ALERTS = "alerts"
    INCIDENTS = "incidents"
    ACTS = "acts"
    MESSAGES = "messages"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ages:
    """How old a row may become, by its kind, and an entry of the ledger; None is for ever."""

    rows: Mapping[Kept, timedelta | None]
    ledger: timedelta | None
