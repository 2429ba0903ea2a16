"""What the inside asks of the outside, as protocols (`world.py`, `store.py`, `ledger.py`); the docstrings specify."""

from runbookd.ports.ledger import Ledger
from runbookd.ports.people import Levels, Messages
from runbookd.ports.store import (
    Alerts,
    Deliveries,
    Incidents,
    Retention,
    Runs,
    Store,
    Switches,
    Tx,
    WorkQueue,
)
from runbookd.ports.world import Catalogue, Clock, Ids, Performer, Secrets

__all__ = [
    "Alerts",
    "Catalogue",
    "Clock",
    "Deliveries",
    "Ids",
    "Incidents",
    "Ledger",
    "Levels",
    "Messages",
    "Performer",
    "Retention",
    "Runs",
    "Secrets",
    "Store",
    "Switches",
    "Tx",
    "WorkQueue",
]
