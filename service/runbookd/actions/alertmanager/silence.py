"""`alertmanager.silence`: keep alerts from being notified for a while.

Changes Alertmanager: a silence, created by `runbookd`, whose comment ends with the step's idempotency key. Undone by
expiring it; by hand: `amtool silence expire ID`. Alertmanager has no way to make a silence only once, so the key in
the comment is looked for before one is made, and by the probe.
https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml (POST /silences)
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic import Field

from runbookd.actions.alertmanager.client import (
    CREATED_BY,
    ServerName,
    Silence,
    ask,
    ask_list,
    end_silence,
    get_silence,
    read_matchers,
    state_of,
)
from runbookd.actions.base import Action, Change, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.actions.failures import Rejected
from runbookd.language.matchers import Matcher
from runbookd.language.values import utc_text
from runbookd.model.action import Probed, Repeat, Spec
from runbookd.model.base import Duration

_SOME_VALUES = ("", "zq-0", "Zq/x.y", "0:zq", "_ zq")
"""Values nobody uses, unlike each other: a regular expression that takes one takes too much."""


class Params(BaseParams):
    """What to silence, for how long, and why."""

    server: ServerName = None
    matchers: list[str] = Field(
        min_length=1,
        description='Matchers that all have to hold; one of them has to name a value (`namespace="x"`).',
    )
    duration: Duration = Field(description="How long, from now.")
    comment: str = Field(min_length=1, max_length=2000, description="Why, for whoever finds it.")


class Result(BaseResult):
    """The silence."""

    silence_id: str = Field(description="Its id.")
    starts_at: datetime = Field(description="When it began.")
    ends_at: datetime = Field(description="When it ends.")
    created: bool = Field(description="False when an earlier attempt at this step had made it.")


SPEC = Spec(
    name="alertmanager.silence",
    summary="Silence the alerts that fit some matchers, for a while.",
    mutates=True,
    repeat=Repeat.PROBE,
    undo="The silence is expired.",
    undoable=True,
    timeout=timedelta(seconds=15),
    example={
        "matchers": ['alertname="KubePodCrashLooping"', 'namespace="medinovai"'],
        "duration": "30m",
        "comment": "Being rolled back",
    },
)


async def run(params: Params, context: Context) -> Result:
    """Make the silence, unless an earlier attempt did. Raises Rejected (`refused`) when it would silence too much."""
    matchers = read_matchers(params.matchers)
    check_narrow(matchers)
    if params.duration <= timedelta(0):
        raise Rejected("the `duration` of a silence must be longer than nothing", kind="invalid")
    made = await _made_before(params, context)
    if made is not None:
        return _result(made, created=False)
    now = context.now()
    wanted = {
        "matchers": [
            {
                "name": one.label,
                "value": one.value,
                "isRegex": one.op.endswith("~"),
                "isEqual": not one.op.startswith("!"),
            }
            for one in matchers
        ],
        "startsAt": utc_text(now),
        "endsAt": utc_text(now + params.duration),
        "createdBy": CREATED_BY,
        "comment": f"{params.comment} {_mark(context)}",
    }
    answer = await ask(context, params.server, "POST", "/silences", wanted)
    silence_id = answer.get("silenceID") if isinstance(answer, dict) else None
    if not isinstance(silence_id, str):
        raise Rejected(
            "Alertmanager did not name the silence it made; look at its list", kind="unexpected_status"
        )
    return Result(
        silence_id=silence_id,
        starts_at=now,
        ends_at=now + params.duration,
        created=True,
        change=Change(before=None, after={"silence_id": silence_id, "matchers": list(params.matchers)}),
    )


async def probe(params: Params, context: Context) -> tuple[Probed, Result | None]:
    """Look for a silence with this step's key, ended ones too."""
    made = await _made_before(params, context)
    return (Probed.NOT_DONE, None) if made is None else (Probed.DONE, _result(made, created=True))


async def undo(params: Params, result: Result, context: Context) -> Result | None:
    """Expire the silence; one that has ended already is left as it is. Raises Rejected (`not_found`) if it is gone."""
    silence = await get_silence(context, params.server, result.silence_id)
    if state_of(silence) != "expired":
        await end_silence(context, params.server, result.silence_id)
    change = Change(before={"state": state_of(silence)}, after={"state": "expired"})
    return result.model_copy(update={"ends_at": context.now(), "created": False, "change": change})


def check_narrow(matchers: Sequence[Matcher]) -> None:
    """Raise Rejected (`refused`) unless some matcher takes only values it names.

    Alertmanager itself only asks for one that does not take the empty value; `alertname=~".+"` would pass.
    """
    if any(_is_narrow(one) for one in matchers):
        return
    written = ", ".join(str(one) for one in matchers)
    message = (
        f'{written} would silence nearly every alert; add a matcher that names a value, as namespace="x" does'
    )
    raise Rejected(message, kind="refused")


def _is_narrow(matcher: Matcher) -> bool:
    """Whether it spells its values out, or at least is a pattern that does not take just anything."""
    if matcher.literals() is not None:
        return True
    return matcher.op == "=~" and not any(matcher.matches({matcher.label: value}) for value in _SOME_VALUES)


async def _made_before(params: Params, context: Context) -> Silence | None:
    """The silence that an attempt at this very step made, or None."""
    mark = _mark(context)
    found = await ask_list(context, params.server, "/silences", [])
    return next(
        (one for one in found if one["createdBy"] == CREATED_BY and one["comment"].endswith(mark)), None
    )


def _mark(context: Context) -> str:
    """How the comment names the step it was made by."""
    return f"[runbookd {context.call.key}]"


def _result(silence: Silence, *, created: bool) -> Result:
    return Result(
        silence_id=silence["id"],
        starts_at=datetime.fromisoformat(silence["startsAt"]),
        ends_at=datetime.fromisoformat(silence["endsAt"]),
        created=created,
    )


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run, probe=probe, undo=undo)
