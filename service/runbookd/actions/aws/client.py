"""The one place where the AWS SDK is imported: signing in, one call, and what its errors mean.

https://aioboto3.readthedocs.io. Of the SDK only `session.client()` is used, which aiobotocore has as well. It repeats
by itself what the AWS SDKs agree is safe to repeat (mode `standard`): throttling, 5xx, and lost connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from importlib.util import find_spec
from typing import Any

import aiohttp

from runbookd.actions.aws.config import AwsConfig
from runbookd.actions.failures import Rejected, Unavailable, failure_of_error, failure_of_status
from runbookd.errors import ActionError

MISSING = "needs the extra `aws`, which is not installed: pip install 'runbookd[aws]'"
_CONNECT = 5.0
"""Seconds to a connection, at most."""
_CONNECTIONS = 32
_ATTEMPTS = 3
_TRY_LATER = frozenset({"RequestTimeout", "RequestLimitExceeded", "Throttling", "ThrottlingException"})
"""Codes that come with status 400, and mean what 503 means."""


class RefusedByAws(Rejected):
    """A Rejected with AWS's own `code`; `region` is the one that AWS says to ask instead, None mostly."""

    def __init__(self, message: str, *, kind: str, code: str, region: str | None) -> None:
        super().__init__(message, kind=kind)
        self.code = code
        self.region = region


@dataclass(frozen=True, slots=True)
class Sdk:
    """What is used of the SDK, imported at the first call only."""

    session: Any
    config: Any
    errors: Any


@dataclass(frozen=True, slots=True)
class Link:
    """An open client of one service."""

    client: Any
    sdk: Sdk


def is_installed() -> bool:
    """Whether the SDK can be imported; cheap, for it is not."""
    return find_spec("aioboto3") is not None


@asynccontextmanager
async def connect(service: str, config: AwsConfig) -> AsyncIterator[Link]:
    """Open a client; a tenth of a second of work, so it is to be kept open.

    Raises Rejected: `unsupported` when the SDK is not installed, `invalid` when the settings lead to no client.
    """
    sdk = await asyncio.to_thread(_load)
    async with AsyncExitStack() as stack:
        with _told(sdk, f"AWS {service}"):
            opened = sdk.session(region_name=config.region).client(
                service,
                endpoint_url=config.endpoint_url,
                config=sdk.config(
                    connect_timeout=min(_CONNECT, config.timeout.total_seconds()),
                    read_timeout=config.timeout.total_seconds(),
                    max_pool_connections=_CONNECTIONS,
                    retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
                ),
            )
            client = await stack.enter_async_context(opened)
        yield Link(client, sdk)


async def call(link: Link, what: str, operation: str, **params: Any) -> Any:
    """Make one call, such as `put_object`, and return its answer; `what` begins every message.

    Raises RefusedByAws, Rejected when no call can be made, Unavailable for what may pass.
    """
    with _told(link.sdk, what):
        return await getattr(link.client, operation)(**params)


async def download(link: Link, what: str, **params: Any) -> bytes:
    """Return all of an object in S3; its checksum is checked by the SDK. Raises as `call`."""
    with _told(link.sdk, what):
        body = (await link.client.get_object(**params))["Body"]
        async with body:  # what this would bind is the bare answer, which checks nothing
            found: bytes = await body.read()
        return found


def _load() -> Sdk:
    """Import the SDK; a third of a second of work, so it is done in a thread. Raises Rejected when it is missing."""
    try:
        import aioboto3
        from aiobotocore.config import AioConfig
        from botocore import exceptions
    except ImportError as error:
        message = f"AWS {MISSING} ({error})"
        raise Rejected(message, kind="unsupported") from error
    return Sdk(aioboto3.Session, AioConfig, exceptions)


@contextmanager
def _told(sdk: Sdk, what: str) -> Iterator[None]:
    """Raise what the SDK raises in the words of `actions/failures.py`."""
    try:
        yield
    except sdk.errors.ClientError as error:
        raise _refusal(what, error.response) from error
    except (sdk.errors.BotoCoreError, aiohttp.ClientError, OSError, ValueError) as error:
        raise _broken(sdk, what, error) from error


def _refusal(what: str, response: dict[str, Any]) -> ActionError:
    """The failure in an answer; a code such as `AccessDenied` tells more than the status."""
    said = response.get("Error", {})
    about = response.get("ResponseMetadata", {})
    status = int(about.get("HTTPStatusCode", HTTPStatus.BAD_REQUEST))
    code = str(said.get("Code", status))
    message = f"{what}: {code}: {said.get('Message') or 'no reason given'}"
    if code in _TRY_LATER:
        return Unavailable(message, kind="rate_limited")
    failure = failure_of_status(status, message)
    if not isinstance(failure, Rejected):
        return failure
    region = about.get("HTTPHeaders", {}).get("x-amz-bucket-region") or said.get("Region")
    return RefusedByAws(message, kind=failure.kind, code=code, region=region)


def _broken(sdk: Sdk, what: str, error: Exception) -> ActionError:
    """The failure where no whole answer came."""
    of = sdk.errors
    message = f"{what}: {error}"
    if isinstance(error, of.NoCredentialsError | of.PartialCredentialsError | of.CredentialRetrievalError):
        return Rejected(message, kind="denied")
    if isinstance(error, of.SSLError):
        return Rejected(message, kind="tls")
    if isinstance(error, of.EndpointConnectionError | of.ConnectTimeoutError | of.ProxyConnectionError):
        return Unavailable(message, kind="unreachable")
    if isinstance(error, of.ReadTimeoutError):
        return Unavailable(message, kind="timeout", in_doubt=True)
    if isinstance(error, of.HTTPClientError):
        return Unavailable(message, kind="connection_lost", in_doubt=True)
    return failure_of_error(error, what) or Rejected(message, kind="invalid")
