"""Asking Alertmanager's API v2.

https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml. Silences spread between the members of a
cluster in time, so a playbook that makes one and looks for it asks the same member.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from pydantic import Field

from runbookd.actions.base import Context
from runbookd.actions.config import MEBIBYTE
from runbookd.actions.failures import Rejected
from runbookd.actions.fetch import Request, call_api
from runbookd.actions.servers import choose
from runbookd.errors import LanguageError
from runbookd.language.matchers import Matcher, parse_matcher
from runbookd.model.base import Name

MAX_ANSWER = 16 * MEBIBYTE
CREATED_BY = "runbookd"

ServerName = Annotated[
    Name | None,
    Field(description="Which of `actions.alertmanagers`. null: the only one, or the one named `default`."),
]
Silence = Mapping[str, Any]
"""A silence as the API gives it (`gettableSilence`)."""


async def ask(context: Context, server: str | None, method: str, path: str, body: object = None) -> Any:
    """Call `/api/v2` + path; raises Rejected or Unavailable with Alertmanager's own words."""
    name, endpoint = choose(context.config.alertmanagers, server, "actions.alertmanagers")
    request = Request(
        method=method,
        url=f"{endpoint.url.rstrip('/')}/api/v2{path}",
        headers={} if body is None else {"Content-Type": "application/json"},
        content=None if body is None else json.dumps(body).encode(),
        reads=method == "GET",
        max_body=MAX_ANSWER,
    )
    return await call_api(context, endpoint, request, f"Alertmanager {name!r}")


async def ask_list(
    context: Context, server: str | None, path: str, query: Sequence[tuple[str, str]]
) -> list[Any]:
    """A listing; raises as `ask`, and Rejected when the answer is none."""
    answer = await ask(context, server, "GET", f"{path}?{urlencode(query)}" if query else path)
    if isinstance(answer, list):
        return answer
    raise Rejected(f"Alertmanager did not answer with a list to {path}; is it one?", kind="unexpected_status")


async def get_silence(context: Context, server: str | None, silence_id: str) -> Silence:
    """One silence; raises Rejected (`not_found`) when there is none, or it was forgotten since it ended."""
    found = await ask(context, server, "GET", f"/silence/{quote(silence_id, safe='')}")
    if isinstance(found, dict) and "status" in found:
        return found
    raise Rejected("Alertmanager did not answer with a silence; is it one?", kind="unexpected_status")


async def end_silence(context: Context, server: str | None, silence_id: str) -> None:
    """Expire a silence. Once more for one that has expired is allowed; raises Rejected (`not_found`) for others."""
    await ask(context, server, "DELETE", f"/silence/{quote(silence_id, safe='')}")


def state_of(silence: Silence) -> str:
    """`active`, `pending` or `expired`."""
    return str(silence["status"]["state"])


def read_matchers(texts: Sequence[str]) -> list[Matcher]:
    """The matchers; raises Rejected (`invalid`) naming the one that is written wrongly."""
    matchers = []
    for text in texts:
        try:
            matchers.append(parse_matcher(text))
        except LanguageError as error:
            raise Rejected(f"the matcher {text!r} is written wrongly: {error}", kind="invalid") from error
    return matchers
