"""`alertmanager.get_alerts`: the alerts Alertmanager knows now.

Changes nothing, so there is nothing to undo.
https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml (GET /alerts)
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, Field

from runbookd.actions.alertmanager.client import ServerName, ask_list, read_matchers
from runbookd.actions.base import Action, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.model.action import Repeat, Spec


class Params(BaseParams):
    """Which alerts."""

    server: ServerName = None
    filters: list[str] = Field(
        default_factory=list,
        description='Matchers that all hold, such as `severity="critical"`. Empty: every alert.',
    )
    active: bool = Field(default=True, description="Include alerts that are neither silenced nor inhibited.")
    silenced: bool = Field(default=True, description="Include silenced alerts.")
    inhibited: bool = Field(default=True, description="Include inhibited alerts.")


class Alert(BaseModel):
    """One alert as Alertmanager knows it."""

    fingerprint: str = Field(description="Alertmanager's fingerprint of the labels.")
    labels: dict[str, str] = Field(description="Its labels.")
    annotations: dict[str, str] = Field(description="Its annotations.")
    state: str = Field(description="`active`, `suppressed` or `unprocessed`.")
    starts_at: datetime = Field(description="When it began to fire.")
    ends_at: datetime = Field(description="When it counts as resolved unless it is sent again.")
    updated_at: datetime = Field(description="When it was last sent.")
    silenced_by: list[str] = Field(description="Ids of silences that hold it back.")
    inhibited_by: list[str] = Field(description="Fingerprints of alerts that hold it back.")
    url: str = Field(description="Where it comes from (`generatorURL`); empty when the sender did not say.")


class Result(BaseResult):
    """The alerts."""

    alerts: list[Alert] = Field(description="Sorted by the moment they began to fire.")
    count: int = Field(description="How many there are.")


SPEC = Spec(
    name="alertmanager.get_alerts",
    summary="List the alerts Alertmanager knows.",
    mutates=False,
    repeat=Repeat.SAFE,
    undo="Nothing to undo: it changes nothing.",
    timeout=timedelta(seconds=15),
    example={"filters": ['severity="critical"'], "silenced": False},
)


async def run(params: Params, context: Context) -> Result:
    """List them; raises Rejected when a filter is written wrongly."""
    filters = [("filter", str(matcher)) for matcher in read_matchers(params.filters)]
    kinds = [(name, str(getattr(params, name)).lower()) for name in ("active", "silenced", "inhibited")]
    found = await ask_list(context, params.server, "/alerts", [*filters, *kinds])
    alerts = sorted((_alert(one) for one in found), key=lambda alert: (alert.starts_at, alert.fingerprint))
    return Result(alerts=alerts, count=len(alerts))


def _alert(found: dict[str, Any]) -> Alert:
    status = found["status"]
    return Alert(
        fingerprint=found["fingerprint"],
        labels=found["labels"],
        annotations=found["annotations"],
        state=status["state"],
        starts_at=found["startsAt"],
        ends_at=found["endsAt"],
        updated_at=found["updatedAt"],
        silenced_by=status["silencedBy"],
        inhibited_by=status["inhibitedBy"],
        url=found.get("generatorURL", ""),
    )


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run)
