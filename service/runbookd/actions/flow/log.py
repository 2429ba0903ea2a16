"""`flow.log`: write a message into the run's journal.

Changes nothing in the world, so there is nothing to undo. The message is the step's result, kept in the journal and
shown in the console; it is no line of the service's own log. Specified in this product's language.
"""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from runbookd.actions.base import Action, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.model.action import Repeat, Spec


class Params(BaseParams):
    """What to write."""

    message: str = Field(max_length=10_000, description="The text, as people should read it.")


class Result(BaseResult):
    """What was written."""

    message: str = Field(description="The text.")


SPEC = Spec(
    name="flow.log",
    summary="Write a message into the run's journal.",
    mutates=False,
    repeat=Repeat.SAFE,
    undo="Nothing to undo: it changes nothing.",
    timeout=timedelta(seconds=5),
    example={"message": "The release is older than two hours; leaving it alone."},
)


async def run(params: Params, context: Context) -> Result:
    """Give the message back."""
    return Result(message=params.message)


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run)
