"""A bucket in S3, or a part of one, as a place for archives and checkpoints (`ports.Place`).

An object is put whole, in one request: an archive is bounded far below the 5 GB that one may have. It goes with its
SHA-256, which S3 checks and keeps, and only where no object of its name is (`If-None-Match: *`).
https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from runbookd.actions.aws.client import Link, RefusedByAws, call, connect, download
from runbookd.actions.aws.config import AwsConfig, bucket_and_prefix
from runbookd.errors import ActionError, PlaceUnavailable

_WITHIN = 120.0
"""Seconds for one object, tries and all."""
_IS_THERE = "PreconditionFailed"
_NO_OBJECT = "NoSuchKey"
_RIGHTS = (
    "give the role s3:GetObject and s3:PutObject on {objects}, s3:ListBucket on the bucket, and the use of its KMS "
    "key if it has one"
)
_CREDENTIALS = (
    "the credentials the SDK found (environment, profile, role of the pod) are wrong or have run out"
)
_REGION = "the bucket is in another region{named}: set `aws.region`"
_HINTS = {
    "AccessDenied": _RIGHTS,
    "InvalidAccessKeyId": _CREDENTIALS,
    "SignatureDoesNotMatch": _CREDENTIALS,
    "ExpiredToken": _CREDENTIALS,
    "InvalidToken": _CREDENTIALS,
    "RequestTimeTooSkewed": "set this machine's clock",
    "NoSuchBucket": "make the bucket, or correct its name in the settings",
    "PermanentRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "NotImplemented": "a server that has no keys to encrypt with needs `aws.s3_encrypt = false`",
}
"""What to do, by AWS's code. https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"""
_KMS = "check `aws.s3_kms_key`, and that the role may use that key (kms:GenerateDataKey, kms:Decrypt)"
_DENIED = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give the pod a role"


class Bucket:
    """The objects of a bucket whose names begin with a prefix. The connection is made at the first use, and kept."""

    def __init__(self, address: str, config: AwsConfig) -> None:
        """`address` is `s3://BUCKET/PREFIX`; raises ValueError when it is not."""
        self._bucket, self._prefix = bucket_and_prefix(address)
        self._config = config
        self._open = AsyncExitStack()
        self._link: Link | None = None
        self._one_opens = asyncio.Lock()

    def where(self, name: str = "") -> str:
        """Return the address of an object, or of the place."""
        return f"s3://{self._bucket}/{self._prefix}{name}".rstrip("/")

    async def names(self, prefix: str = "", after: str = "") -> AsyncIterator[str]:
        """Yield the names that begin so and come after another; a thousand come with each request."""
        query = {"Prefix": self._prefix + prefix, "Delimiter": "/", "StartAfter": self._prefix + after}
        token: dict[str, str] = {}
        while True:
            async with self._asked(self.where()) as link:
                page = await call(
                    link, self.where(), "list_objects_v2", Bucket=self._bucket, **query, **token
                )
            for each in page.get("Contents", ()):
                yield each["Key"].removeprefix(self._prefix)
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    async def read(self, name: str) -> bytes | None:
        """Return what an object holds; None when there is none."""
        where = self.where(name)
        async with self._asked(where) as link:
            try:
                return await download(link, where, Bucket=self._bucket, Key=self._prefix + name)
            except RefusedByAws as error:
                if error.code != _NO_OBJECT:
                    raise
        return None

    async def put(self, name: str, data: bytes) -> bool:
        """Keep a new object; False when one of that name is there."""
        where = self.where(name)
        new = {
            "Bucket": self._bucket,
            "Key": self._prefix + name,
            "Body": data,
            "IfNoneMatch": "*",
            "ChecksumSHA256": base64.b64encode(hashlib.sha256(data).digest()).decode(),
        }
        async with self._asked(where) as link:
            try:
                await call(link, where, "put_object", **new, **self._encryption())
            except RefusedByAws as error:
                if error.code != _IS_THERE:
                    raise
                return False
        return True

    async def close(self) -> None:
        """Close the connections."""
        self._link = None
        await self._open.aclose()

    def _encryption(self) -> dict[str, str]:
        if not self._config.s3_encrypt:
            return {}
        if self._config.s3_kms_key is None:
            return {"ServerSideEncryption": "AES256"}
        return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self._config.s3_kms_key}

    @asynccontextmanager
    async def _asked(self, where: str) -> AsyncIterator[Link]:
        """The connection, for one question; what goes wrong is PlaceUnavailable, and says what to do."""
        try:
            async with asyncio.timeout(_WITHIN):
                yield await self._connected()
        except TimeoutError as error:
            raise PlaceUnavailable(f"{where}: no whole answer within {_WITHIN:.0f} s") from error
        except ActionError as error:
            hint = self._hint(error)
            raise PlaceUnavailable(f"{error}; {hint}" if hint else str(error)) from error

    async def _connected(self) -> Link:
        async with self._one_opens:
            if self._link is None:
                self._link = await self._open.enter_async_context(connect("s3", self._config))
            return self._link

    def _hint(self, error: ActionError) -> str:
        """What to do about it; "" when AWS's own words are all there is."""
        if not isinstance(error, RefusedByAws):
            return _DENIED if getattr(error, "kind", "") == "denied" else ""
        if error.code.startswith("KMS"):
            return _KMS
        named = f" ({error.region})" if error.region else ""
        objects = f"{self._bucket}/{self._prefix}*"
        return _HINTS.get(error.code, "").format(named=named, objects=objects)
