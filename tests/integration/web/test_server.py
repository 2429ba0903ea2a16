"""The door listens where it is told, over TLS if told, and writes no stranger's text into the log."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from runbookd.errors import NotFound, PayloadError, SettingsError, StoreUnavailable
from runbookd.web.app import hook_doors
from runbookd.web.config import TlsConfig, WebConfig
from runbookd.web.problems import problems
from runbookd.web.server import NoStrangersText, tls_context
from tests.integration.web.doors import BEARER, GOOD, HOOK, TOKEN, Door, running_door

DAY = timedelta(days=1)


class Issued(NamedTuple):
    """A certificate and key as PEM files."""

    cert: Path
    key: Path


def issue(
    folder: Path, name: str, issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None
) -> Issued:
    """Issue a certificate for `name`, signed by the issuer or, without one, by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .sign(issuer[1] if issuer else key, hashes.SHA256())
    )
    issued = Issued(folder / f"{name}.crt", folder / f"{name}.key")
    issued.cert.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    issued.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return issued


def authority(folder: Path, name: str, members: Iterable[str]) -> tuple[Path, list[Issued]]:
    """Make a certificate authority and certificates it signed."""
    own = issue(folder, name, None)
    certificate = x509.load_pem_x509_certificate(own.cert.read_bytes())
    key = serialization.load_pem_private_key(own.key.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return own.cert, [issue(folder, member, (certificate, key)) for member in members]


async def post(door: Door, ca: Path, client: Issued | None = None) -> int:
    """Post a good body over TLS without any secret, with a client certificate if given; the status."""
    context = ssl.create_default_context(cafile=str(ca))
    if client is not None:
        context.load_cert_chain(client.cert, client.key)
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"https://127.0.0.1:{door.port}{HOOK}", data=GOOD, ssl=context, server_hostname="runbookd"
        ) as answer,
    ):
        return answer.status


async def test_a_client_certificate_opens(tmp_path: Path) -> None:
    """A certificate of our authority with a known name opens; another name, or none, is 401."""
    ca, (server, known, other) = authority(tmp_path, "ca", ["runbookd", "am.example", "other.example"])
    tls = {"cert": server.cert, "key": server.key, "client_ca": ca}
    hooks = {"alertmanager": {"client_names": ["am.example"]}}
    async with running_door({"tls": tls, "hooks": hooks}) as door:
        assert await post(door, ca, known) == 202
        assert await post(door, ca, other) == 401
        assert await post(door, ca) == 401


async def test_a_foreign_certificate_does_not_connect(tmp_path: Path) -> None:
    """A certificate another authority signed is refused by TLS itself, whatever its name."""
    ca, (server,) = authority(tmp_path, "ca", ["runbookd"])
    _, (foreign,) = authority(tmp_path, "foreign-ca", ["am.example"])
    tls = {"cert": server.cert, "key": server.key, "client_ca": ca, "client_required": True}
    hooks = {"alertmanager": {"client_names": ["am.example"]}}
    async with running_door({"tls": tls, "hooks": hooks}) as door:
        for client in (foreign, None):
            with pytest.raises((aiohttp.ClientError, ConnectionError, ssl.SSLError)):
                await post(door, ca, client)
        assert not door.inbox.kept


def test_bad_tls_settings_stop_the_start(tmp_path: Path) -> None:
    """Files that are missing or no certificate are named; demanding certificates of nobody is a mistake."""
    (tmp_path / "x").write_text("no certificate")
    for file in (tmp_path / "x", tmp_path / "missing"):
        with pytest.raises(SettingsError, match="cannot be used") as refused:
            tls_context(TlsConfig(cert=file, key=file))
        assert str(file) in str(refused.value)
    with pytest.raises(ValueError, match="needs `client_ca`"):
        TlsConfig(cert=tmp_path, key=tmp_path, client_required=True)


async def test_a_taken_port_stops_the_start(door: Door) -> None:
    """The address that cannot be used is named."""
    with pytest.raises(SettingsError, match=f"cannot listen at 127.0.0.1:{door.port}"):
        async with running_door({"port": door.port}):
            pass


def test_settings_for_an_unknown_source_stop_the_start() -> None:
    """A misspelt source would leave the right one closed; the message has the right ones."""
    config = WebConfig.model_validate({"hooks": {"alertmanger": {}}})
    with pytest.raises(SettingsError, match="no source alertmanger takes webhooks; there are alertmanager"):
        hook_doors(config)


def test_bounds_must_agree() -> None:
    """All bodies together cannot be bounded below one body."""
    with pytest.raises(ValueError, match="`max_held` must be at least `max_body`"):
        WebConfig.model_validate({"max_body": 4096, "max_held": 2048})


@pytest.mark.parametrize(
    "head",
    [
        f"Authorization: Bearer {TOKEN}\r\nX-A: {'a' * 9000}",
        f"Authorization : Bearer {TOKEN}",
        f"Authorization: Bearer {TOKEN}\x00",
        f"Authorization: Bearer {TOKEN}\r\nContent-Length: 1\r\nContent-Length: 2",
        f"Authorization: Bearer {TOKEN}\r\nContent-Length: -1",
        f"Authorization: Bearer {TOKEN}\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
        f"Authorization: Bearer {TOKEN}\r\n" + "\r\n".join(f"X-{n}: y" for n in range(200)),
    ],
)
async def test_malformed_requests_leave_no_secret_in_the_log(
    door: Door, caplog: pytest.LogCaptureFixture, head: str
) -> None:
    """400 for the sender, and one line that names the kind of fault for the log."""
    caplog.set_level("DEBUG")
    answer = await door.raw(f"POST {HOOK} HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode())
    assert answer.status == 400
    assert TOKEN not in caplog.text
    assert "Traceback" not in caplog.text
    assert not door.inbox.kept


@pytest.mark.parametrize(
    "start", [b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/9.9\r\n\r\n", b"\r\n\r\n\x00\xff\r\n\r\n"]
)
async def test_what_is_no_http_is_refused(door: Door, start: bytes) -> None:
    """TLS to a plain port, and noise, are answered or cut off; the door stays open for others."""
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(start)
    writer.write_eof()
    assert b"202" not in await reader.read()
    writer.close()
    assert (await door.post(GOOD)).status == 202


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (StoreUnavailable("later"), 503, "later"),
        (PayloadError("never"), 400, "never"),
        (NotFound("no such run"), 404, "no such run"),
        (web.HTTPForbidden(), 403, "Forbidden"),
    ],
)
async def test_errors_of_any_handler_have_one_form(error: Exception, status: int, detail: str) -> None:
    """What a handler raises becomes a problem document with the error's own message."""

    async def failing(_: web.Request) -> web.Response:
        raise error

    app = web.Application(middlewares=[problems])
    app.router.add_get("/", failing)
    async with TestClient(TestServer(app)) as client, client.get("/") as answer:
        assert answer.status == status
        assert answer.content_type == "application/problem+json"
        assert (await answer.json(content_type=None))["detail"] == detail


def test_other_lines_of_the_log_are_left_alone() -> None:
    """An error of our own keeps its traceback."""
    bug = ValueError("a bug")
    record = logging.LogRecord("x", logging.ERROR, "", 1, "failed", None, (ValueError, bug, None))
    assert NoStrangersText().filter(record)
    assert (record.levelno, record.getMessage()) == (logging.ERROR, "failed")
    assert record.exc_info == (ValueError, bug, None)


async def test_plain_tls_asks_no_certificate(tmp_path: Path) -> None:
    """Without an authority for clients, the secrets decide alone."""
    ca, (server,) = authority(tmp_path, "ca", ["runbookd"])
    async with running_door({"tls": {"cert": server.cert, "key": server.key}}) as door:
        assert await post(door, ca) == 401


async def test_expectations_are_met_or_refused(door: Door) -> None:
    """`Expect: 100-continue` is answered before the body; other expectations are 417."""
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(
        f"POST {HOOK} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nExpect: 100-continue\r\n"
        f"Content-Length: {len(GOOD)}\r\n\r\n".encode()
    )
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(GOOD)
    assert b"202" in await reader.readline()
    writer.close()
    assert (await door.post(GOOD, {**BEARER, "Expect": "the-moon"})).status == 417
