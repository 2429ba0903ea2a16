"""`prometheus.query_range`: the values of a PromQL expression over a stretch of time.

Changes nothing, so there is nothing to undo.
https://prometheus.io/docs/prometheus/latest/querying/api/#range-queries
"""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import AwareDatetime, BaseModel, Field, model_validator

from runbookd.actions.base import Action, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.actions.prometheus.client import (
    Labels,
    MaxSeries,
    Promql,
    ServerName,
    Warnings,
    ask,
    check_count,
    moment,
    number,
    warnings_of,
)
from runbookd.model.action import Repeat, Spec
from runbookd.model.base import Duration


class Params(BaseParams):
    """What to ask, of whom, from when to when, and how finely."""

    promql: Promql
    server: ServerName = None
    start: AwareDatetime | None = Field(
        default=None, description="The first moment. null: `last` before `end`."
    )
    end: AwareDatetime | None = Field(default=None, description="The last moment. null: now.")
    last: Duration = Field(
        default="1h", validate_default=True, description="How far back from `end`, when there is no `start`."
    )
    step: Duration = Field(default="1m", validate_default=True, description="The time between two values.")
    max_series: MaxSeries = 1000

    @model_validator(mode="after")
    def _forward(self) -> Params:
        if self.start is not None and self.end is not None and self.end < self.start:
            message = "`end` is before `start`"
            raise ValueError(message)
        if self.step <= timedelta(0):
            message = "`step` must be longer than nothing"
            raise ValueError(message)
        return self


class Sample(BaseModel):
    """One value of a series."""

    at: datetime = Field(description="The moment the value is of.")
    value: float | None = Field(description="null for NaN and the infinities.")


class Series(BaseModel):
    """One series' values, oldest first."""

    labels: Labels
    values: list[Sample] = Field(description="Its values; moments without one are left out.")


class Result(BaseResult):
    """What the expression gives."""

    value: float | None = Field(description="The first series' latest value; null when there is none.")
    series: list[Series] = Field(description="Every series.")
    count: int = Field(description="How many series there are.")
    warnings: Warnings


SPEC = Spec(
    name="prometheus.query_range",
    summary="Ask Prometheus for the values of an expression over time.",
    mutates=False,
    repeat=Repeat.SAFE,
    undo="Nothing to undo: it changes nothing.",
    timeout=timedelta(seconds=60),
    example={"promql": "up", "last": "30m", "step": "30s"},
)


async def run(params: Params, context: Context) -> Result:
    """Ask; raises Rejected with Prometheus' words when the expression is wrong or the step too fine."""
    end = params.end or context.now()
    start = params.start or end - params.last
    form = {
        "query": params.promql,
        "start": f"{start.timestamp():.3f}",
        "end": f"{end.timestamp():.3f}",
        "step": f"{params.step.total_seconds():.3f}",
        "timeout": f"{context.call.timeout.total_seconds():.3f}",
    }
    answer = await ask(context, params.server, "/api/v1/query_range", form)
    found = answer["data"].get("result") or []
    check_count(len(found), params.max_series)
    series = [
        Series(
            labels=one["metric"],
            values=[Sample(at=moment(when), value=number(value)) for when, value in one.get("values", ())],
        )
        for one in found
    ]
    latest = series[0].values[-1:] if series else []
    return Result(
        value=latest[0].value if latest else None,
        series=series,
        count=len(series),
        warnings=warnings_of(answer),
    )


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run)
