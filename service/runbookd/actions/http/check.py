"""`http.check`: look at a URL and say everything about the answer that is not as expected.

Changes nothing, so there is nothing to undo. An answer that is not as expected fails with the kind `check_failed`,
whatever its status, and is kept as the output; under `verify:` it is then asked again. HTTP semantics:
https://www.rfc-editor.org/rfc/rfc9110.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Literal

from pydantic import Field

from runbookd.actions.base import Action, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.failures import CheckFailed
from runbookd.actions.fetch import Request, fetch, where
from runbookd.actions.http.expect import (
    ExpectedStatus,
    Fields,
    Headers,
    Result,
    Url,
    as_result,
    status_fits,
    status_text,
    unmet_fields,
)
from runbookd.model.action import Repeat, Spec
from runbookd.model.base import Duration
from runbookd.model.durations import format_duration


class Params(BaseParams):
    """Where to look, and what to expect; what is not named is not compared."""

    method: Literal["GET", "HEAD"] = Field(default="GET", description="The HTTP method.")
    url: Url
    headers: Headers = Field(default_factory=dict)
    expect_status: ExpectedStatus = Field(
        default="2xx", description="A status, a class such as `2xx`, or a list of either."
    )
    json_: Fields = Field(default_factory=dict, alias="json")
    header: dict[str, str] = Field(
        default_factory=dict, description="Headers the answer must have, with exactly these values."
    )
    contains: str | None = Field(default=None, description="A text the body must hold. null: any body.")
    max_latency: Duration | None = Field(
        default=None,
        description="The longest the whole answer may take. null: as long as the step's timeout.",
    )


SPEC = Spec(
    name="http.check",
    summary="Look at a URL and compare the answer.",
    mutates=False,
    repeat=Repeat.SAFE,
    undo="Nothing to undo: it changes nothing.",
    timeout=timedelta(seconds=10),
    example={
        "url": "https://shop.example.com/health",
        "expect_status": 200,
        "json": {"status": "ok"},
        "max_latency": "500ms",
    },
)


async def run(params: Params, context: Context) -> Result:
    """Ask, compare, and raise CheckFailed naming all that is not as expected."""
    request = Request(
        method=params.method,
        url=params.url,
        headers=params.headers,
        reads=True,
        redirects=True,
        max_body=context.config.http.max_body,
    )
    result = as_result(await fetch(context, request))
    unmet = list(_unmet(params, result))
    if unmet:
        raise CheckFailed(f"{where(params.method, params.url)}: {'; '.join(unmet)}", result)
    return result


def _unmet(params: Params, result: Result) -> Iterator[str]:
    """Every expectation that does not hold, and what is there instead."""
    if not status_fits(result.status, params.expect_status):
        yield f"status is {result.status}, expected {status_text(params.expect_status)}"
    if params.json_ and result.json_ is None:
        yield "the body is not JSON" + (", or too long to be read whole" if result.truncated else "")
    elif params.json_:
        yield from unmet_fields(result.json_, params.json_)
    for name, wanted in params.header.items():
        found = result.headers.get(name.lower())
        if found != wanted:
            yield (
                f"header {name} is {found!r}, expected {wanted!r}" if found else f"there is no header {name}"
            )
    if params.contains is not None and params.contains not in result.text:
        yield f"the body does not hold {params.contains!r}"
    if params.max_latency is not None and result.elapsed > params.max_latency:
        took, most = format_duration(result.elapsed), format_duration(params.max_latency)
        yield f"the answer took {took}, expected at most {most}"


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run)
