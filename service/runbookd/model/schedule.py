"""Schedules: playbooks that are run at times of the clock (`language.md` section 6)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from runbookd.model.base import Content, Duration, Name

Text = Annotated[str, StringConstraints(min_length=1)]


class OnFailure(Content):
    """What a run of a schedule that did not end well is for people."""

    priority: Name = Field(description="Names a row of `priorities`: the incident is raised to it.")


class Schedule(Content):
    """Playbooks that are run at times of the clock, whether or not anything is wrong."""

    name: Name = Field(description="One of its own.")
    description: str = Field(default="", description="What it is for, for people.")
    cron: Text = Field(
        description='Five fields as in crontab, minute hour day month weekday: `"0 8 * * mon-fri"`. '
        "The day may be `last`."
    )
    timezone: Text = Field(default="UTC", description="An IANA name: America/New_York.")
    run: list[Name] = Field(
        min_length=1,
        description="The playbooks, begun in this order; each is a run and an incident of its own.",
    )
    with_: dict[str, Any] = Field(
        default_factory=dict,
        alias="with",
        description="Their inputs; each playbook is given those it declares. Strings may hold ${...}.",
    )
    catch_up: Duration = Field(
        default=timedelta(hours=1),
        description="A time missed while the service was down is still kept if it is not later than this; "
        "of several only the newest.",
    )
    on_failure: OnFailure | None = Field(
        default=None,
        description="How urgent a run is that did not end well. None: the last of `priorities`.",
    )


class Remembered(BaseModel):
    """What is known of a schedule. It is kept, so that restarts change nothing and replicas share it.

    `cron` and `timezone` are as they were then. All its times until `upto` have been looked at. `last` is the newest
    that was kept, `missed` the newest that was not; None when there is none.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)
    cron: str
    timezone: str
    upto: datetime
    last: datetime | None = None
    missed: datetime | None = None


@dataclass(frozen=True, slots=True)
class Missed:
    """Times of a schedule that were not kept: the oldest, the newest, how many; with `more`, at least so many."""

    first: datetime
    last: datetime
    count: int
    more: bool = False


@dataclass(frozen=True, slots=True)
class Due:
    """What a look at a schedule came to: what is known now, the time to keep, and those that are missed."""

    known: Remembered
    at: datetime | None = None
    missed: Missed | None = None
