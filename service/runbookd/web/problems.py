"""How every error looks to a client: `application/problem+json` (RFC 9457), and which error gets which status.

Alertmanager, SNS and PagerDuty try again after a 5xx and give up after a 4xx, 429 included. So temporary trouble is
always 503 with `Retry-After`, and a 4xx means that the same request can never be right.
"""

from __future__ import annotations

from enum import StrEnum
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import orjson
from aiohttp import web

from runbookd.errors import Conflict, NotFound, PayloadError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.typedefs import Handler

RETRY_AFTER: Final = 5
"""Seconds after which temporary trouble may be over."""

HEADERS: Final = {
    "Server": "runbookd",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}
"""On every answer; no version is told to strangers."""


class Problem(StrEnum):
    """The `error` of a problem document: one word per cause, for programs to act on."""

    INVALID_PAYLOAD = "invalid_payload"
    UNAUTHORIZED = "unauthorized"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    BROKEN_BODY = "broken_body"
    TOO_LARGE = "too_large"
    ENCODED_BODY = "encoded_body"
    SLOW_BODY = "slow_body"
    BUSY = "busy"
    STORE_UNAVAILABLE = "store_unavailable"
    REQUEST = "bad_request"
    INVALID_REQUEST = "invalid_request"
    CONFLICT = "conflict"
    UNSET = "not_set"


def problem(
    status: int,
    error: Problem,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    delivery: str | None = None,
) -> web.Response:
    """Answer with a problem document. `delivery` is the id the request was kept under, None when it was not."""
    document = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail.encode("utf-8", "backslashreplace").decode(),
        "error": error.value,
    }
    if delivery is not None:
        document["delivery"] = delivery
    return web.Response(
        status=status,
        body=orjson.dumps(document),
        content_type="application/problem+json",
        headers={**HEADERS, **(headers or {})},
    )


def unavailable(error: Problem, detail: str) -> web.Response:
    """Answer that this is temporary: the sender shall try again."""
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, error, detail, headers={"Retry-After": str(RETRY_AFTER)})


def answer(status: int, document: object) -> web.Response:
    """Answer with JSON."""
    return web.Response(
        status=status,
        body=orjson.dumps(document, option=orjson.OPT_UTC_Z),
        content_type="application/json",
        headers=HEADERS,
    )


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn the errors a handler may raise into answers; what is not listed here is a bug, and aiohttp's 500."""
    try:
        return await handler(request)
    except StoreUnavailable as error:
        return unavailable(Problem.STORE_UNAVAILABLE, str(error))
    except PayloadError as error:
        return problem(HTTPStatus.BAD_REQUEST, Problem.INVALID_PAYLOAD, str(error))
    except NotFound as error:
        return problem(HTTPStatus.NOT_FOUND, Problem.NOT_FOUND, str(error))
    except Conflict as error:
        return problem(HTTPStatus.CONFLICT, Problem.CONFLICT, str(error))
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        return problem(
            error.status,
            Problem.METHOD_NOT_ALLOWED,
            f"this address takes {allowed} only",
            headers={"Allow": allowed},
        )
    except web.HTTPNotFound as error:
        return problem(error.status, Problem.NOT_FOUND, "there is nothing at this address")
    except web.HTTPError as error:
        return problem(error.status, Problem.REQUEST, error.reason)
