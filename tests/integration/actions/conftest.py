"""Fixtures of the actions' tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.contract.actions.kube_api import KubeApi, kube_api


@pytest.fixture
async def kube() -> AsyncIterator[KubeApi]:
    """A Kubernetes API server of our own, without objects."""
    async with kube_api() as api:
        yield api
