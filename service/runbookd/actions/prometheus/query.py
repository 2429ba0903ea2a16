"""`prometheus.query`: the value of a PromQL expression at one moment.

Changes nothing, so there is nothing to undo.
https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import AwareDatetime, BaseModel, Field

from runbookd.actions.base import Action, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.actions.failures import Rejected
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


class Params(BaseParams):
    """What to ask, of whom, and for when."""

    promql: Promql
    server: ServerName = None
    at: AwareDatetime | None = Field(default=None, description="The moment asked about. null: now.")
    max_series: MaxSeries = 1000


class Series(BaseModel):
    """One series' value."""

    labels: Labels
    value: float | None = Field(description="null for NaN and the infinities.")
    at: datetime = Field(description="The moment the value is of.")


class Result(BaseResult):
    """What the expression gives."""

    value: float | None = Field(
        description="The first series' value; null when there is none, or it is no number."
    )
    series: list[Series] = Field(description="Every series; a scalar is one without labels.")
    count: int = Field(description="How many series there are.")
    warnings: Warnings


SPEC = Spec(
    name="prometheus.query",
    summary="Ask Prometheus for the value of an expression at one moment.",
    mutates=False,
    repeat=Repeat.SAFE,
    undo="Nothing to undo: it changes nothing.",
    timeout=timedelta(seconds=30),
    example={"promql": 'sum(rate(http_requests_total{code=~"5.."}[5m]))'},
)


async def run(params: Params, context: Context) -> Result:
    """Ask; raises Rejected with Prometheus' words when the expression is wrong."""
    form = {"query": params.promql, "timeout": f"{context.call.timeout.total_seconds():.3f}"}
    if params.at is not None:
        form["time"] = f"{params.at.timestamp():.3f}"
    answer = await ask(context, params.server, "/api/v1/query", form)
    series = _series(answer["data"])
    check_count(len(series), params.max_series)
    return Result(
        value=series[0].value if series else None,
        series=series,
        count=len(series),
        warnings=warnings_of(answer),
    )


def _series(data: Mapping[str, Any]) -> list[Series]:
    """The series of a vector or scalar answer; raises Rejected for a range, which has no one value."""
    kind, found = data.get("resultType"), data.get("result")
    if kind == "scalar" and found:
        found = [{"metric": {}, "value": found}]
    elif kind != "vector" or found is None:
        message = (
            f"the expression gives a {kind}, not a value at one moment; use prometheus.query_range for ranges"
        )
        raise Rejected(message, kind="invalid")
    return [
        # A native histogram has no single value.
        Series(labels=one["metric"], at=moment(when), value=number(value))
        for one in found
        for when, value in [one.get("value", (one.get("histogram", (0,))[0], "NaN"))]
    ]


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run)
