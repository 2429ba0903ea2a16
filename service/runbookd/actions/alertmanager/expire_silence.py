"""`alertmanager.expire_silence`: end a silence now.

Changes Alertmanager: the alerts it held back are notified again. Not undone, because an ended silence is not opened
again; make a new one with `alertmanager.silence`.
https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml (DELETE /silence/{silenceID})
"""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from runbookd.actions.alertmanager.client import ServerName, end_silence, get_silence, state_of
from runbookd.actions.base import Action, Change, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.model.action import Repeat, Spec


class Params(BaseParams):
    """Which silence."""

    server: ServerName = None
    silence_id: str = Field(
        min_length=1, max_length=100, description="Its id, as `alertmanager.silence` gives it."
    )


class Result(BaseResult):
    """The silence."""

    silence_id: str = Field(description="Its id.")
    state_before: str = Field(description="`active`, `pending`, or `expired` when it had ended already.")


SPEC = Spec(
    name="alertmanager.expire_silence",
    summary="End a silence now.",
    mutates=True,
    repeat=Repeat.SAFE,
    undo="Not undone: an ended silence cannot be opened again; make a new one with alertmanager.silence.",
    timeout=timedelta(seconds=15),
    example={"silence_id": "${steps.silence.silence_id}"},
)


async def run(params: Params, context: Context) -> Result:
    """Expire it; one that has ended already is left as it is. Raises Rejected (`not_found`) for an unknown id."""
    before = state_of(await get_silence(context, params.server, params.silence_id))
    if before == "expired":
        return Result(silence_id=params.silence_id, state_before=before)
    await end_silence(context, params.server, params.silence_id)
    change = Change(before={"state": before}, after={"state": "expired"})
    return Result(silence_id=params.silence_id, state_before=before, change=change)


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run)
