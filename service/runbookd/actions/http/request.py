"""`http.request`: call any HTTP API.

Changes whatever the called API changes; GET, HEAD and OPTIONS change nothing
(https://www.rfc-editor.org/rfc/rfc9110#section-9.2.1). Undone by the request the step names under `undo`, if any.

POST and PATCH carry an `Idempotency-Key` header, the same for every attempt at the step
(https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/). Whether the API heeds it is the API's
affair, so after a crash they are repeated only if the step says `repeat: safe`, or names a `probe` that finds
nothing done. PUT and DELETE are repeated (RFC 9110 section 9.2.2). Redirects are followed on the same host, and
only for requests that read.

What it changed is on record where the step says it: when `undo` goes to the same address with the same method, the
JSON of the request stands for what is set, and that of `undo` for what stood there before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Literal

from pydantic import Field, model_validator

from runbookd.actions.base import Action, AnyValue, Change, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.config import MEBIBYTE, ActionsConfig
from runbookd.actions.failures import NOT_UNDOABLE, Rejected
from runbookd.actions.fetch import Answer, Request, fetch, status_failure, where
from runbookd.actions.http.expect import (
    READS,
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
from runbookd.language.values import utc_text
from runbookd.model.action import Probed, Repeat, Spec
from runbookd.model.durations import format_duration

Method = Literal["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]

_REPEATABLE = READS | {"PUT", "DELETE"}
_KEYED = frozenset({"POST", "PATCH"})


class Sending(BaseParams):
    """One request."""

    method: Method = Field(default="GET", description="The HTTP method.")
    url: Url
    headers: Headers = Field(default_factory=dict)
    json_: AnyValue = Field(default=None, alias="json", description="A body to send as JSON. null: none.")
    body: str | None = Field(default=None, description="A body to send as it is. null: none.")
    expect_status: ExpectedStatus = Field(
        default="2xx",
        description="What counts as success: a status, a class such as `2xx`, or a list of either.",
    )

    @model_validator(mode="after")
    def _one_body(self) -> Sending:
        if self.json_ is not None and self.body is not None:
            message = "give either `json` or `body`"
            raise ValueError(message)
        return self


class Probe(BaseParams):
    """A GET that tells whether the request took effect: it did when the answer is as expected here."""

    url: Url
    headers: Headers = Field(default_factory=dict)
    status: ExpectedStatus = Field(default="2xx", description="The status if it took effect.")
    json_: Fields = Field(default_factory=dict, alias="json")


class Params(Sending):
    """One request, and what may be done when its answer never comes."""

    max_body: int = Field(
        default=MEBIBYTE,
        ge=1,
        description="Bytes of the answer to keep; `actions.http.max_body` in the settings is the most.",
    )
    idempotency_key: bool | None = Field(
        default=None, description="Send `Idempotency-Key`. null: for POST and PATCH only."
    )
    repeat: Literal["never", "safe", "probe"] | None = Field(
        default=None,
        description="What a crash in the middle allows. null: `probe` if one is given, `safe` for all methods "
        "but POST and PATCH, else `never`.",
    )
    probe: Probe | None = Field(
        default=None, description="How to see whether it took effect. null: it cannot be."
    )
    undo: Sending | None = Field(
        default=None, description="The request that reverses it. null: there is none."
    )

    @model_validator(mode="after")
    def _probe_is_there(self) -> Params:
        if self.repeat == "probe" and self.probe is None:
            message = "`repeat: probe` needs a `probe`"
            raise ValueError(message)
        return self


SPEC = Spec(
    name="http.request",
    summary="Call an HTTP API.",
    mutates=True,
    repeat=Repeat.NEVER,
    undo="The request named under `undo`, if the step names one.",
    undoable=True,
    timeout=timedelta(seconds=30),
    example={
        "method": "POST",
        "url": "https://shop.example.com/admin/rollback",
        "headers": {"Authorization": "Bearer ${secret.shop_token}"},
        "json": {"to": "${steps.releases.json.last_good}"},
        "probe": {
            "url": "https://shop.example.com/admin/releases",
            "json": {"current": "${steps.releases.json.last_good}"},
        },
        "undo": {
            "method": "POST",
            "url": "https://shop.example.com/admin/rollback",
            "json": {"to": "${steps.releases.json.current}"},
        },
    },
)


def mutates(params: Mapping[str, object], config: ActionsConfig) -> bool:
    """Everything but the safe methods does."""
    return _method(params) not in READS


def repeats(params: Mapping[str, object], config: ActionsConfig) -> Repeat:
    """What the step says; else by its probe, else by its method."""
    said = params.get("repeat")
    if said is not None:
        return Repeat(said) if isinstance(said, str) and said in set(Repeat) else Repeat.NEVER
    if params.get("probe") is not None:
        return Repeat.PROBE
    return Repeat.SAFE if _method(params) in _REPEATABLE else Repeat.NEVER


def _method(params: Mapping[str, object]) -> str:
    """The method as written; nothing a method is called while it still is an expression."""
    return str(params.get("method", "GET"))


async def run(params: Params, context: Context) -> Result:
    """Send the request; any status but the expected ones is a failure."""
    keyed = params.method in _KEYED if params.idempotency_key is None else params.idempotency_key
    max_body = min(params.max_body, context.config.http.max_body)
    made = as_result(await _send(params, context, keyed=keyed, max_body=max_body))
    return made.model_copy(update={"change": _change(params)})


def _change(params: Params) -> Change | None:
    """What is set by a request that the step knows how to reverse: what it sends, and before it what its reverse sends.

    Both are JSON, sent alike to one address. None where the step does not say what it changes.
    """
    undo = params.undo
    if undo is None or (undo.method, undo.url) != (params.method, params.url):
        return None
    if not isinstance(params.json_, Mapping) or not isinstance(undo.json_, Mapping):
        return None
    return Change(before=dict(undo.json_), after=dict(params.json_))


async def probe(params: Params, context: Context) -> tuple[Probed, Result | None]:
    """Look as the step says. An answer that says nothing about the target (401, 403, 408, 429, 5xx) decides nothing."""
    if params.probe is None:
        return Probed.UNKNOWN, None
    asked = params.probe
    request = Request(
        method="GET",
        url=asked.url,
        headers=asked.headers,
        reads=True,
        redirects=True,
        max_body=context.config.http.max_body,
    )
    answer = await fetch(context, request)
    if status_fits(answer.status, asked.status):
        unmet = any(unmet_fields(answer.json(), asked.json_))
        return (Probed.NOT_DONE, None) if unmet else (Probed.DONE, None)
    if answer.status in {401, 403, 408, 429} or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise status_failure(context, answer, f"{where('GET', asked.url)} answered {answer.status}")
    return Probed.NOT_DONE, None


async def undo(params: Params, result: Result, context: Context) -> Result | None:
    """Send the reversing request the step names."""
    if params.undo is None:
        message = "the step names no `undo` request; a person has to reverse it"
        raise Rejected(message, kind=NOT_UNDOABLE)
    keyed = params.undo.method in _KEYED
    made = as_result(await _send(params.undo, context, keyed=keyed, max_body=context.config.http.max_body))
    change = _change(params)
    return made.model_copy(
        update={"change": Change(before=change.after, after=change.before) if change is not None else None}
    )


async def _send(sending: Sending, context: Context, *, keyed: bool, max_body: int) -> Answer:
    content, content_type = _content(sending)
    headers = dict(content_type) | ({"Idempotency-Key": context.call.key} if keyed else {}) | sending.headers
    reads = sending.method in READS
    request = Request(
        method=sending.method,
        url=sending.url,
        headers=headers,
        content=content,
        reads=reads,
        redirects=True,
        max_body=max_body,
    )
    answer = await fetch(context, request)
    if status_fits(answer.status, sending.expect_status):
        return answer
    expected = status_text(sending.expect_status)
    said = f"{where(sending.method, sending.url)} answered {answer.status}, expected {expected}"
    raise status_failure(context, answer, said)


def _content(sending: Sending) -> tuple[bytes | None, Mapping[str, str]]:
    """The body as bytes, and the header that names its type."""
    if sending.json_ is not None:
        text = json.dumps(sending.json_, ensure_ascii=False, default=_written)
        return text.encode("utf-8", "replace"), {"Content-Type": "application/json"}
    if sending.body is not None:
        return sending.body.encode("utf-8", "replace"), {"Content-Type": "text/plain; charset=utf-8"}
    return None, {}


def _written(value: object) -> str:
    """Durations as `1h30m` and timestamps as RFC 3339, as inside a text."""
    if isinstance(value, timedelta):
        return format_duration(value)
    return utc_text(value) if isinstance(value, datetime) else str(value)


ACTION = Action(
    spec=SPEC,
    params=Params,
    result=Result,
    run=run,
    probe=probe,
    undo=undo,
    mutates=mutates,
    repeats=repeats,
)
