"""A bucket as a place: what is asked of S3, and what becomes of a server that refuses, fails, or does not answer."""

from __future__ import annotations

import base64
import hashlib
import logging
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from runbookd.actions.aws.bucket import Bucket
from runbookd.actions.aws.client import is_installed
from runbookd.actions.aws.config import AwsConfig, Location, S3Address, bucket_and_prefix
from runbookd.errors import PlaceUnavailable
from runbookd.runtime.logs import set_up
from tests.contract.actions.hands import serving
from tests.fakes.s3 import KEY_ID, S3, SECRET, Fault, Other, Refusal, Trouble
from tests.servers import free_port


def bucket_of(s3: S3, address: str = "", **config: Any) -> Bucket:
    """The test's bucket, reached with these settings."""
    return Bucket(address or s3.address(), AwsConfig.model_validate(s3.settings() | config))


@pytest.fixture
async def bucket(s3: S3) -> AsyncIterator[Bucket]:
    """The test's bucket."""
    it = bucket_of(s3)
    yield it
    await it.close()


async def test_an_object_is_put_once_checked_and_encrypted(s3: S3, bucket: Bucket) -> None:
    """A put says that nothing may be there, what the bytes must hash to, and that they are to be encrypted."""
    await bucket.put("a", b"bytes")
    (sent,) = s3.headers
    digest = base64.b64encode(hashlib.sha256(b"bytes").digest()).decode()
    assert sent["If-None-Match"] == "*"
    assert sent["x-amz-checksum-sha256"] == digest
    assert sent["x-amz-server-side-encryption"] == "AES256"
    assert s3.requests == [("PUT", f"/{s3.bucket}/ledger/a")]


@pytest.mark.parametrize(
    ("config", "sent"),
    [
        ({"s3_kms_key": "arn:aws:kms:eu-central-1:1:key/k"}, ("aws:kms", "arn:aws:kms:eu-central-1:1:key/k")),
        ({"s3_encrypt": False}, (None, None)),
        ({"s3_encrypt": False, "s3_kms_key": "k"}, (None, None)),
    ],
)
async def test_encryption_is_what_settings_say(
    s3: S3, config: dict[str, Any], sent: tuple[str | None, str | None]
) -> None:
    """A key of KMS is named; without encryption nothing is said of it."""
    it = bucket_of(s3, **config)
    await it.put("a", b"bytes")
    await it.close()
    (headers,) = s3.headers
    begin = "x-amz-server-side-encryption"
    assert (headers.get(begin), headers.get(f"{begin}-aws-kms-key-id")) == sent


async def test_the_region_is_what_settings_say(s3: S3) -> None:
    """Requests are signed for it."""
    it = bucket_of(s3, region="eu-central-1")
    await it.read("a")
    await it.close()
    assert f"Credential={KEY_ID}/" in s3.headers[0]["Authorization"]
    assert "/eu-central-1/s3/" in s3.headers[0]["Authorization"]


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        (Refusal(403, "AccessDenied"), "give the role s3:GetObject and s3:PutObject on BUCKET/ledger/*"),
        (Refusal(403, "InvalidAccessKeyId"), "environment, profile, role of the pod"),
        (Refusal(403, "SignatureDoesNotMatch"), "are wrong or have run out"),
        (Refusal(400, "ExpiredToken"), "are wrong or have run out"),
        (Refusal(403, "RequestTimeTooSkewed"), "set this machine's clock"),
        (Refusal(404, "NoSuchBucket"), "make the bucket, or correct its name"),
        (
            Refusal(301, "PermanentRedirect", {"x-amz-bucket-region": "eu-west-3"}),
            "the bucket is in another region (eu-west-3): set `aws.region`",
        ),
        (Refusal(400, "AuthorizationHeaderMalformed"), "set `aws.region`"),
        (Refusal(501, "NotImplemented"), "`aws.s3_encrypt = false`"),
        (Refusal(400, "KMS.NotFoundException"), "check `aws.s3_kms_key`"),
        (Refusal(400, "EntityTooLarge"), "EntityTooLarge: the reason of EntityTooLarge"),
        (Refusal(409, "ConditionalRequestConflict"), "the reason of ConditionalRequestConflict"),
    ],
)
async def test_a_refusal_says_where_why_and_what_to_do(
    s3: S3, bucket: Bucket, refusal: Refusal, told: str
) -> None:
    """Every answer that is no success is PlaceUnavailable, with AWS's words and the way out; no secret is shown."""
    with s3.down(refusal):
        for asking in (bucket.put("a", b"x"), bucket.read("a"), anext(bucket.names())):
            with pytest.raises(PlaceUnavailable) as caught:
                await asking
            said = str(caught.value)
            assert said.startswith(s3.address())
            assert told.replace("BUCKET", s3.bucket) in said
            assert refusal.code in said
            assert SECRET not in said
    assert await s3.keys() == []
    assert await bucket.put("a", b"x")


@pytest.mark.parametrize(
    "trouble",
    [Refusal(400, "Throttling"), Refusal(500, "InternalError"), Refusal(503, "SlowDown"), Fault.LOSE],
)
async def test_what_may_pass_is_tried_again(s3: S3, bucket: Bucket, trouble: Trouble) -> None:
    """Once is not the end of a call; when it does not pass it is told."""
    s3.trouble(trouble)
    assert await bucket.read("a") is None
    with s3.down(trouble), pytest.raises(PlaceUnavailable, match=getattr(trouble, "code", "onnect")):
        await bucket.read("a")


@pytest.mark.parametrize("fault", [Fault.DROP, Fault.HANG])
async def test_a_put_whose_answer_was_lost_is_not_made_twice(s3: S3, fault: Fault) -> None:
    """The second try finds the object of the first; when no answer comes at all, the object is there all the same."""
    it = bucket_of(s3, timeout="200ms")
    s3.trouble(fault)
    assert not await it.put("a", b"mine")
    with s3.down(fault), pytest.raises(PlaceUnavailable):
        await it.put("b", b"mine")
    await it.close()
    assert await s3.keys() == ["ledger/a", "ledger/b"]
    assert await s3.get("ledger/b") == b"mine"


async def test_another_writer_is_not_written_over(s3: S3, bucket: Bucket) -> None:
    """What came first stays."""
    s3.trouble(Other(b"theirs"), only="PUT")
    assert not await bucket.put("a", b"mine")
    assert await bucket.read("a") == b"theirs"


async def test_a_server_that_is_gone_is_told(s3: S3) -> None:
    """No connection is PlaceUnavailable with the address that was tried."""
    for url in (f"http://127.0.0.1:{free_port()}", "http://nowhere.invalid"):
        it = bucket_of(s3, endpoint_url=url)
        with pytest.raises(PlaceUnavailable, match="Could not connect to the endpoint URL"):
            await it.put("a", b"x")
        await it.close()


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 200, "text": "<html>a proxy's page", "content_type": "text/html"},
        {"status": 502, "text": "<html>a proxy's page", "content_type": "text/html"},
        {"status": 200, "text": "", "headers": {"x-amz-checksum-sha256": "bm90IHRoaXM="}},
    ],
)
async def test_a_server_that_is_no_s3_is_told(s3: S3, answer: dict[str, Any]) -> None:
    """A proxy in between, or bytes that are not those of their checksum, are no list and no object."""

    async def handle(_request: web.Request) -> web.Response:
        return web.Response(**answer)

    async with serving(handle) as url:
        it = bucket_of(s3, endpoint_url=url)
        asking = it.read("a") if "headers" in answer else anext(it.names())
        with pytest.raises(PlaceUnavailable, match=s3.address()):
            await asking
        await it.close()


async def test_without_credentials_it_is_told_how_to_give_some(
    s3: S3, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(PlaceUnavailable, match=r"set AWS_ACCESS_KEY_ID .* or give the pod a role"):
        await bucket.put("a", b"x")
    assert s3.requests == []


async def test_a_wrong_profile_is_told(s3: S3, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile that is in no file is named, at every try anew."""
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    for _ in range(2):
        with pytest.raises(PlaceUnavailable, match="nobody"):
            await bucket.read("x")
    monkeypatch.delenv("AWS_PROFILE")
    assert await bucket.read("x") is None


async def test_without_the_sdk_it_is_told_what_to_install(
    s3: S3, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extra is named."""
    assert is_installed()
    monkeypatch.setitem(sys.modules, "aioboto3", None)
    with pytest.raises(PlaceUnavailable, match=r"pip install 'runbookd\[aws\]'"):
        await bucket.read("x")


async def test_no_secret_is_logged(
    s3: S3, bucket: Bucket, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even where everything is logged: the SDK writes session tokens into its debug log."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "canary-aws-token")
    handlers, level = logging.root.handlers[:], logging.root.level
    try:
        set_up("json", "DEBUG")
        logging.root.addHandler(caplog.handler)
        await bucket.put("a", b"x")
    finally:
        logging.root.handlers[:], logging.root.level = handlers, level
    assert s3.headers[0]["X-Amz-Security-Token"] == "canary-aws-token"
    for secret in (SECRET, "canary-aws-token", KEY_ID):
        assert secret not in caplog.text


@pytest.mark.parametrize(
    ("address", "taken"),
    [
        ("s3://bucket", ("bucket", "")),
        ("s3://bucket/", ("bucket", "")),
        ("s3://my.own-bucket/a/b", ("my.own-bucket", "a/b/")),
        ("s3://my.own-bucket/a/b/", ("my.own-bucket", "a/b/")),
    ],
)
def test_an_address_is_a_bucket_and_a_prefix(address: str, taken: tuple[str, str]) -> None:
    """A slash at its end makes no difference."""
    assert bucket_and_prefix(address) == taken
    assert TypeAdapter(S3Address).validate_python(address) == address
    assert TypeAdapter(Location).validate_python(address) == address


@pytest.mark.parametrize(
    "address",
    ["s3://", "s3://B", "s3://Bucket/x", "s3://b/x", "s3://bucket/a b", "s3://bucket/ä", "s3://-bucket"],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    """It is not taken for a folder either."""
    kinds: tuple[TypeAdapter[Any], ...] = TypeAdapter(S3Address), TypeAdapter(Location)
    for kind in kinds:
        with pytest.raises(ValidationError, match="is not an address in S3"):
            kind.validate_python(address)
