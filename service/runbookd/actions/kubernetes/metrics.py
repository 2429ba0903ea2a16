"""Reading the metrics API, which a cluster has only when somebody installed it.

https://kubernetes.io/docs/tasks/debug/debug-cluster/resource-metrics-pipeline/
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from runbookd.actions.failures import Rejected
from runbookd.actions.kubernetes.cluster import Cluster
from runbookd.actions.kubernetes.kinds import Json, Kind


async def metrics(
    where: Cluster, kind: Kind, namespace: str | None = None, labels: str | None = None
) -> AsyncIterator[Json]:
    """What was measured, one by one. Raises Rejected (`unsupported`) when the cluster has no metrics API."""
    try:
        async for found in where.each(kind, namespace, labels=labels):
            yield found
    except Rejected as error:
        if error.kind != "not_found":
            raise
        message = f"cluster {where.name!r} has no {kind.api_version}; install metrics-server ({error})"
        raise Rejected(message, kind="unsupported") from error
