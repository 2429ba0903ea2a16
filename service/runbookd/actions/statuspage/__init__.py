"""Provider `statuspage`: the public page at Atlassian Statuspage. Which one stands under `actions.statuspage`."""

from __future__ import annotations

from runbookd.actions.base import AnyAction
from runbookd.actions.statuspage import open_incident, update_incident

ACTIONS: tuple[AnyAction, ...] = (open_incident.ACTION, update_incident.ACTION)
