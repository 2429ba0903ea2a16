"""Asks Alertmanager what is firing, so that a lost, truncated or vanished alert is noticed.

`GET /api/v2/alerts` (Alertmanager, api/v2/openapi.yaml). The members of one cluster know the same alerts, so the
first that answers is believed. The answer takes the same path as a webhook: kept on disk, then admitted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
import structlog

from runbookd.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runbookd.pipeline import Pipeline

log = structlog.get_logger()

SOURCE = "alertmanager-reconcile"
_TIMEOUT = aiohttp.ClientTimeout(total=20)
_LARGEST = 64 * 1024 * 1024


class AlertmanagerReconciler:
    """Asks the members of one Alertmanager cluster, in order, until one answers."""

    def __init__(self, pipeline: Pipeline, members: Sequence[str], headers: Mapping[str, str]) -> None:
        """`members` are base addresses; `headers` authenticate us to them."""
        self._pipeline, self._members, self._headers = pipeline, tuple(members), dict(headers)

    async def ask(self) -> bool:
        """Ask once and keep the answer; False when no member answered, or it could not be kept."""
        async with aiohttp.ClientSession(timeout=_TIMEOUT, headers=self._headers) as session:
            for member in self._members:
                body = await self._alerts(session, member)
                if body is not None:
                    return await self._keep(body, member)
        return False

    async def _alerts(self, session: aiohttp.ClientSession, member: str) -> bytes | None:
        address = f"{member.rstrip('/')}/api/v2/alerts"
        try:
            async with session.get(address) as answer:
                if answer.status != 200:  # noqa: PLR2004 - HTTP's word for success
                    log.warning("reconciling failed", stage="receive", address=address, status=answer.status)
                    return None
                body = await answer.content.read(_LARGEST + 1)
                while len(body) <= _LARGEST and (more := await answer.content.read(_LARGEST + 1 - len(body))):
                    body += more
        except (aiohttp.ClientError, TimeoutError) as error:
            log.warning("reconciling failed", stage="receive", address=address, error=type(error).__name__)
            return None
        if len(body) > _LARGEST:
            log.error(
                "reconciling failed: the answer is too large",
                stage="receive",
                address=address,
                limit=_LARGEST,
            )
            return None
        return body

    async def _keep(self, body: bytes, member: str) -> bool:
        try:
            receipt = await self._pipeline.receive(SOURCE, body, {}, member)
        except StoreUnavailable as error:
            log.error("the answer could not be kept", stage="receive", error=str(error))
            return False
        return receipt.refusal is None
