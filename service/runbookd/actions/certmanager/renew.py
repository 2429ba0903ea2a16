"""`certmanager.renew`: have cert-manager issue a certificate anew, and wait for it.

Changes: the condition Issuing of the Certificate is set to True, as `cmctl renew` does, and cert-manager replaces
what is in its Secret; before that the Certificate is marked with the step's key and its revision, so that it is
renewed once however often the step is tried. Not undone: the former certificate stays valid until its end, but is not
put back. https://cert-manager.io/docs/usage/certificate/#actions-triggering-private-key-rotation,
https://cert-manager.io/docs/reference/cmctl/#renew
"""

from __future__ import annotations

from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field

from runbookd.actions.base import Action, Change, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.actions.certmanager.certificates import CERTIFICATE, summary
from runbookd.actions.failures import CheckFailed, Rejected, Unavailable
from runbookd.actions.kubernetes.changes import Wanted, change
from runbookd.actions.kubernetes.cluster import Cluster, ClusterName, Patch, cluster
from runbookd.actions.kubernetes.fields import annotations_of, condition
from runbookd.actions.kubernetes.kinds import Json, Namespace, ObjectName, Ref, permission
from runbookd.actions.kubernetes.targets import check_protected
from runbookd.language.values import utc_text
from runbookd.model.action import Mode, Repeat, Spec
from runbookd.model.base import Duration

RENEWED_FROM = "runbookd.io/renewed-from"
"""The annotation with the revision, and the number of failed attempts, before the renewal: `3/0`."""
_TRIES = 5
_BACK_OFF = timedelta(hours=1)
"""How long cert-manager itself waits after a failed issuance; asking by hand would pass over that."""


class Params(BaseParams):
    """Which certificate."""

    cluster: ClusterName = None
    namespace: Namespace
    certificate: ObjectName = Field(description="The Certificate.")
    not_within: Duration = Field(
        default=timedelta(days=1),
        description="Refused when it became valid less than this ago: authorities limit how often they issue.",
    )
    wait: bool = Field(
        default=True, description="Wait for the new certificate. False: return when it is asked for."
    )

    @property
    def ref(self) -> Ref:
        """The Certificate."""
        return CERTIFICATE.at(self.namespace, self.certificate)


class Result(BaseResult):
    """The renewal."""

    done: bool = Field(description="Whether there is a new certificate; False when it was not waited for.")
    revision_before: int = Field(description="How often it had been issued before.")
    revision: int = Field(description="How often it has been issued now.")
    not_after: datetime | None = Field(description="When the certificate ends. null: there is none yet.")
    days_left: float | None = Field(description="Days until then. null: there is none yet.")


SPEC = Spec(
    name="certmanager.renew",
    summary="Have cert-manager issue a certificate anew, and wait for it.",
    mutates=True,
    repeat=Repeat.SAFE,
    undo="Not undone: the former certificate stays valid until its end, but is not put back.",
    timeout=timedelta(minutes=10),
    example={"namespace": "medinovai", "certificate": "api-tls"},
    permissions=(
        permission(CERTIFICATE, "get", "list", "watch", "patch"),
        permission(CERTIFICATE, "update", sub="status"),
    ),
)


async def run(params: Params, context: Context) -> Result:
    """Ask for it unless an earlier attempt has, and wait. Raises CheckFailed when cert-manager could not.

    Raises Rejected (`refused`) when it was renewed or failed just now, or shares its Secret with another.
    """
    where = await cluster(context, params.cluster)
    check_protected(where.access, params.ref)
    await _check_alone(where, params.ref)

    def mark(now: Json) -> Wanted:
        _check_due(now, params, context.now())
        notes = {RENEWED_FROM: _counts(now)}
        return Wanted(how=Patch.MERGE, body={"metadata": {"annotations": notes}})

    marked = await change(where, context, params.ref, mark)
    counted = annotations_of(marked.after)[RENEWED_FROM]
    before = int(counted.partition("/")[0])
    if not (marked.earlier and _was_asked(marked.after, counted)):
        await _ask(where, context, params.ref, before)
    if not params.wait or context.mode is Mode.OBSERVE:
        return _result(marked.after, before, context.now())
    return await _issued(where, context, params.ref, before)


async def _check_alone(where: Cluster, ref: Ref) -> None:
    """Raise Rejected (`refused`) when another Certificate has the same Secret: cert-manager then issues neither."""
    seen = [
        (one["metadata"]["name"], one["spec"].get("secretName"))
        async for one in where.each(CERTIFICATE, ref.namespace)
    ]
    own = next((secret for name, secret in seen if name == ref.name), None)
    others = [name for name, secret in seen if name != ref.name and secret == own]
    if own is not None and others:
        message = (
            f"{ref} keeps its certificate in the Secret {own!r}, as does {', '.join(others)}; "
            "cert-manager issues neither until one of them is given another Secret"
        )
        raise Rejected(message, kind="refused")


def _check_due(found: Json, params: Params, now: datetime) -> None:
    """Raise Rejected (`refused`) when an authority or cert-manager should not be asked again so soon."""
    seen = summary(found, now)
    if seen.not_before is not None and now - seen.not_before < params.not_within:
        message = (
            f"{params.ref} was renewed at {seen.not_before:%Y-%m-%d %H:%M} UTC, less than `not_within` ago"
        )
        raise Rejected(message, kind="refused")
    failed = seen.last_failure_at
    if failed is not None and now - failed < _BACK_OFF:
        message = (
            f"{params.ref} could not be issued at {failed:%Y-%m-%d %H:%M} UTC: {seen.message}; "
            "cert-manager waits an hour after that, and so does this"
        )
        raise Rejected(message, kind="refused")


def _was_asked(found: Json, counted: str) -> bool:
    """Whether the issuance was begun since the mark: it goes on, or it has ended, well or not."""
    return _counts(found) != counted or _is_issuing(found)


async def _ask(where: Cluster, context: Context, ref: Ref, before: int) -> None:
    """Set the condition Issuing. The whole status is put, because a merge would drop the other conditions."""
    for _ in range(_TRIES):
        found = await where.get(ref)
        if _revision(found) > before or _is_issuing(found):
            return
        try:
            await where.replace(ref.of("status"), _issuing(found, context.now()))
        except Rejected as error:
            if error.kind != "conflict":
                raise
        else:
            return
    message = f"{ref} was changed by somebody else each of {_TRIES} times it was to be renewed"
    raise Unavailable(message, kind="conflict")


def _issuing(found: Json, now: datetime) -> Json:
    """The Certificate with the condition that has it issued.

    https://github.com/cert-manager/cmctl/blob/main/pkg/renew/renew.go
    """
    status = found.get("status") or {}
    asked: dict[str, Any] = {
        "type": "Issuing",
        "status": "True",
        "reason": "ManuallyTriggered",
        "message": "Certificate re-issuance manually triggered",
        "lastTransitionTime": utc_text(now.replace(microsecond=0)),
        "observedGeneration": found["metadata"].get("generation", 0),
    }
    others = [one for one in status.get("conditions") or [] if one.get("type") != "Issuing"]
    return {**found, "status": {**status, "conditions": [*others, asked]}}


async def _issued(where: Cluster, context: Context, ref: Ref, before: int) -> Result:
    """Wait until there is a new certificate."""
    try:
        async with (
            context.patience(),
            aclosing(where.states(ref)) as states,
        ):
            async for found in states:
                issuing = condition(found, "Issuing") or {}
                result = _result(found, before, context.now())
                if issuing.get("status") == "False":
                    message = f"{ref} could not be issued: {issuing.get('message', 'no reason was given')}"
                    raise CheckFailed(message, result)
                if result.done:
                    return result
    except TimeoutError:
        pass
    message = f"{ref} is not issued yet; cert-manager goes on, and the next attempt waits for it"
    raise Unavailable(message, kind="timeout", in_doubt=True)


def _result(found: Json, before: int, now: datetime) -> Result:
    seen = summary(found, now)
    done = seen.revision > before and seen.ready and not seen.issuing
    return Result(
        done=done,
        revision_before=before,
        revision=seen.revision,
        not_after=seen.not_after,
        days_left=seen.days_left,
        change=Change(before={"revision": before}, after={"revision": seen.revision, "issuing": not done}),
    )


def _is_issuing(found: Json) -> bool:
    return (condition(found, "Issuing") or {}).get("status") == "True"


def _counts(found: Json) -> str:
    """How often it was issued, and how often that failed since."""
    return f"{_revision(found)}/{(found.get('status') or {}).get('failedIssuanceAttempts') or 0}"


def _revision(found: Json) -> int:
    return (found.get("status") or {}).get("revision") or 0


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run, observe=run)
