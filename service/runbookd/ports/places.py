"""What the inside asks of a place for the ledger's archives and checkpoints; the docstrings are the specification."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Place(Protocol):
    """Where files are kept that are written once and never changed: a folder, or a bucket.

    Every method that is awaited raises PlaceUnavailable when the place cannot be used; its message says why, and what
    to do. A name holds no `/`.
    """

    def where(self, name: str = "") -> str:
        """How people call a file in this place, or the place itself."""
        ...

    def names(self, prefix: str = "", after: str = "") -> AsyncIterator[str]:
        """The names that begin so and come after another in the order of their letters, in that order."""
        ...

    async def read(self, name: str) -> bytes | None:
        """Return what a file holds; None when there is none of that name."""
        ...

    async def put(self, name: str, data: bytes) -> bool:
        """Keep a new file; True once it would outlive a power cut.

        False when one of that name is there already, which stays as it is. After PlaceUnavailable the file may be
        there or not.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
