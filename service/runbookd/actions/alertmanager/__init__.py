"""Provider `alertmanager`: alerts and silences. Where it is stands under `actions.alertmanagers` in the settings."""

from __future__ import annotations

from runbookd.actions.alertmanager import expire_silence, get_alerts, silence
from runbookd.actions.base import AnyAction

ACTIONS: tuple[AnyAction, ...] = (expire_silence.ACTION, get_alerts.ACTION, silence.ACTION)
