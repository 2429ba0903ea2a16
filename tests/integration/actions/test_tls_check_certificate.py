"""`tls.check_certificate` against real TLS servers with good, old, foreign and odd certificates."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from runbookd.actions.tls.check_certificate import name_fits
from runbookd.model.action import Outcome
from tests.contract.actions.hands import SetClock, call, deaf_server, failed, performing, serving, succeeded
from tests.integration.actions.certificates import Authority, authority, server_context


async def hello(_request: web.Request) -> web.Response:
    """Nobody asks that far."""
    return web.Response()


async def look(server: ssl.SSLContext, trusted: Authority | None = None, **params: object) -> Outcome:
    """Check a server with this TLS context, trusting this authority; the clock is today's."""
    config: Mapping[str, Any] = {"http": {"ca_file": str(trusted.file)}} if trusted else {}
    clock = SetClock(datetime.now(UTC))
    async with serving(hello, tls=server) as url, performing(config, clock=clock) as performer:
        given = {"host": "127.0.0.1", "port": int(url.rpartition(":")[2]), **params}
        return await performer.perform(call("tls.check_certificate", given))


async def test_a_good_certificate_is_described(tmp_path: Path) -> None:
    """A trusted certificate for the name passes, and everything about it is told."""
    ca = authority(tmp_path)
    server = server_context(tmp_path, ["shop.test", "127.0.0.1"], signed_by=ca, days=(-1, 20))
    seen = succeeded(await look(server, ca))
    assert 19.9 < seen["days_left"] <= 20
    assert (seen["chain_valid"], seen["chain_error"], seen["name_matches"]) == (True, None, True)
    assert seen["expires_soon"] is True
    assert (seen["subject"], seen["issuer"]) == ("CN=shop", "CN=Test CA")
    assert seen["names"] == ["shop.test", "127.0.0.1"]
    assert seen["not_after"] - seen["not_before"] == timedelta(days=21)
    assert int(seen["serial"], 16) > 0


async def test_the_name_asked_for_counts(tmp_path: Path) -> None:
    """`server_name` is asked for and compared instead of the host."""
    ca = authority(tmp_path)
    server = server_context(tmp_path, ["*.shop.test"], signed_by=ca)
    assert succeeded(await look(server, ca, server_name="api.shop.test"))["name_matches"] is True
    message = failed(await look(server, ca, server_name="shop.test"), "check_failed")
    assert "it is for *.shop.test, not for shop.test" in message


async def test_too_few_days_fail(tmp_path: Path) -> None:
    """A certificate that ends too soon fails with the days left, unless any number will do."""
    ca = authority(tmp_path)
    server = server_context(tmp_path, ["127.0.0.1"], signed_by=ca, days=(-1, 5))
    outcome = await look(server, ca)
    assert "days left, expected at least 14" in failed(outcome, "check_failed")
    assert 4.9 < float(str(outcome.output["days_left"])) <= 5
    assert succeeded(await look(server, ca, min_days=None))["expires_soon"] is True


async def test_everything_wrong_is_named_at_once(tmp_path: Path) -> None:
    """An expired certificate of a stranger for another name is told as all three, and still described."""
    server = server_context(tmp_path, ["other.test"], signed_by=None, days=(-90, -2))
    outcome = await look(server)
    message = failed(outcome, "check_failed")
    for part in ("-2.0 days left", "its chain is not trusted", "it is for other.test, not for 127.0.0.1"):
        assert part in message
    assert outcome.output["chain_valid"] is False


async def test_an_expired_certificate_is_reported(tmp_path: Path) -> None:
    """With nothing required, an expired certificate is only described, with OpenSSL's reason."""
    ca = authority(tmp_path)
    server = server_context(tmp_path, ["127.0.0.1"], signed_by=ca, days=(-90, -2))
    seen = succeeded(await look(server, ca, min_days=None, require_valid=False))
    assert (seen["chain_valid"], seen["chain_error"]) == (False, "certificate has expired")
    assert (seen["name_matches"], seen["expires_soon"]) == (True, True)


async def test_a_certificate_without_names_matches_nothing(tmp_path: Path) -> None:
    """The common name does not count."""
    ca = authority(tmp_path)
    server = server_context(tmp_path, [], signed_by=ca)
    assert "it is for no name, not for shop" in failed(
        await look(server, ca, server_name="shop"), "check_failed"
    )


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("shop.test", "SHOP.test.", True),
        ("*.shop.test", "a.shop.test", True),
        ("*.shop.test", "a.b.shop.test", False),
        ("*.shop.test", "shop.test", False),
        ("*", "test", False),
        ("a*.shop.test", "ab.shop.test", False),
        ("10.0.0.1", "10.0.0.1", True),
        ("*.0.0.1", "10.0.0.1", False),
        ("::1", "0:0::1", True),
    ],
)
def test_names_fit_as_browsers_have_it(pattern: str, name: str, fits: bool) -> None:  # noqa: FBT001 - a row of the table
    """A star is one whole first label; addresses match as addresses."""
    assert name_fits(pattern, name) is fits


async def test_a_server_without_tls_is_told(free_port: int) -> None:
    """Plain text, nobody there, and somebody who never answers are three different failures."""
    async with serving(hello) as url, performing() as performer:
        plain = {"host": "127.0.0.1", "port": int(url.rpartition(":")[2])}
        failed(await performer.perform(call("tls.check_certificate", plain)), "tls")
    async with performing() as performer, deaf_server() as port:
        nobody = {"host": "127.0.0.1", "port": free_port}
        failed(await performer.perform(call("tls.check_certificate", nobody)), "unreachable")
        deaf = call("tls.check_certificate", {"host": "127.0.0.1", "port": port}, timeout=0.2)
        failed(await performer.perform(deaf), "timeout")


async def test_only_allowed_hosts_are_asked() -> None:
    """Hosts that are not allowed, and the cloud's metadata addresses, are not connected to."""
    async with performing({"http": {"allowed_hosts": ["*.test"]}}) as performer:
        failed(await performer.perform(call("tls.check_certificate", {"host": "127.0.0.1"})), "refused")
    async with performing() as performer:
        failed(await performer.perform(call("tls.check_certificate", {"host": "169.254.169.254"})), "refused")


async def test_an_authority_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """A wrong `ca_file` fails with the setting's name."""
    server = server_context(tmp_path, ["127.0.0.1"], signed_by=None)
    async with (
        serving(hello, tls=server) as url,
        performing({"http": {"ca_file": "/nowhere.pem"}}) as performer,
    ):
        given = {"host": "127.0.0.1", "port": int(url.rpartition(":")[2])}
        assert "ca_file" in failed(await performer.perform(call("tls.check_certificate", given)), "tls")
        request = call("http.request", {"url": url})
        assert "ca_file" in failed(await performer.perform(request), "tls")
