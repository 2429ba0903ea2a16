"""What both actions of this provider say of requests, and expect of answers.

HTTP semantics: https://www.rfc-editor.org/rfc/rfc9110.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

from runbookd.actions.base import AnyValue
from runbookd.actions.base import Result as BaseResult
from runbookd.actions.fetch import Answer

READS = frozenset({"GET", "HEAD", "OPTIONS"})
"""The safe methods of RFC 9110 section 9.2.1."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FRAMING = frozenset({"host", "content-length", "transfer-encoding", "connection"})
_MISSING = object()


def _plain_headers(headers: dict[str, str]) -> dict[str, str]:
    """Refuse what would break the request apart, or contradict how it is sent; values stay untold, as secrets do."""
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            message = f"{name!r} is not a header's name"
        elif name.lower() in _FRAMING:
            message = f"the header {name} is set by the client itself"
        elif any(character in value for character in "\r\n\0"):
            message = f"the value of the header {name} holds a line break or a NUL"
        else:
            continue
        raise ValueError(message)
    return headers


Url = Annotated[
    str,
    StringConstraints(min_length=1, max_length=8192),
    Field(description="The URL, http:// or https://; its host has to be allowed in the settings."),
]
Headers = Annotated[
    dict[str, str],
    AfterValidator(_plain_headers),
    Field(description="Headers to send. Secrets go in as `${secret.NAME}`."),
]
StatusClass = Annotated[str, StringConstraints(pattern=r"^[1-5]xx$")]
StatusCode = Annotated[int, Field(ge=100, le=599)]
ExpectedStatus = StatusCode | StatusClass | list[StatusCode | StatusClass]
"""A status, a class of them such as `2xx`, or a list of either."""
Fields = Annotated[
    dict[str, AnyValue],
    Field(
        description="Values the JSON answer must hold, by dotted path (`items.0.state`); a number is a list's index."
    ),
]


class Result(BaseResult):
    """What came back."""

    status: int = Field(description="The HTTP status.")
    headers: dict[str, str] = Field(
        description="Headers; names in lower case, the last value of a repeated one."
    )
    text: str = Field(description="The body as text, up to `max_body` bytes of it.")
    truncated: bool = Field(description="True when the body was longer.")
    json_: AnyValue = Field(
        alias="json", description="The body as JSON; null when it is none, or was truncated."
    )
    elapsed: timedelta = Field(description="From the first connection to the last byte read.")
    url: str = Field(description="What answered in the end, after redirects.")


def as_result(answer: Answer) -> Result:
    """The answer as the actions give it."""
    return Result(
        status=answer.status,
        headers=dict(answer.headers),
        text=answer.text,
        truncated=answer.truncated,
        json_=answer.json(),
        elapsed=answer.elapsed,
        url=answer.url,
    )


def status_fits(status: int, expected: ExpectedStatus) -> bool:
    """Whether a status is one of those expected."""
    if isinstance(expected, list):
        return any(status_fits(status, one) for one in expected)
    return status == expected or f"{status // 100}xx" == expected


def status_text(expected: ExpectedStatus) -> str:
    """The expected statuses for a message."""
    return " or ".join(str(one) for one in expected) if isinstance(expected, list) else str(expected)


def unmet_fields(tree: object, expected: Mapping[str, object]) -> Iterator[str]:
    """Say of every expected value how the JSON answer differs from it."""
    for path, wanted in expected.items():
        found = _at(tree, path)
        if found is _MISSING:
            yield f"json has no {path}, expected {wanted!r}"
        elif found != wanted or isinstance(found, bool) != isinstance(wanted, bool):
            yield f"json {path} is {_short(found)}, expected {wanted!r}"


def _at(tree: Any, path: str) -> Any:
    """The value at a dotted path; `_MISSING` when it leads nowhere. A key that holds a dot cannot be named."""
    for part in path.split("."):
        if isinstance(tree, dict) and part in tree:
            tree = tree[part]
        elif isinstance(tree, list) and part.isdecimal() and int(part) < len(tree):
            tree = tree[int(part)]
        else:
            return _MISSING
    return tree


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 100 else text[:100] + "…"  # noqa: PLR2004 - a line of a message
