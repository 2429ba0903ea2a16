"""`slack.create_channel`: make a public channel, set its topic and purpose, and invite people.

Changes Slack: a channel with the app in it. A name that is taken, perhaps by an archived channel, gets an ending that
is the call's own, so that of many calls for one name none waits for the others. Not undone, because what people wrote
there would be lost from view; archive it by hand. What cannot be set, or who cannot be invited, is told in the result:
the channel is there, so the call did not fail.

Slack has no way to make a channel only once. The purpose is set last and ends with a mark of the call, so a channel
with the mark is finished. One that the app made and that bears no mark was left half-done by an attempt that broke off:
a repeated attempt takes it over and finishes it, and does not make a second one.
https://docs.slack.dev/reference/methods/conversations.create
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from pydantic import Field

from runbookd.actions.base import Action, Change, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.actions.failures import Rejected
from runbookd.actions.slack.answers import RefusedBySlack
from runbookd.actions.slack.channels import UserId, list_channels
from runbookd.actions.slack.client import Call, Json, ask, text_of
from runbookd.actions.slack.texts import Words, cut, escape, one_line, size
from runbookd.errors import ActionError
from runbookd.model.action import Permission, Probed, Repeat, Spec

_MAX_WORDS = 250
"""Characters of a topic or purpose: https://docs.slack.dev/reference/methods/conversations.setPurpose."""
_THERE_ALREADY = frozenset({"already_in_channel", "cant_invite_self"})


class Params(BaseParams):
    """The channel."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9_-]*$",
        max_length=77,
        description="Its name: small letters, digits, `-` and `_`; an incident's is `incident-YYYYMMDD-HHMM`.",
    )
    topic: Words = Field(default="", description="Its topic, one line; too long a one is cut.")
    purpose: Words = Field(default="", description="Its description, one line; too long a one is cut.")
    invite: list[UserId] = Field(
        default_factory=list, max_length=100, description="Ids of the people who are brought in."
    )


class Result(BaseResult):
    """The channel."""

    channel: str = Field(description="Its id, for `slack.post_message`.")
    name: str = Field(description="The name it got, without `#`.")
    created: bool = Field(description="False when an earlier attempt at this step had made it.")
    problems: list[str] = Field(
        description="What could not be set and who could not be invited, and why. Empty when all went well."
    )


SPEC = Spec(
    name="slack.create_channel",
    summary="Make a channel in Slack for an incident, and invite people.",
    mutates=True,
    repeat=Repeat.PROBE,
    undo="Not undone: what people wrote there would be lost from view; archive it by hand.",
    timeout=timedelta(seconds=30),
    permissions=(
        Permission(system="slack", rule={"scopes": ["channels:manage"]}),
        Permission(
            system="slack", rule={"scopes": ["channels:read"], "for": "looking for a channel in doubt"}
        ),
    ),
    example={
        "name": "incident-20260304-0506",
        "topic": "P1: rollout of backend is stuck",
        "purpose": "Opened by runbookd for incident inc-1",
        "invite": ["U012AB3CD"],
    },
)


@dataclass(frozen=True, slots=True)
class _Made:
    """A channel that is there, and whether this attempt made it."""

    id: str
    name: str
    created: bool


async def run(params: Params, context: Context) -> Result:
    """Make the channel, or finish the one an earlier attempt made.

    Raises RefusedBySlack when Slack does not let it be made, Rejected (`conflict`) when its own name is taken as well.
    """
    channel = await _made_before(params, context) if context.call.attempt > 1 else None
    channel = channel or await _create(params, context)
    problems = await _furnish(channel, params, context)
    made = {"channel": channel.id, "name": channel.name}
    change = Change(before=None, after=made) if channel.created else None
    return Result(**made, created=channel.created, problems=problems, change=change)


async def probe(params: Params, context: Context) -> tuple[Probed, Result | None]:
    """Look for a channel that bears the mark. A half-done one is not done: a repeated attempt finishes it."""
    async for one in _family(params, context):
        if _mark(context) in _purpose(one):
            found = Result(channel=str(one["id"]), name=str(one["name"]), created=True, problems=[])
            return Probed.DONE, found
    return Probed.NOT_DONE, None


async def _create(params: Params, context: Context) -> _Made:
    """Make a channel under the first name that is free."""
    names = (params.name, f"{params.name}-{_digest(context)[:6]}")
    for name in names:
        what = f"Slack conversations.create of #{name}"
        try:
            answer = await ask(context, what, _creating(name))
        except RefusedBySlack as refused:
            if refused.word != "name_taken":
                raise
            # This request made nothing, so the next one alone decides whether there is a doubt.
            context.sent = False
            continue
        return _Made(
            text_of(answer, what, "channel", "id"), text_of(answer, what, "channel", "name"), created=True
        )
    message = f"#{' and #'.join(names)} are taken; rename or remove one, or choose another name"
    raise Rejected(message, kind="conflict")


def _creating(name: str) -> Call:
    return lambda slack: slack.conversations_create(name=name, is_private=False)


async def _made_before(params: Params, context: Context) -> _Made | None:
    """The channel an earlier attempt made: the one with the mark, else one of ours that nobody has finished."""
    family = [one async for one in _family(params, context)]
    marked = [one for one in family if _mark(context) in _purpose(one)]
    if not marked and family:
        who = await ask(context, "Slack auth.test", lambda slack: slack.auth_test(), reads=True)
        marked = [
            one
            for one in family
            if one.get("creator") == who.get("user_id") and not _purpose(one) and not one.get("is_archived")
        ]
    return _Made(str(marked[0]["id"]), str(marked[0]["name"]), created=False) if marked else None


async def _family(params: Params, context: Context) -> AsyncIterator[Json]:
    """The channels of this name, and of that with the call's own ending."""
    async for one in list_channels(context, "public_channel"):
        if one.get("name") in {params.name, f"{params.name}-{_digest(context)[:6]}"}:
            yield one


async def _furnish(channel: _Made, params: Params, context: Context) -> list[str]:
    """Set topic, people and, last, the purpose with its mark; what does not go is told and does not stop the rest."""
    problems = []
    for furnish in (_set_topic, _invite, _set_purpose):
        try:
            problems += await furnish(channel, params, context)
        except ActionError as error:
            problems.append(str(error))
    return problems


async def _set_topic(channel: _Made, params: Params, context: Context) -> list[str]:
    topic = cut(escape(one_line(params.topic)), _MAX_WORDS)
    if topic:
        what = f"Slack conversations.setTopic of #{channel.name}"
        await ask(context, what, lambda slack: slack.conversations_setTopic(channel=channel.id, topic=topic))
    return []


async def _invite(channel: _Made, params: Params, context: Context) -> list[str]:
    """Invite everybody at once; returns who could not be, and why."""
    if not params.invite:
        return []
    what = f"Slack conversations.invite to #{channel.name}"
    try:
        answer = await ask(
            context,
            what,
            lambda slack: slack.conversations_invite(
                channel=channel.id, users=list(dict.fromkeys(params.invite)), force=True
            ),
        )
    except RefusedBySlack as refused:
        if not _uninvited(refused.answer):
            raise
        answer = refused.answer
    return [
        f"{what}: {user} was not invited: {word}"
        for user, word in _uninvited(answer).items()
        if word not in _THERE_ALREADY
    ]


def _uninvited(answer: Json) -> dict[str, str]:
    """Slack's reasons, by person, in an answer to an invitation."""
    errors = [error for error in answer.get("errors") or () if isinstance(error, Mapping)]
    return {str(error["user"]): str(error.get("error")) for error in errors if "user" in error}


async def _set_purpose(channel: _Made, params: Params, context: Context) -> list[str]:
    mark = _mark(context)
    words = cut(escape(one_line(params.purpose)), _MAX_WORDS - size(mark) - 1)
    what = f"Slack conversations.setPurpose of #{channel.name}"
    purpose = f"{words} {mark}".strip()
    await ask(
        context, what, lambda slack: slack.conversations_setPurpose(channel=channel.id, purpose=purpose)
    )
    return []


def _purpose(channel: Json) -> str:
    return str((channel.get("purpose") or {}).get("value") or "")


def _mark(context: Context) -> str:
    """How the purpose names the call it was made by."""
    return f"[runbookd {_digest(context)[:16]}]"


def _digest(context: Context) -> str:
    """A name for the call: a digest of its key, which is as long as it likes."""
    return hashlib.sha256(context.call.key.encode()).hexdigest()


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run, probe=probe)
