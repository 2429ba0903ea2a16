"""A running door for each test that asks."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.web.doors import Door, running_door


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    """A door that a bearer token opens."""
    async with running_door() as running:
        yield running
