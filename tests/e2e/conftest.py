"""Fixtures of the end-to-end tests: one real control plane for all of a worker's, a namespace for each."""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.world import World, world

USERS = tuple(f"user-{number}" for number in range(1, 9))
"""Users who may do nothing until a test binds a role to them."""
HERE = Path(__file__).parent
NUMBERS = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is marked `e2e`."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def control_plane() -> Iterator[World]:
    """The cluster: a real control plane, and nodes, pods and add-ons that are played."""
    with world(USERS) as started:
        yield started


@pytest.fixture
async def cluster(control_plane: World, request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    """The cluster, seen from a new namespace of this test's own, which is deleted after it."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower().removeprefix("test_")).strip("-")
    name = f"{words[:40].rstrip('-')}-{next(NUMBERS)}"
    async with control_plane.plane.api() as api:
        await api.create("/api/v1/namespaces", {"metadata": {"name": name}})
        yield Cluster(control_plane, name, api)
        await api.delete(f"/api/v1/namespaces/{name}")
        # The namespace controller takes its time (5 s); a test that moves pods waits until those of others are gone.
        await api.delete(f"/api/v1/namespaces/{name}/pods", grace_s=0)
    control_plane.check()


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    """The name of this test's own namespace."""
    return cluster.namespace
