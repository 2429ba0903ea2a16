"""Notifications understood at the door, remembered until they are admitted, so that no body is parsed twice."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from runbookd.model.event import Delivery, Notification

_MOST_BYTES = 32 * 1024 * 1024


class Parsed:
    """A memory only of what any process could parse again from the stored body; forgetting costs time, no more."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        """Remember notifications whose bodies are `most_bytes` together, the latest."""
        self._most, self._held = most_bytes, 0
        self._known: OrderedDict[str, tuple[int, Notification]] = OrderedDict()

    def keep(self, delivery: Delivery, notification: Notification) -> None:
        """Remember one."""
        size = len(delivery.body)
        self._known[delivery.id] = size, notification
        self._held += size
        while self._held > self._most and len(self._known) > 1:
            self._held -= self._known.popitem(last=False)[1][0]

    def of(self, delivery: Delivery, parse: Callable[[], Notification]) -> Notification:
        """Return the delivery's notification, parsing it if it is not remembered. Raises what `parse` raises."""
        known = self._known.get(delivery.id)
        if known is not None:
            return known[1]
        notification = parse()
        self.keep(delivery, notification)
        return notification

    def forget(self, delivery_id: str) -> None:
        """Let go of one that is admitted."""
        known = self._known.pop(delivery_id, None)
        if known is not None:
            self._held -= known[0]
