"""`evidence.save`: keep a value with the run as evidence.

Changes nothing outside runbookd, so there is nothing to undo; the evidence is part of the record and stays. The
same name again replaces what was kept under it. Specified in this product's language.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta

from pydantic import Field

from runbookd.actions.base import Action, AnyValue, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.language.values import utc_text
from runbookd.model.action import Repeat, Spec
from runbookd.model.durations import format_duration


class Params(BaseParams):
    """What to keep, and under which name."""

    name: str = Field(min_length=1, max_length=200, description="What it is kept as; unique within the run.")
    content: AnyValue = Field(description="A text is kept as it is; any other value as JSON.")
    media_type: str | None = Field(
        default=None,
        pattern=r"^[a-z]+/[A-Za-z0-9.+-]+$",
        description="Its media type. None: `text/plain` for a text, else `application/json`.",
    )


class Result(BaseResult):
    """What was kept."""

    name: str = Field(description="What it is kept as.")
    size: int = Field(description="Bytes.")
    sha256: str = Field(description="Hash of the content, in hexadecimal.")


SPEC = Spec(
    name="evidence.save",
    summary="Keep a value with the run as evidence.",
    mutates=False,
    repeat=Repeat.SAFE,
    undo="Nothing to undo: evidence is part of the record.",
    timeout=timedelta(seconds=10),
    example={"name": "release-history", "content": "${steps.history}"},
)


async def run(params: Params, context: Context) -> Result:
    """Attach the content."""
    is_text = isinstance(params.content, str)
    text = (
        params.content
        if is_text
        else json.dumps(params.content, indent=2, ensure_ascii=False, default=_written)
    )
    # Wiped here, so that size and hash are those of what is kept.
    content = context.disclosed.wipe_bytes(text.encode("utf-8", "replace"))
    media_type = params.media_type or ("text/plain" if is_text else "application/json")
    context.attach(params.name, media_type, content)
    return Result(name=params.name, size=len(content), sha256=hashlib.sha256(content).hexdigest())


def _written(value: object) -> str:
    """Durations and timestamps as people write them; anything else by its text."""
    if isinstance(value, timedelta):
        return format_duration(value)
    return utc_text(value) if isinstance(value, datetime) else str(value)


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run)
