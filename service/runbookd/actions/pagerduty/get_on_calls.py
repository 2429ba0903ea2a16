"""`pagerduty.get_on_calls`: who is on call now, by a schedule or an escalation policy.

Changes nothing, so there is nothing to undo. A schedule no escalation policy uses has no on-call entries; then its
own list of people is asked, which does not say until when.
https://developer.pagerduty.com/api-reference/3a6b910f11050-list-all-of-the-on-calls (GET /oncalls and,
in the same reference, GET /schedules/{id}/users)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, Field, ValidationError, model_validator

from runbookd.actions.base import Action, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.actions.failures import Rejected
from runbookd.actions.pagerduty import client
from runbookd.language.values import utc_text
from runbookd.model.action import Repeat, Spec

_MOMENT = timedelta(seconds=1)
"""A schedule's people are those of a range, which must not be empty."""


class Params(BaseParams):
    """Which schedule, or which policy."""

    schedule: client.Id | None = Field(default=None, description="Id of a schedule, as `PI7DH85`.")
    escalation_policy: client.Id | None = Field(default=None, description="Id of an escalation policy.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Params:
        if (self.schedule is None) == (self.escalation_policy is None):
            message = "give either `schedule` or `escalation_policy`"
            raise ValueError(message)
        return self


class Person(BaseModel):
    """One who is on call."""

    user_id: str = Field(description="PagerDuty's id of the person.")
    name: str = Field(description="Their name.")
    email: str | None = Field(description="Their login address; null when PagerDuty does not tell.")
    level: int | None = Field(
        description="Their level in the escalation policy, 1 is rung first; of a schedule the lowest, or null."
    )
    until: datetime | None = Field(description="When their turn ends; null: it does not, or is not known.")


class Result(BaseResult):
    """The people."""

    people: list[Person] = Field(description="By level, then by name; empty when nobody is on call.")


SPEC = Spec(
    name="pagerduty.get_on_calls",
    summary="Tell who is on call now, by a schedule or an escalation policy.",
    mutates=False,
    repeat=Repeat.SAFE,
    undo="Nothing to undo: it changes nothing.",
    timeout=timedelta(seconds=15),
    example={"schedule": "PI7DH85"},
)


async def run(params: Params, context: Context) -> Result:
    """Ask. Raises Rejected (`not_found`) for an unknown schedule; for an unknown policy nobody is on call."""
    now = context.now()
    query: dict[str, object] = {
        "since": utc_text(now),
        "until": utc_text(now),
        "time_zone": "UTC",
        "earliest": "true",
        "include": ["users"],
    }
    if params.schedule is None:
        found = await client.read_all(
            context, "/oncalls", query | {"escalation_policy_ids": [params.escalation_policy]}
        )
        return Result(people=_told(found, by_level=True))
    found = await client.read_all(context, "/oncalls", query | {"schedule_ids": [params.schedule]})
    if not found:
        span = {"since": utc_text(now), "until": utc_text(now + _MOMENT)}
        users = await client.read(context, f"/schedules/{params.schedule}/users", span)
        found = [{"user": user} for user in users]
    return Result(people=_told(found, by_level=False))


def _told(found: Iterable[Mapping[str, Any]], *, by_level: bool) -> list[Person]:
    """One entry for each person, or for each person and level; the lowest level and the longest turn of several."""
    try:
        people = [_person(entry) for entry in found]
    except (KeyError, TypeError, AttributeError, ValidationError) as error:
        message = (
            f"PagerDuty's list of on-calls is not what its API promises: {type(error).__name__}: {error}"
        )
        raise Rejected(message, kind="unexpected_status") from error
    people.sort(key=_rank)
    kept: dict[tuple[str, int | None], Person] = {}
    for person in people:
        kept.setdefault((person.user_id, person.level if by_level else None), person)
    return list(kept.values())


def _rank(person: Person) -> tuple[int, str, str, float]:
    turn = float("-inf") if person.until is None else -person.until.timestamp()
    return person.level or 0, person.name, person.user_id, turn


def _person(entry: Mapping[str, Any]) -> Person:
    user = entry["user"]
    return Person(
        user_id=user["id"],
        name=user.get("name") or user.get("summary") or user["id"],
        email=user.get("email"),
        level=entry.get("escalation_level"),
        until=entry.get("end"),
    )


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run)
