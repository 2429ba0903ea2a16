"""Only known senders come in, by any of several secrets; nobody comes in where there is none."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from runbookd.errors import SettingsError
from runbookd.web.auth import credentials, names_in
from runbookd.web.config import HookAuth, WebConfig
from tests.integration.web.doors import GOOD, TOKEN, Door, running_door


def basic(user: str, password: str) -> str:
    """The Authorization header of a user and password."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


ALL: dict[str, Any] = {
    "bearer": ["token-one", "token-two", "tökén"],
    "basic": [{"username": "am", "password": "pass:word"}, {"username": "am", "password": "older"}],
    "header": [
        {"name": "X-Runbookd-Token", "value": "static-one"},
        {"name": "X-Other", "value": "static-two"},
    ],
}

OPENING = [
    {"Authorization": "Bearer token-one"},
    {"Authorization": "bearer token-two"},
    {"Authorization": "BEARER  token-two"},
    {"Authorization": "Bearer tökén"},
    {"Authorization": basic("am", "pass:word")},
    {"Authorization": basic("am", "older")},
    {"x-runbookd-token": "static-one"},
    {"X-Other": "static-two"},
    {"Authorization": "Bearer wrong", "X-Other": "static-two"},
]

CLOSED: list[Mapping[str, str]] = [
    {},
    {"Authorization": ""},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer "},
    {"Authorization": "Bearer token-on"},
    {"Authorization": "Bearer token-one2"},
    {"Authorization": "Bearer TOKEN-ONE"},
    {"Authorization": "token-one"},
    {"Authorization": "Token token-one"},
    {"Authorization": "Basic token-one"},
    {"Authorization": "Bearer " + base64.b64encode(b"am:pass:word").decode()},
    {"Authorization": basic("am", "wrong")},
    {"Authorization": basic("", "pass:word")},
    {"Authorization": "Basic ####"},
    {"Authorization": "Basic YW06cGFzczp3b3Jk\xff"},
    {"Authorization": "Bearer static-one"},
    {"X-Runbookd-Token": "token-one"},
    {"X-Runbookd-Token": "static-two"},
    {"X-Other": "static-one"},
    {"X-Other": ""},
    {"Cookie": "Authorization=token-one"},
]


@pytest.mark.parametrize("headers", OPENING)
async def test_each_secret_opens(headers: Mapping[str, str]) -> None:
    """Bearer tokens, passwords and headers open the door, several of each at once."""
    async with running_door({"hooks": {"alertmanager": ALL}}) as door:
        assert (await door.post(GOOD, headers)).status == 202


@pytest.mark.parametrize("headers", CLOSED)
async def test_nothing_else_opens(headers: Mapping[str, str]) -> None:
    """401 says which schemes there are, keeps nothing, and repeats nothing that was presented."""
    async with running_door({"hooks": {"alertmanager": ALL}}) as door:
        answer = await door.post(GOOD, headers)
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == 'Bearer realm="runbookd", Basic realm="runbookd"'
        assert not door.inbox.kept
        assert not any(value in answer.body.decode() for value in headers.values() if value)


async def test_a_secret_given_twice_does_not_open(door: Door) -> None:
    """Two Authorization headers are ambiguous: a proxy may have checked the other one."""
    answer = await door.raw(
        f"POST /v1/hooks/alertmanager HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Authorization: Bearer other\r\nContent-Length: 0\r\n\r\n".encode()
    )
    assert answer.status in {400, 401}


@pytest.mark.parametrize("hooks", [{}, {"alertmanager": {}}])
async def test_a_source_without_secrets_lets_nobody_in(hooks: Mapping[str, Any]) -> None:
    """No settings is no entrance, not an open one."""
    async with running_door({"hooks": hooks}) as door:
        for headers in ({}, *OPENING, {"Authorization": "Bearer "}, {"Authorization": basic("", "")}):
            answer = await door.post(GOOD, headers)
            assert answer.status == 401
            assert answer.headers["www-authenticate"] == 'Bearer realm="runbookd"'


async def test_a_stranger_is_answered_before_the_body(door: Door) -> None:
    """401 comes although the announced body never does."""
    answer = await door.raw(
        b"POST /v1/hooks/alertmanager HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n"
    )
    assert answer.status == 401


async def test_secrets_are_read_from_files(tmp_path: Path) -> None:
    """Mounted files hold secrets; the line end that editors add is not part of them."""
    (tmp_path / "token").write_text("from-file\n")
    auth = {
        "bearer_files": [tmp_path / "token"],
        "basic": [{"username": "am", "password_file": tmp_path / "token"}],
        "header": [{"name": "X-Token", "file": tmp_path / "token"}],
    }
    async with running_door({"hooks": {"alertmanager": auth}}) as door:
        for headers in (
            {"Authorization": "Bearer from-file"},
            {"Authorization": basic("am", "from-file")},
            {"X-Token": "from-file"},
        ):
            assert (await door.post(GOOD, headers)).status == 202


@pytest.mark.parametrize(("content", "expected"), [(None, "cannot read the secret file"), ("\n", "is empty")])
def test_a_bad_secret_file_stops_the_start(tmp_path: Path, content: str | None, expected: str) -> None:
    """A file that is missing or empty is named."""
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SettingsError, match=expected) as refused:
        credentials(HookAuth(bearer_files=[file]))
    assert str(file) in str(refused.value)


@pytest.mark.parametrize(
    "auth",
    [
        {"bearer": [""]},
        {"basic": [{"username": "a:b", "password": "x"}]},
        {"basic": [{"username": "a"}]},
        {"basic": [{"username": "a", "password": "x", "password_file": "/x"}]},
        {"basic": [{"username": "", "password": "x"}]},
        {"header": [{"name": "X-Token"}]},
        {"header": [{"name": "X-Token", "value": ""}]},
        {"header": [{"name": "X Token", "value": "x"}]},
        {"header": [{"name": "User-Agent", "value": "x"}]},
        {"header": [{"name": "authorization", "value": "x"}]},
        {"client_names": ["am"]},
        {"unknown": 1},
    ],
)
def test_settings_that_would_open_the_door_are_refused(auth: Mapping[str, Any]) -> None:
    """An empty secret, half a one, and a header that is stored or means something else are mistakes."""
    with pytest.raises(ValueError, match="validation error"):
        WebConfig.model_validate({"hooks": {"alertmanager": auth}})


def test_secrets_are_not_shown() -> None:
    """Settings may be printed."""
    config = WebConfig.model_validate({"hooks": {"alertmanager": ALL}, "metrics_bearer": "token-one"})
    for secret in ("token-one", "pass:word", "static-one"):
        assert secret not in f"{config!r} {config} {config.model_dump_json()}"
        assert secret not in repr(credentials(config.hooks["alertmanager"]))


def test_a_certificate_opens_by_its_names() -> None:
    """A DNS name, a URI or a common name opens; an e-mail address, another name or none at all do not."""
    auth = credentials(HookAuth(client_names=["am.example", "spiffe://x/am", "am"]))
    nothing = CIMultiDictProxy(CIMultiDict[str]())
    assert auth.allow(nothing, {"subjectAltName": (("DNS", "am.example"),)})
    assert auth.allow(nothing, {"subjectAltName": (("URI", "spiffe://x/am"),)})
    assert auth.allow(nothing, {"subject": ((("organizationName", "o"),), (("commonName", "am"),))})
    assert not auth.allow(nothing, {"subjectAltName": (("email", "am"),)})
    assert not auth.allow(nothing, {})
    assert not auth.allow(nothing, None)
    assert list(names_in({"subject": "odd", "subjectAltName": "odd"})) == []
