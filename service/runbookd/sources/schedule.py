"""Schedules: times that have come, told in the words of Alertmanager's webhook, so that one reader reads both."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from runbookd.sources import alertmanager
from runbookd.stages.normalize import DEFAULT_LIMITS, Limits
from runbookd.stages.schedule import SOURCE

if TYPE_CHECKING:
    from runbookd.model.event import Notification


def parse(body: bytes, limits: Limits = DEFAULT_LIMITS) -> Notification:
    """Understand what a schedule told. Raises PayloadError."""
    told = alertmanager.parse(body, limits)
    return replace(told, events=tuple(replace(event, source=SOURCE) for event in told.events))
