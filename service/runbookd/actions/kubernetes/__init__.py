"""Provider `kubernetes`: looking at clusters and changing them.

Which clusters there are, and what is protected in them, stands under `actions.kubernetes` in the settings.
"""

from __future__ import annotations

from runbookd.actions.base import AnyAction
from runbookd.actions.kubernetes import (
    annotate_ingress,
    cordon,
    delete_pod,
    describe_nodes,
    drain,
    exec,  # noqa: A004 - a file is named as its action
    export_resources,
    get_events,
    get_pods,
    get_resource,
    logs,
    patch,
    rollout_history,
    rollout_restart,
    rollout_status,
    rollout_undo,
    run_job,
    scale,
    set_env,
    top_nodes,
    top_pods,
    uncordon,
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
WRITES: tuple[AnyAction, ...] = (
    annotate_ingress.ACTION,
    cordon.ACTION,
    delete_pod.ACTION,
    drain.ACTION,
    exec.ACTION,
    patch.ACTION,
    rollout_restart.ACTION,
    rollout_undo.ACTION,
    run_job.ACTION,
    scale.ACTION,
    set_env.ACTION,
    uncordon.ACTION,
)
ACTIONS: tuple[AnyAction, ...] = (*READS, *WRITES)
