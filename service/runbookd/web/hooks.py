"""`POST /v1/hooks/{source}`: who is it, read the body, hand it in, say what became of it.

| answer | when |
|---|---|
| 202 | the delivery is committed: `{"delivery": id, "alerts": n}` |
| 400 | the body can never be understood; it is kept as a dead letter under the `delivery` told |
| 401 | nobody we know; the body is not read, except by a source that signs it |
| 404, 405 | no such source; another method than POST |
| 413, 415 | larger than the limit; compressed. What was read is kept as a dead letter |
| 503 | temporary: the database cannot take it, too much is waiting, or the body came too slowly |

Any Content-Type is taken: what counts is whether the body is JSON.

Two sources are told what people do, and sign it. They differ in this:

| source | answer | when |
|---|---|---|
| `pagerduty` | 202 | also for a body that is not understood, kept as a dead letter: three 4xx stop it for a day |
| `slack` | 200, empty | the delivery is committed; the person sees nothing of it |
| both | 401 | the signature is missing, wrong or (Slack) older than 5 minutes; nothing is kept |
| both | 413, 415 | larger than 1 MiB; compressed. Nothing is kept, because nothing was signed |
| both | 503 | besides the above: no signing secret is set, so nobody can be told from a stranger; the body broke off |
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter

from runbookd.errors import StoreUnavailable
from runbookd.web.body import BodyReader, BodyRefused
from runbookd.web.problems import HEADERS, Problem, answer, problem, unavailable
from runbookd.web.signatures import Signatures

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbookd.ports import Clock
    from runbookd.stages.receive import Receipt
    from runbookd.web.auth import Credentials

MEBIBYTE: Final = 1024 * 1024
SIGNED_BODY: Final = MEBIBYTE
"""Bytes of one body that a stranger may have read before its signature tells; PagerDuty sends 256 KB at most."""
SIGNED_HELD: Final = 16 * MEBIBYTE
"""Bytes of all such bodies at once, apart from those of known senders."""


class Inbox(Protocol):
    """Where deliveries go in. Both return once it is on disk, and raise StoreUnavailable when it cannot be."""

    async def receive(
        self, source: str, body: bytes, headers: Mapping[str, str], remote: str | None
    ) -> Receipt:
        """Keep a delivery. One that can never be understood is kept as a dead letter, and the receipt says why."""
        ...

    async def refuse(
        self, source: str, body: bytes, headers: Mapping[str, str], remote: str | None, reason: str
    ) -> Receipt:
        """Keep what arrived of a known sender's body that was refused before it was read to its end."""
        ...


class Readers(NamedTuple):
    """What reads the bodies of known senders, and those that are only known by the body's signature."""

    known: BodyReader
    signed: BodyReader


class Hooks:
    """The handler of every webhook. `doors` has what opens the door of every source that takes webhooks."""

    def __init__(
        self,
        inbox: Inbox,
        *,
        doors: Mapping[str, Credentials | Signatures],
        readers: Readers,
        clock: Clock,
        registry: CollectorRegistry,
    ) -> None:
        """Count answers in `registry` as `runbookd_hook_answers_total`, by source and status."""
        self._inbox = inbox
        self._doors = doors
        self._reader, self._signed_reader = readers
        self._clock = clock
        self._answers = Counter(
            "runbookd_hook_answers", "Answers to webhooks.", ["source", "status"], registry=registry
        )
        self._counted: dict[tuple[str, int], Counter] = {}

    async def post(self, request: web.Request) -> web.Response:
        """Answer one webhook."""
        source = request.match_info["source"]
        door = self._doors.get(source)
        if door is None:
            # What was asked for is a stranger's text, and not repeated in an answer or a metric.
            return problem(HTTPStatus.NOT_FOUND, Problem.NOT_FOUND, "no source of this name takes webhooks")
        if isinstance(door, Signatures):
            response = await self._take_signed(source, door, request)
        elif door.allow(request.headers, _certificate_of(request, door)):
            response = await self._take(source, request)
        else:
            response = problem(
                HTTPStatus.UNAUTHORIZED,
                Problem.UNAUTHORIZED,
                "the sender's credentials are missing or not valid; check this source's `hooks` settings",
                headers={"WWW-Authenticate": door.challenge},
            )
        self._count(source, response.status)
        return response

    def _count(self, source: str, status: int) -> None:
        """Count an answer. Finding a metric by its labels costs more than counting, so it is done once."""
        counted = self._counted.get((source, status))
        if counted is None:
            counted = self._counted[source, status] = self._answers.labels(source, status)
        counted.inc()

    async def _take(self, source: str, request: web.Request) -> web.Response:
        """Take a known sender's delivery."""
        try:
            body = await self._reader.read(request, source)
        except BodyRefused as refused:
            return await self._refuse(source, request, refused)
        try:
            receipt = await self._inbox.receive(source, body, request.headers, request.remote)
        except StoreUnavailable as error:
            return unavailable(Problem.STORE_UNAVAILABLE, str(error))
        finally:
            self._reader.release(body, source)
        return _refused(receipt) or answer(
            HTTPStatus.ACCEPTED, {"delivery": receipt.delivery.id, "alerts": receipt.alerts}
        )

    async def _take_signed(self, source: str, door: Signatures, request: web.Request) -> web.Response:
        """Take a delivery that its sender has signed; of anybody else nothing is kept."""
        if not door.secrets:
            return unavailable(
                Problem.UNSET, f"no secret to check signatures with; set web.hooks.{source}.signing"
            )
        try:
            body = await self._signed_reader.read(request, source)
        except BodyRefused as refused:
            response = problem(refused.status, refused.problem, str(refused))
            if refused.problem not in {Problem.TOO_LARGE, Problem.ENCODED_BODY}:
                response = unavailable(refused.problem, str(refused))
            response.force_close()
            return response
        try:
            if not door.allow(request.headers, body, self._clock.now()):
                return problem(
                    HTTPStatus.UNAUTHORIZED,
                    Problem.UNAUTHORIZED,
                    "the signature is missing, not valid or too old; check this source's `signing` secrets",
                    headers={"WWW-Authenticate": door.challenge},
                )
            receipt = await self._inbox.receive(source, body, request.headers, request.remote)
        except StoreUnavailable as error:
            return unavailable(Problem.STORE_UNAVAILABLE, str(error))
        finally:
            self._signed_reader.release(body, source)
        return _ANSWERS[source](receipt)

    async def _refuse(self, source: str, request: web.Request, refused: BodyRefused) -> web.Response:
        """Answer a body that was not read to its end: what is temporary is sent again, the rest is kept."""
        if refused.status == HTTPStatus.SERVICE_UNAVAILABLE:
            response = unavailable(refused.problem, str(refused))
        else:
            try:
                receipt = await self._inbox.refuse(
                    source, refused.start, request.headers, request.remote, str(refused)
                )
            except StoreUnavailable as error:
                return unavailable(Problem.STORE_UNAVAILABLE, str(error))
            response = problem(refused.status, refused.problem, str(refused), delivery=receipt.delivery.id)
        response.force_close()  # the rest of the body is still on the connection
        return response


def _refused(receipt: Receipt) -> web.Response | None:
    """Say why a body can never be understood; None when it was."""
    if receipt.refusal is None:
        return None
    return problem(
        HTTPStatus.BAD_REQUEST, Problem.INVALID_PAYLOAD, receipt.refusal, delivery=receipt.delivery.id
    )


def _to_pagerduty(receipt: Receipt) -> web.Response:
    """Accept whatever PagerDuty has signed."""
    return answer(HTTPStatus.ACCEPTED, {"delivery": receipt.delivery.id})


def _to_slack(receipt: Receipt) -> web.Response:
    """Accept without a word: a body would be shown to the person, or taken for an order to Slack."""
    return _refused(receipt) or web.Response(status=HTTPStatus.OK, headers=HEADERS)


_ANSWERS: Final = {"pagerduty": _to_pagerduty, "slack": _to_slack}


def _certificate_of(request: web.Request, door: Credentials) -> Mapping[str, object] | None:
    """Return the client's verified certificate where it counts, else None."""
    if not door.client_names or request.transport is None:
        return None
    certificate: Mapping[str, object] | None = request.transport.get_extra_info("peercert")
    return certificate
