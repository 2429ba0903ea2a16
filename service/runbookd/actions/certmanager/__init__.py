"""Provider `certmanager`: certificates that cert-manager keeps, and renewing them.

cert-manager is asked through its custom resources, so the clusters under `actions.kubernetes` in the settings serve.
"""

from __future__ import annotations

from runbookd.actions.base import AnyAction
from runbookd.actions.certmanager import get_certificates, renew

ACTIONS: tuple[AnyAction, ...] = (get_certificates.ACTION, renew.ACTION)
