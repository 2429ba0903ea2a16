"""Scripts and screens act on incidents by the API, in the name of their token, once for each Idempotency-Key."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runbookd.errors import SettingsError
from runbookd.model.incident import Incident, IncidentState
from runbookd.web.auth import tokens
from runbookd.web.config import WebConfig
from tests.integration.web.doors import Answer, running_door
from tests.integration.web.house import API, API_TOKEN, House, house

SERVICE_KEY = "e93facc04764012d7bfb002500d5d1a6"


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    """Everything, running."""
    async with house(tmp_path) as running:
        yield running


async def act(
    home: House, incident: Incident, what: str, headers: Mapping[str, str] = API, **told: Any
) -> Answer:
    """Post an act, and do what it makes due."""
    answer = await home.api("POST", f"/v1/incidents/{incident.id}/{what}", json.dumps(told).encode(), headers)
    await home.work()
    return answer


async def test_acknowledge(home: House) -> None:
    """The token's holder has it; the answer is the incident as it is now; the ladder stops and the pager is quiet."""
    incident = await home.trouble()
    answer = await act(home, incident, "acknowledge", text="on it")
    assert answer.status == 200
    assert answer.json["changed"] is True
    assert answer.json["said"].startswith("console has incident")
    assert answer.json["incident"]["acknowledged_by"] == "api:console"
    assert answer.json["incident"]["acknowledged_at"] == "2026-01-05T12:00:02Z"
    assert home.pagerduty.account.incidents[0].status == "acknowledged"
    await home.engine.move(timedelta(hours=1))
    assert [level.reason for level in await home.engine.levels(incident)][1:] == ["acknowledged"] * 2
    again = await act(home, incident, "acknowledge")
    assert (again.status, again.json["changed"]) == (200, False)


async def test_every_act_is_done(home: House) -> None:
    """Each changes what its name says, and is in the ledger with the name of the token."""
    incident = await home.trouble()
    assert (await act(home, incident, "escalate", text="needs more eyes")).status == 200
    assert (await act(home, incident, "escalate", priority="P0", text="customers")).json["incident"][
        "priority"
    ] == "P0"
    assert (await act(home, incident, "assign", text="anna")).json["incident"]["assignee"] == "anna"
    assert (await act(home, incident, "note", text="line 1\nline 2")).json["said"] == "noted"
    assert (await act(home, incident, "note", text="We are on it.", public=True)).json["changed"] is True
    assert (await act(home, incident, "resolve", text="mended")).json["incident"]["state"] == "resolved"
    assert (await act(home, incident, "review")).json["changed"] is False
    assert (await act(home, incident, "note", text="written later")).status == 200
    acts = [entry.entry for entry in await home.engine.ledger() if entry.entry.what.startswith("person_")]
    assert [entry.what for entry in acts] == [
        "person_escalate",
        "person_escalate",
        "person_assign",
        "person_note",
        "person_note",
        "person_resolve",
        "person_note",
    ]
    assert {entry.actor for entry in acts} == {"api:console"}


async def test_a_body_is_not_needed(home: House) -> None:
    """An act that says nothing more is an empty POST."""
    incident = await home.trouble()
    assert (await home.api("POST", f"/v1/incidents/{incident.id}/acknowledge")).status == 200


@pytest.mark.parametrize("what", ["acknowledge", "escalate", "resolve"])
async def test_a_blank_text_is_none(home: House, what: str) -> None:
    """Nothing but blanks says nothing: no message and no review quotes it."""
    incident = await home.trouble()
    assert (await act(home, incident, what, text=" \n ")).status == 200
    (entry,) = await home.entries(f"person_{what}")
    assert entry.entry.detail["text"] == ""


async def test_the_same_key_is_done_once(home: House) -> None:
    """A request sent again is told before; the same key for another act or incident is another act."""
    incident, other = await home.trouble(), await home.trouble("Quiet")
    keyed = {**API, "Idempotency-Key": "7f3k9x2b"}
    first = await act(home, incident, "note", keyed, text="one")
    second = await act(home, incident, "note", keyed, text="one")
    assert [first.json["changed"], second.json["changed"]] == [True, False]
    assert (await act(home, other, "note", keyed, text="one")).json["changed"] is True
    assert (await act(home, incident, "resolve", keyed)).json["changed"] is True
    assert (await act(home, incident, "resolve", keyed)).status == 200
    assert len(await home.entries("person_note")) == 2


async def test_what_is_over_is_a_conflict_each_time(home: House) -> None:
    """409 keeps nothing, not even the key, so that the answer stays the same."""
    incident = await home.trouble()
    await act(home, incident, "resolve")
    for _ in range(2):
        answer = await act(home, incident, "acknowledge", {**API, "Idempotency-Key": "k"})
        assert (answer.status, answer.json["error"]) == (409, "conflict")
        assert answer.json["detail"] == f"incident {incident.id} is over already"
    assert (await home.incident(incident)).state is IncidentState.RESOLVED


@pytest.mark.parametrize(
    "path",
    [
        "/v1/incidents/inc-gone",
        "/v1/incidents/inc-gone/acknowledge",
        "/v1/incidents/%ff%00",
        "/v1/incidents/a%2Fb/acknowledge",
        "/v1/incidents/" + "a" * 65,
        "/v1/incidents/inc-gone/destroy",
    ],
)
async def test_what_is_not_there_is_not_found(home: House, path: str) -> None:
    """404 for an incident that is not there, and for an act that there is not."""
    method = "POST" if path.count("/") == 4 else "GET"
    answer = await home.api(method, path)
    assert (answer.status, answer.json["error"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("what", "body", "says"),
    [
        ("note", b"{}", "text: `note` needs it"),
        ("note", b'{"text": " \\n"}', "text: `note` needs it"),
        ("assign", b"", "text: `assign` needs it"),
        ("assign", b'{"text": "anna\\nbert"}', "text: a name is one line"),
        (
            "assign",
            b'{"text": "\\u202eanna"}',
            "text: a name is one line, without characters that cannot be seen",
        ),
        ("assign", b'{"text": "%s"}' % (b"x" * 101), "text: it has 101 characters; at most 100 are taken"),
        ("acknowledge", b"[]", "expected object, got list"),
        ("acknowledge", b'"x"', "expected object, got text"),
        ("acknowledge", b'{"public": true}', "public: only a note can be"),
        ("note", b'{"text": "x", "public": "yes"}', "public: Input should be a valid boolean"),
        ("note", b'{"text": 7}', "text: Input should be a valid string"),
        ("note", b'{"text": "a\\u0000b"}', "text: Value error, has a NUL character"),
        ("note", b'{"text": "%s"}' % (b"x" * 10_001), "text: String should have at most 10000 characters"),
        ("resolve", b'{"reason": "x"}', "reason: Extra inputs are not permitted"),
        ("resolve", b'{"priority": "P0"}', "priority: only `escalate` takes one"),
        ("escalate", b'{"priority": "P9"}', "priority: there is no P9; there are: P0, P1, P3"),
        ("escalate", b'{"priority": "${secret.pd_key}"}', "priority: String should match pattern"),
    ],
)
async def test_what_does_not_fit_is_named(home: House, what: str, body: bytes, says: str) -> None:
    """422 names the field and what it needs, and nothing is done."""
    incident = await home.trouble("Quiet")
    answer = await home.api("POST", f"/v1/incidents/{incident.id}/{what}", body)
    assert (answer.status, answer.json["error"]) == (422, "invalid_request")
    assert says in answer.json["detail"]
    assert not [one for one in await home.engine.ledger() if one.entry.what.startswith("person_")]


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "a b", "é"])
async def test_a_key_that_cannot_be_one_is_named(home: House, key: str) -> None:
    """422, because to do it without the key could be to do it twice."""
    incident = await home.trouble("Quiet")
    answer = await act(home, incident, "acknowledge", {**API, "Idempotency-Key": key})
    assert answer.status == 422
    assert "Idempotency-Key" in answer.json["detail"]


@pytest.mark.parametrize(
    "body", [b"{", b"\xff", b"\xef\xbb\xbf{}", b"[" * 10_000 + b"]" * 10_000, b'{"text":"\\ud800"}']
)
async def test_what_is_not_json_is_refused(home: House, body: bytes) -> None:
    """400 with the place of the fault."""
    incident = await home.trouble("Quiet")
    answer = await home.api("POST", f"/v1/incidents/{incident.id}/acknowledge", body)
    assert (answer.status, answer.json["error"]) == (400, "invalid_payload")


async def test_a_large_or_compressed_body_is_refused(home: House) -> None:
    """413 and 415, whoever sends it."""
    path = f"/v1/incidents/{(await home.trouble('Quiet')).id}/note"
    assert (await home.api("POST", path, b" " * 65_537)).status == 413
    assert (await home.api("POST", path, b"x", {**API, "Content-Encoding": "gzip"})).status == 415


async def test_a_body_that_does_not_come_is_temporary(tmp_path: Path) -> None:
    """503 after the time a body has."""
    async with house(tmp_path, read_timeout=timedelta(milliseconds=20)) as home:
        incident = await home.trouble("Quiet")
        answer = await home.wire.raw(
            f"POST /v1/incidents/{incident.id}/note HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {API_TOKEN}\r\n"
            "Content-Length: 10\r\n\r\n{".encode()
        )
        assert (answer.status, answer.json["error"]) == (503, "slow_body")


async def test_hostile_text_is_kept_and_harmless(home: House) -> None:
    """A note goes out escaped: it mentions nobody, and is no markup, template or secret."""
    incident = await home.trouble()
    hostile = "<!channel> </p><script> ${secret.pd_key} {{ 7*7 }} %s 🔥\r\nBcc: eve@example.com"
    assert (await act(home, incident, "note", text=hostile, public=True)).status == 200
    (entry,) = await home.entries("person_note")
    assert entry.entry.detail["text"] == hostile
    channel = home.slack.workspace.channels[0]
    assert len(channel.messages) >= 2
    assert not [message for message in channel.messages if message.mentions]
    assert SERVICE_KEY not in "".join(message.text for message in channel.messages)


async def test_incidents_are_listed(home: House) -> None:
    """Newest first, by state, rule and priority, as many as are asked for."""
    first, second = await home.trouble(), await home.trouble("Quiet")
    await act(home, first, "resolve")

    async def ids(query: str = "") -> list[str]:
        answer = await home.api("GET", f"/v1/incidents{query}")
        assert answer.status == 200
        return [incident["id"] for incident in answer.json["incidents"]]

    assert await ids() == [second.id, first.id]
    assert await ids("?state=open") == [second.id]
    assert await ids("?rule=down&priority=P1") == [first.id]
    assert await ids("?limit=1") == [second.id]
    assert await ids("?rule=%3Cscript%3E") == []


@pytest.mark.parametrize(
    "query", ["state=closed", "limit=0", "limit=501", "limit=x", "rule=%00", "order=up", "state=open&limit="]
)
async def test_a_filter_that_there_is_not_is_named(home: House, query: str) -> None:
    """422 names it."""
    answer = await home.api("GET", f"/v1/incidents?{query}")
    assert answer.status == 422
    assert answer.json["detail"].split(":")[0] in query


async def test_a_level_is_called_by_one_number(home: House) -> None:
    """Whoever asks for help, and whoever looks at the incident or its ledger, reads of the same level."""
    incident = await home.trouble()
    said = (await act(home, incident, "escalate", text="more")).json["said"]
    await home.work()
    assert said == f"level 2 of incident {incident.id} is told now"
    told = [entry.entry.detail for entry in await home.entries("message_sent")]
    assert {str(one["for"]) for one in told if one["kind"] == "page"} == {"level 1", "level 2"}
    assert [entry.entry.detail["level"] for entry in await home.entries("level_fired")] == [1, 2]


async def test_a_priority_is_raised_and_never_lowered(home: House) -> None:
    """The refusal is a sentence, and a conflict: nothing was done."""
    incident = await home.trouble()
    answer = await act(home, incident, "escalate", priority="P3", text="not so bad")
    assert answer.status == 409
    assert "P3 is lower than P1, and a priority can only be raised" in answer.json["detail"]
    assert (await home.incident(incident)).priority == "P1"


async def test_one_incident_is_shown_with_all_about_people(home: House) -> None:
    """Clocks, levels and messages with their words and what became of them; no address of anybody, and no secret."""
    incident = await home.trouble()
    answer = await home.api("GET", f"/v1/incidents/{incident.id}")
    shown = answer.json
    assert (shown["id"], shown["title"], shown["key"]) == (
        incident.id,
        "The shop is down",
        {"fingerprint": "Down", "source": "alertmanager"},
    )
    assert [clock["kind"] for clock in shown["clocks"]] == ["acknowledge", "respond"]
    assert [(level["number"], level["state"]) for level in shown["levels"]] == [
        (1, "fired"),
        (2, "pending"),
        (3, "pending"),
    ]
    states = {(message["channel"], message["state"]) for message in shown["messages"]}
    assert {("slack", "sent"), ("pagerduty", "sent")} <= states
    assert all("address" not in message for message in shown["messages"])
    assert SERVICE_KEY not in answer.body.decode()
    assert "secret" not in answer.body.decode()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": API_TOKEN},
        {"Authorization": f"Basic {API_TOKEN}"},
        {"Authorization": f"Bearer {API_TOKEN}\xff"},
        {"Cookie": f"token={API_TOKEN}"},
    ],
)
async def test_strangers_see_and_do_nothing(home: House, headers: Mapping[str, str]) -> None:
    """401 at every address, before anything is said of what there is."""
    incident = await home.trouble("Quiet")
    for method, path in (
        ("GET", "/v1/incidents"),
        ("GET", f"/v1/incidents/{incident.id}"),
        ("GET", "/v1/incidents/inc-gone"),
        ("POST", f"/v1/incidents/{incident.id}/acknowledge"),
    ):
        answer = await home.api(method, path, b"{" if method == "POST" else None, headers)
        assert (answer.status, answer.json["error"]) == (401, "unauthorized")
        assert answer.headers["www-authenticate"] == 'Bearer realm="runbookd"'
    assert (await home.incident(incident)).acknowledged_by is None


async def test_without_tokens_nobody_comes_in() -> None:
    """No settings is no entrance."""
    async with running_door() as door:
        for headers in ({}, API, {"Authorization": "Bearer "}):
            assert (await door.ask("GET", "/v1/incidents", headers)).status == 401


async def test_each_token_has_its_name(tmp_path: Path) -> None:
    """Several tokens are valid at once, from files too; each acts in its own name."""
    (tmp_path / "token").write_text("from-file\n")
    named = {"console": {"value": "one"}, "bot": {"file": tmp_path / "token"}}
    async with house(tmp_path, api_tokens=named) as home:
        incident = await home.trouble("Quiet")
        for token, name in (("one", "console"), ("from-file", "bot")):
            answer = await act(home, incident, "acknowledge", {"Authorization": f"Bearer {token}"})
            assert answer.json["incident"]["acknowledged_by"] == f"api:{name}"


def test_a_token_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    """The file is named, and no token is shown in settings."""
    config = WebConfig.model_validate(
        {"api_tokens": {"a": {"file": tmp_path / "none"}, "b": {"value": API_TOKEN}}}
    )
    with pytest.raises(SettingsError, match="cannot read the secret file"):
        tokens(config.api_tokens)
    assert API_TOKEN not in f"{config!r} {config.model_dump_json()}"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "GET"])
async def test_acts_are_posted(home: House, method: str) -> None:
    """405 says which method is taken."""
    answer = await home.api(method, "/v1/incidents/inc-1/acknowledge")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
