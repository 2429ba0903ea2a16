"""Provider `velero`: backups of a cluster's objects and volumes, and restoring them.

Velero is asked through its custom resources, so the clusters under `actions.kubernetes` in the settings serve.
"""

from __future__ import annotations

from runbookd.actions.base import AnyAction
from runbookd.actions.velero import create_backup, latest_backup, restore

ACTIONS: tuple[AnyAction, ...] = (create_backup.ACTION, latest_backup.ACTION, restore.ACTION)
