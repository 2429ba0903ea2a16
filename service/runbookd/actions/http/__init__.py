"""Provider `http`: any HTTP API. Which hosts may be called is `actions.http` in the settings."""

from __future__ import annotations

from runbookd.actions.base import AnyAction
from runbookd.actions.http import check, request

ACTIONS: tuple[AnyAction, ...] = (check.ACTION, request.ACTION)
