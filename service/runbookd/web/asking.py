"""What all of the API has in common: who asks, how what they ask is read, and the answers when it is not fit."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from runbookd.errors import RunbookdError
from runbookd.stages.normalize import bad_character, kind_of
from runbookd.web.auth import header_values
from runbookd.web.problems import Problem, problem, unavailable

if TYPE_CHECKING:
    from aiohttp import web

    from runbookd.web.auth import Tokens
    from runbookd.web.body import BodyRefused

MOST_BODY: Final = 64 * 1024
MOST_HELD: Final = 4 * 1024 * 1024
MOST_DEEP: Final = 8
_LONGEST_FAULT: Final = 1000
_KEY: Final = re.compile(rb"[\x21-\x7e]{1,255}")


def _plain(text: str) -> str:
    problem_of = bad_character(text)
    if problem_of is not None:
        raise ValueError(f"has {problem_of}")
    return text


Plain = Annotated[str, AfterValidator(_plain)]


class Closed(BaseModel):
    """Base of what is read here: unknown fields are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


T = TypeVar("T", bound=Closed)


class Unfit(RunbookdError):
    """Something of a request is not as it has to be; the message says what."""


def read_fields(kind: type[T], value: object) -> T:
    """Understand fields. Raises Unfit that names each that is wrong, and never what it holds."""
    if not isinstance(value, dict):
        raise Unfit(f"expected object, got {kind_of(value)}")
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        faults = (
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_input=False)
        )
        raise Unfit("; ".join(faults)[:_LONGEST_FAULT]) from None


def key_of(request: web.Request) -> str | None:
    """Return the request's Idempotency-Key, None without one. Raises Unfit."""
    values = header_values(request.headers, "Idempotency-Key")
    if not values:
        return None
    if len(values) > 1 or not _KEY.fullmatch(values[0]):
        raise Unfit("Idempotency-Key: expected one, of 1 to 255 visible ASCII characters")
    return values[0].decode()


def unfit_answer(unfit: Unfit) -> web.Response:
    """Answer that a field is not as it has to be."""
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, Problem.INVALID_REQUEST, str(unfit))


def refused_answer(refused: BodyRefused) -> web.Response:
    """Answer that a body was not read, and end the connection it may still come on."""
    temporary = refused.status == HTTPStatus.SERVICE_UNAVAILABLE
    response = unavailable(refused.problem, str(refused)) if temporary else None
    response = response or problem(refused.status, refused.problem, str(refused))
    response.force_close()
    return response


def stranger(tokens: Tokens) -> web.Response:
    """Answer that nobody knows who asks."""
    return problem(
        HTTPStatus.UNAUTHORIZED,
        Problem.UNAUTHORIZED,
        "the API needs a bearer token of those set as `web.api_tokens`",
        headers={"WWW-Authenticate": tokens.challenge},
    )
