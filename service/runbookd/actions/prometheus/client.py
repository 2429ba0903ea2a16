"""Asking Prometheus' HTTP API, and its answers as plain values.

https://prometheus.io/docs/prometheus/latest/querying/api/. Queries are sent as POST forms, which have no limit of
length; they change nothing. Prometheus writes samples as texts; NaN and the infinities become null, because no JSON
and no expression knows them, so `count` is what tells an empty answer from one without a number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from pydantic import Field, StringConstraints

from runbookd.actions.base import Context
from runbookd.actions.config import MEBIBYTE
from runbookd.actions.failures import Rejected
from runbookd.actions.fetch import Request, call_api
from runbookd.actions.servers import choose
from runbookd.model.base import Name

MAX_ANSWER = 16 * MEBIBYTE

Promql = Annotated[
    str, StringConstraints(min_length=1, max_length=100_000), Field(description="A PromQL expression.")
]
ServerName = Annotated[
    Name | None,
    Field(description="Which of `actions.prometheus`. null: the only one, or the one named `default`."),
]
MaxSeries = Annotated[
    int, Field(ge=1, le=100_000, description="More series than this fail the step (kind `too_large`).")
]
Labels = Annotated[
    dict[str, str], Field(description="The series' labels, `__name__` among them if there is one.")
]
Warnings = Annotated[list[str], Field(description="What Prometheus warns of, its notes included.")]


async def ask(context: Context, server: str | None, path: str, form: Mapping[str, str]) -> Mapping[str, Any]:
    """The whole answer to a query; raises Rejected or Unavailable with Prometheus' own words."""
    name, endpoint = choose(context.config.prometheus, server, "actions.prometheus")
    request = Request(
        method="POST",
        url=endpoint.url.rstrip("/") + path,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        content=urlencode(form).encode(),
        reads=True,
        max_body=MAX_ANSWER,
    )
    answer = await call_api(context, endpoint, request, f"Prometheus {name!r}")
    if isinstance(answer, dict) and isinstance(answer.get("data"), dict):
        return answer
    message = f"Prometheus {name!r} did not answer as its API does; is {endpoint.url} a Prometheus?"
    raise Rejected(message, kind="unexpected_status")


def warnings_of(answer: Mapping[str, Any]) -> list[str]:
    """Its warnings and informational notes."""
    return [str(text) for text in (*answer.get("warnings", ()), *answer.get("infos", ()))]


def check_count(count: int, most: int) -> None:
    """Raise Rejected (`too_large`) when there are more series than wanted."""
    if count > most:
        message = (
            f"the query gives {count} series, at most {most} are wanted; aggregate, or raise `max_series`"
        )
        raise Rejected(message, kind="too_large")


def number(text: str) -> float | None:
    """A sample's value; None for NaN and the infinities."""
    value = float(text)
    return value if math.isfinite(value) else None


def moment(seconds: float) -> datetime:
    """A sample's time."""
    return datetime.fromtimestamp(seconds, UTC)
