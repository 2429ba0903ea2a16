"""`webhook.send`: tell somebody else's service something, signed.

Changes whatever the receiver does with it. Not undone: what was told cannot be taken back. A repeat bears the same
`webhook-id`, by which a receiver takes it once. The address is one under `actions.webhooks` in the settings.
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

The body is `{"type": KIND, "timestamp": ..., "data": {...}}`. A redirect is not followed, because the answer to it
would not be the receiver's that was set.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from http import HTTPStatus

from pydantic import Field

from runbookd.actions.base import Action, AnyValue, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.actions.config import Webhook
from runbookd.actions.failures import Rejected
from runbookd.actions.fetch import Answer, Request, fetch, status_failure
from runbookd.actions.webhook.signing import read_keys, signed_headers, webhook_id
from runbookd.errors import ActionError
from runbookd.language.fuzzy import did_you_mean
from runbookd.language.values import utc_text
from runbookd.model.action import Repeat, Spec
from runbookd.model.base import Name
from runbookd.model.durations import format_duration

_MAX_ANSWER = 65_536


class Params(BaseParams):
    """Who is told, and what."""

    name: Name = Field(description="Which of `actions.webhooks`.")
    kind: str = Field(
        pattern=r"^[a-zA-Z0-9_]+(\.[a-zA-Z0-9_]+)*$",
        max_length=128,
        description="The event's type, from the general to the particular, such as `incident.opened`.",
    )
    data: dict[str, AnyValue] = Field(description="What there is to say; durations and timestamps as texts.")
    key: str = Field(
        min_length=1,
        max_length=1000,
        description="Names this message: sent again under the same key, it is the same message.",
    )
    at: datetime | None = Field(default=None, description="When it happened. null: now.")


class Result(BaseResult):
    """What the receiver answered."""

    webhook_id: str = Field(description="The `webhook-id` it was sent with.")
    status: int = Field(description="The status of the answer, a 2xx.")


SPEC = Spec(
    name="webhook.send",
    summary="Tell another service something, signed.",
    mutates=True,
    repeat=Repeat.SAFE,
    undo="Not undone: what was told cannot be taken back.",
    timeout=timedelta(seconds=30),
    example={
        "name": "ticketing",
        "kind": "incident.opened",
        "data": {"incident": "${incident.id}", "priority": "${incident.priority}"},
        "key": "${incident.id}-opened",
    },
)


async def run(params: Params, context: Context) -> Result:
    """Send it. Any status but 2xx is a failure."""
    webhook = _webhook(params.name, context)
    message = webhook_id(params.key)
    body = _body(params, context)
    headers = signed_headers(_keys(params.name, webhook, context), message, context.now(), body)
    request = Request(
        method="POST",
        url=webhook.url,
        headers={"Content-Type": "application/json", **headers},
        content=body,
        reads=False,
        max_body=_MAX_ANSWER,
    )
    answer = await fetch(context, request)
    if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
        raise _failure(params.name, answer, context)
    return Result(webhook_id=message, status=answer.status)


def _webhook(name: str, context: Context) -> Webhook:
    """The receiver of this name; raises Rejected (`refused`) when there is none."""
    known = context.config.webhooks
    if name not in known:
        message = f"there is no {name!r} in `actions.webhooks` of the settings.{did_you_mean(name, known)}"
        raise Rejected(message, kind="refused")
    return known[name]


def _keys(name: str, webhook: Webhook, context: Context) -> tuple[bytes, ...]:
    """The keys it is signed with; raises Rejected (`refused`) when the secret holds none."""
    secret = context.secret(webhook.signing_secret)
    for part in secret.split():
        context.hide(part)
    try:
        return read_keys(secret)
    except ValueError as error:
        message = (
            f"the secret {webhook.signing_secret!r} cannot sign for the webhook {name!r}: {error}; "
            "it holds `whsec_` and the base64 of a key, or two of them while one replaces the other"
        )
        raise Rejected(message, kind="refused") from None


def _body(params: Params, context: Context) -> bytes:
    """The message, as it is signed and sent."""
    content = {
        "type": params.kind,
        "timestamp": utc_text(params.at or context.now()),
        "data": _plain(params.data),
    }
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def _plain(value: object) -> object:
    """The value as JSON has it: durations as `1h30m`, timestamps as RFC 3339, null for what is no number."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, datetime):
        return utc_text(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _failure(name: str, answer: Answer, context: Context) -> ActionError:
    """The failure an answer means; two of them ask for other settings."""
    what = f"the webhook {name!r} answered {answer.status}"
    if answer.status == HTTPStatus.GONE:
        what += (
            f", it wants no more of these: take {name!r} out of `actions.webhooks`, and out of who is told"
        )
    elif answer.status < HTTPStatus.BAD_REQUEST:
        what += ", a redirect, which is not followed: set the address it leads to in `actions.webhooks`"
    return status_failure(context, answer, what)


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run)
