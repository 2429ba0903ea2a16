"""Provider `pagerduty`: pages, changes, notes, and who is on call. Its APIs stand under `actions.pagerduty` in the
settings; the integration key comes with each call.
"""

from __future__ import annotations

from runbookd.actions.base import AnyAction
from runbookd.actions.pagerduty import add_note, get_on_calls, send_change, send_event

ACTIONS: tuple[AnyAction, ...] = (
    add_note.ACTION,
    get_on_calls.ACTION,
    send_change.ACTION,
    send_event.ACTION,
)
