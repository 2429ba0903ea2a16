"""Provider `kubernetes`: looking at clusters and changing them.

Which clusters there are, and what is protected in them, stands under `actions.kubernetes` in the settings.
"""

from __future__ import annotations

from runbookd.actions.base import AnyAction
from runbookd.actions.kubernetes import (
    describe_nodes,
    export_resources,
    get_events,
    get_pods,
    get_resource,
    logs,
    rollout_history,
    rollout_status,
    top_nodes,
    top_pods,
)

READS: tuple[AnyAction, ...] = (
    describe_nodes.ACTION,
    export_resources.ACTION,
    get_events.ACTION,
    get_pods.ACTION,
    get_resource.ACTION,
    logs.ACTION,
    rollout_history.ACTION,
    rollout_status.ACTION,
    top_nodes.ACTION,
    top_pods.ACTION,
)
WRITES: tuple[AnyAction, ...] = ()
ACTIONS: tuple[AnyAction, ...] = (*READS, *WRITES)
