"""What is told to those who count, once it is on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbookd.model.escalation import Message


class Watch:
    """Every method does nothing unless overridden."""

    def received(self, source: str, result: str) -> None:
        """A delivery was accepted, or kept as a dead letter."""

    def admitted(self, outcomes: Mapping[str, int]) -> None:
        """Events were admitted, by outcome."""

    def called(self, action: str, state: str, seconds: float) -> None:
        """A call of an action ended."""

    def ended(self, playbook: str, state: str) -> None:
        """A run ended."""

    def breached(self, kind: str) -> None:
        """A clock ran out."""

    def escalated(self, reason: str, priority: str) -> None:
        """An incident was handed to people."""

    def level_told(self, late: float) -> None:
        """A level of an escalation was told, so many seconds after it was due."""

    def messaged(self, message: Message) -> None:
        """A message is settled: sent, failed or not needed."""

    def archiving_failed(self) -> None:
        """Entries of the ledger were to go, and no archive of them could be written."""
