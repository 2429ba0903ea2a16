"""One pure file per sender: from the bytes of a delivery to the events it holds, or to what people did.

`SOURCES` has every kind of delivery by its `source`; `HOOKS` names those that come in by webhook.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol

from runbookd.sources import alertmanager, own, pagerduty, schedule, slack
from runbookd.stages.normalize import DEFAULT_LIMITS, Limits
from runbookd.stages.schedule import SOURCE as SCHEDULE
from runbookd.stages.watchdog import SOURCE as OWN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbookd.model.event import Notification


class Parse(Protocol):
    """What a source is: the body's meaning, or a PayloadError that says why it can have none."""

    def __call__(self, body: bytes, limits: Limits = DEFAULT_LIMITS) -> Notification:
        """Understand one body."""
        ...


SOURCES: Final[Mapping[str, Parse]] = MappingProxyType(
    {
        "alertmanager": alertmanager.parse,
        "alertmanager-reconcile": alertmanager.parse_api_alerts,
        "pagerduty": pagerduty.parse,
        "slack": slack.parse,
        OWN: own.parse,
        SCHEDULE: schedule.parse,
    }
)
"""How each kind of delivery is understood. The events of a reconciler bear the name of the sender it asked."""

HOOKS: Final = frozenset({"alertmanager", "pagerduty", "slack"})
"""The sources that are told by webhook; the others are fetched by the service itself."""
