"""Provider `tls`: look at the certificates servers show."""

from __future__ import annotations

from runbookd.actions.base import AnyAction
from runbookd.actions.tls import check_certificate

ACTIONS: tuple[AnyAction, ...] = (check_certificate.ACTION,)
