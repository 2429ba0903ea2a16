"""A watchdog: an alert that always fires, so that its silence tells that its sender is not heard any more."""

from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from runbookd.model.base import Duration, Name


class Watchdog(BaseModel):
    """An alert that always fires, as `Watchdog` of kube-prometheus does; its silence is an event of its own.

    https://runbooks.prometheus-operator.dev/runbooks/general/watchdog/
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    alert: str = Field(default="Watchdog", min_length=1, description="The name of the alert.")
    source: Literal["alertmanager"] = Field(default="alertmanager", description="Who tells of it.")
    every: Duration = Field(
        default=timedelta(minutes=5),
        description="How often it is told: the `group_interval` of its route. Twice as long without it is silence.",
    )
    priority: Name = Field(
        default="P1",
        description="The label `priority` of the event `WatchdogMissing`; the shipped rules know P0 to P3 (as P2).",
    )

    @property
    def name(self) -> str:
        """What tells it from others."""
        return f"{self.source}/{self.alert}"


class Listening(BaseModel):
    """What is known of a watchdog. It is kept, so that restarts change nothing and replicas share it.

    `since` is when somebody began to listen without a gap, `looked` when they last did. `heard` is when it was heard
    last, None for never. `missing` is when it was found to be silent, None while it is not.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)
    since: datetime
    looked: datetime
    heard: datetime | None = None
    missing: datetime | None = None
