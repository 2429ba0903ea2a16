"""What the inside asks of the outside, as protocols, a file for each kind; the docstrings are the specification."""

from runbookd.ports.ledger import Ledger
from runbookd.ports.people import Levels, Messages
from runbookd.ports.places import Place
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
    "Place",
    "Retention",
    "Runs",
    "Secrets",
    "Store",
    "Switches",
    "Tx",
    "WorkQueue",
]
