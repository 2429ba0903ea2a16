"""`pagerduty.add_note` against the fake PagerDuty: written once, on the right incident, and found again.

Not here: what a misbehaving PagerDuty means; that is in `tests/integration/actions/test_pagerduty_client.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from runbookd.actions.performer import CataloguePerformer
from runbookd.model.action import Call, OutcomeState, Probed
from tests.contract.actions.hands import (
    KEY,
    SetClock,
    call,
    failed,
    json_answer,
    performing,
    serving,
    succeeded,
)
from tests.fakes.pagerduty import (
    FROM,
    READ_ONLY_TOKEN,
    SERVICE_KEY,
    TOKEN,
    USER_TOKEN,
    Fault,
    PagerDuty,
    pagerduty,
)

MARK = f"[runbookd {KEY}]"


def note(text: str = "Rolled back", *, key: str = KEY, **params: Any) -> Call:
    """A call that writes on the incident of `inc-1`."""
    return call("pagerduty.add_note", {"dedup_key": "inc-1", "note": text} | params, key=key)


async def page(
    performer: CataloguePerformer, dedup_key: str = "inc-1", service_key: str = SERVICE_KEY
) -> None:
    """Open the incident."""
    params = {"service_key": service_key, "dedup_key": dedup_key, "summary": "Shop is down"}
    succeeded(await performer.perform(call("pagerduty.send_event", params)))


@asynccontextmanager
async def paged(token: str = TOKEN, **settings: Any) -> AsyncIterator[tuple[PagerDuty, CataloguePerformer]]:
    """A PagerDuty where `inc-1` was paged, and a performer that signs in with this token."""
    clock = SetClock(tick=timedelta(milliseconds=1))
    async with (
        pagerduty(clock.now) as server,
        performing(server.config(**settings), pd_token=token) as performer,
    ):
        await page(performer)
        yield server, performer


def notes(server: PagerDuty) -> list[list[str]]:
    """What is written on each incident."""
    return [[one["content"] for one in incident.notes] for incident in server.account.incidents]


async def test_a_note_is_written_once() -> None:
    """The note ends with the step's key, so a second attempt and the probe find it; another step writes another."""
    async with paged() as (server, performer):
        assert (await performer.probe(note()))[0] is Probed.NOT_DONE
        outcome = await performer.perform(note())
        first = succeeded(outcome)
        incident = server.account.incidents[0]
        assert first == {"incident_id": incident.id, "note_id": incident.notes[0]["id"], "created": True}
        assert outcome.change == {"before": None, "after": {"incident_id": incident.id}}
        again = await performer.perform(note())
        assert succeeded(again) == {**first, "created": False}
        assert again.change is None
        answer, known = await performer.probe(note())
        assert answer is Probed.DONE
        assert known is not None
        assert known.output == first
        succeeded(await performer.perform(note("Restarted", key="run-2")))
        assert incident.notes[0]["user"]["summary"] == "runbookd"
    assert notes(server) == [[f"Rolled back\n\n{MARK}", "Restarted\n\n[runbookd run-2]"]]


async def test_a_note_in_doubt_is_probed() -> None:
    """When the answer is lost the note is in doubt; the probe tells whether it was written, and it is written once."""
    async with paged() as (server, performer):
        for after, probed in ((False, Probed.NOT_DONE), (True, Probed.DONE)):
            server.fail("POST /incidents", Fault(drop=True, after=after))
            failed(await performer.perform(note()), "connection_lost", OutcomeState.IN_DOUBT)
            assert (await performer.probe(note()))[0] is probed
        assert succeeded(await performer.perform(note()))["created"] is False
    assert [len(written) for written in notes(server)] == [1]


async def test_the_open_incident_is_written_on() -> None:
    """Of several incidents of one key it is the open one; when none is open, the latest."""
    async with paged() as (server, performer):
        await page(performer, "inc-2")
        server.resolve("inc-1")
        await page(performer)
        succeeded(await performer.perform(note("open")))
        server.resolve("inc-1")
        succeeded(await performer.perform(note("latest", key="run-2")))
    assert [len(written) for written in notes(server)] == [0, 0, 2]


async def test_a_service_tells_incidents_of_one_key_apart() -> None:
    """The same key in two services means two incidents; the service says which."""
    other = "0" * 32
    async with paged() as (server, performer):
        wanted = server.service
        server.account.add_service("Ledger", other)
        await page(performer, service_key=other)
        succeeded(await performer.perform(note(service=wanted)))
    assert [len(written) for written in notes(server)] == [1, 0]


async def test_an_incident_that_tells_no_key_is_found() -> None:
    """PagerDuty finds incidents by the keys of their alerts, though they do not name them."""
    async with paged() as (server, performer):
        server.account.tells_keys = False
        succeeded(await performer.perform(note()))
    assert [len(written) for written in notes(server)] == [1]


@pytest.mark.parametrize("key", ["a b&c=%+#?", "ä\n", "x" * 300, "<!channel>"], ids=ascii)
async def test_any_key_finds_its_incident(key: str) -> None:
    """The key is made the same way for the page and for the note."""
    async with paged() as (server, performer):
        await page(performer, key)
        succeeded(await performer.perform(note(dedup_key=key)))
    assert [len(written) for written in notes(server)] == [0, 1]


async def test_an_event_still_on_its_way_is_waited_for() -> None:
    """While PagerDuty has not made an incident of the page yet, the note fails for now, and is in no doubt."""
    async with paged() as (server, performer):
        server.slow = True
        await page(performer, "inc-2")
        outcome = await performer.perform(note(dedup_key="inc-2"))
        assert "not yet" in failed(outcome, "not_found")
        assert outcome.failure is not None
        assert outcome.failure.temporary
        assert (await performer.probe(note(dedup_key="inc-2")))[0] is Probed.NOT_DONE
        server.work_off()
        succeeded(await performer.perform(note(dedup_key="inc-2")))


@pytest.mark.parametrize(
    ("token", "settings", "kind", "said"),
    [
        (TOKEN, {"from_email": None}, "invalid", "Requester User Not Found"),
        (TOKEN, {"from_email": "nobody@example.com"}, "invalid", "Requester User Not Found"),
        (USER_TOKEN, {"from_email": None}, None, ""),
        (READ_ONLY_TOKEN, {}, "denied", "Access Denied"),
        ("u+canary-unknown", {}, "denied", "Authentication failed"),
    ],
)
async def test_who_may_write(token: str, settings: dict[str, Any], kind: str | None, said: str) -> None:
    """An account's key needs an author it knows, a user's own does not, a read-only one may not; no key is told."""
    async with paged(token, **settings) as (_, performer):
        outcome = await performer.perform(note())
    if kind is None:
        succeeded(outcome)
    else:
        assert said in failed(outcome, kind)
    assert "canary" not in repr(outcome)


async def test_the_author_is_the_one_of_the_settings() -> None:
    """The request says in whose name it writes, and signs in as the REST API wants it."""
    async with paged() as (server, performer):
        succeeded(await performer.perform(note()))
        asked = server.asked[-1]
    assert (asked.method, asked.headers["From"]) == ("POST", FROM)
    assert asked.headers["Authorization"] == f"Token token={TOKEN}"


@pytest.mark.parametrize(
    "text",
    ["<!channel>", "</p><script>", "two\nlines", "\ud800", "😀" * 50_000, "x" * 100_000, "nul\0"],
    ids=ascii,
)
async def test_no_label_stops_a_note(text: str) -> None:
    """Whatever a note holds it is written, cut at its end but not its key, and found again."""
    async with paged() as (server, performer):
        succeeded(await performer.perform(note(text)))
        assert succeeded(await performer.perform(note(text)))["created"] is False
    ((written,),) = notes(server)
    assert written.endswith(MARK)
    assert len(written) < 21_000


@pytest.mark.parametrize(
    "answers",
    [
        {"/incidents": {"incidents": {}}},
        {"/incidents": {"incidents": [7]}},
        {"/incidents": {"incidents": [{"id": "../users"}]}},
        {"/incidents": {"incidents": [{"id": "PX"}]}, "/incidents/PX/notes": {"notes": "none"}},
        {"/incidents": {"incidents": [{"id": "PX"}]}, "/incidents/PX/notes": {"notes": [], "note": {}}},
    ],
    ids=str,
)
async def test_answers_that_are_none_are_told(answers: dict[str, Any]) -> None:
    """Answers of another shape than the API promises end the call, and no path is made of them."""

    async def answer(request: web.Request) -> web.Response:
        return json_answer(answers[request.path])

    async with (
        serving(answer) as url,
        performing({"pagerduty": {"rest_url": url, "token_secret": "t"}}, t="x") as performer,
    ):
        failed(await performer.perform(note()), "unexpected_status")


@pytest.mark.parametrize("wrong", [{"dedup_key": ""}, {"note": ""}, {"service": "../x"}], ids=str)
async def test_a_note_written_wrongly_is_refused(wrong: dict[str, str]) -> None:
    """An empty key would find any incident, so it is refused before anything is asked; so is an empty note."""
    async with pagerduty() as server, performing(server.config(), pd_token=TOKEN) as performer:
        failed(await performer.perform(note(**wrong) if "note" not in wrong else note("")), "invalid")
    assert server.asked == []
