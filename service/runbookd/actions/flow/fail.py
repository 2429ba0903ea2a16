"""`flow.fail`: end the run as failed, with a message for whoever is paged.

Changes nothing in the world, so there is nothing to undo. Used with `when:` where a playbook finds that it must not
go on. Specified in this product's language.
"""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from runbookd.actions.base import Action, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.errors import PermanentFailure
from runbookd.model.action import Repeat, Spec


class Params(BaseParams):
    """Why the run ends."""

    message: str = Field(min_length=1, max_length=10_000, description="What the page says.")


class Result(BaseResult):
    """Nothing: this action never succeeds."""


SPEC = Spec(
    name="flow.fail",
    summary="End the run as failed, with a message.",
    mutates=False,
    repeat=Repeat.SAFE,
    undo="Nothing to undo: it changes nothing.",
    timeout=timedelta(seconds=5),
    example={"message": "There is no earlier release that was good; a person has to choose."},
)


async def run(params: Params, context: Context) -> Result:
    """Raise PermanentFailure with the message."""
    raise PermanentFailure(params.message)


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run)
