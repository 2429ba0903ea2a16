"""Provider `prometheus`: ask a Prometheus. Where it is stands under `actions.prometheus` in the settings."""

from __future__ import annotations

from runbookd.actions.base import AnyAction
from runbookd.actions.prometheus import query, query_range

ACTIONS: tuple[AnyAction, ...] = (query.ACTION, query_range.ACTION)
