"""What all of the API has in common: who asks, how what they ask is read, and the answers when it is not fit."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from runbookd.errors import RunbookdError
from runbookd.stages.normalize import bad_character, kind_of
from runbookd.stages.receive import read_json
from runbookd.web.auth import header_values
from runbookd.web.body import BodyReader, BodyRefused
from runbookd.web.problems import Problem, problem, unavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from aiohttp import web

    from runbookd.web.auth import Tokens

_MOST_BODY: Final = 64 * 1024
_MOST_HELD: Final = 4 * 1024 * 1024
_MOST_DEEP: Final = 8
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
Wish = TypeVar("Wish")


class Unfit(RunbookdError):
    """Something of a request is not as it has to be; the message says what."""


class Asking:
    """Who may ask, and how the body of what they ask is read."""

    def __init__(self, tokens: Tokens, read_timeout: timedelta) -> None:
        """Listen to whoever has one of the tokens; without any, to nobody."""
        self._tokens = tokens
        self._reader = BodyReader(max_body=_MOST_BODY, max_held=_MOST_HELD, timeout=read_timeout)

    def stranger(self, request: web.Request) -> web.Response | None:
        """Return the answer to somebody whom nobody knows; None for a holder of a token."""
        return None if self._tokens.holder(request.headers) is not None else self._refused()

    async def wish(
        self, request: web.Request, understand: Callable[[object, str], Wish]
    ) -> Wish | web.Response:
        """Read the JSON of a body, no body being no fields, and have it understood with its sender's name.

        `understand` raises Unfit. Returns what it made of it, or the answer that says why nothing was made. Raises
        PayloadError for what is not JSON.
        """
        holder = self._tokens.holder(request.headers)
        if holder is None:
            return self._refused()
        try:
            body = await self._reader.read(request)
        except BodyRefused as refused:
            return _not_read(refused)
        try:
            return understand(read_json(body, max_depth=_MOST_DEEP) if body else {}, holder)
        except Unfit as unfit:
            return unfit_answer(unfit)
        finally:
            self._reader.release(body)

    def _refused(self) -> web.Response:
        return problem(
            HTTPStatus.UNAUTHORIZED,
            Problem.UNAUTHORIZED,
            "the API needs a bearer token of those set as `web.api_tokens`",
            headers={"WWW-Authenticate": self._tokens.challenge},
        )


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


def _not_read(refused: BodyRefused) -> web.Response:
    """Answer that a body was not read, and end the connection it may still come on."""
    temporary = refused.status == HTTPStatus.SERVICE_UNAVAILABLE
    response = unavailable(refused.problem, str(refused)) if temporary else None
    response = response or problem(refused.status, refused.problem, str(refused))
    response.force_close()
    return response
