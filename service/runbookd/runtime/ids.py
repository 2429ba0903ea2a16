"""Names for new things: ULIDs (github.com/ulid/spec), lower-case, behind a short prefix."""

from __future__ import annotations

import os
import threading
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]
_SHIFTS = range(120, -1, -10)  # 26 letters of 5 bits, two at a time
_RANDOM_BITS = 80


class Ulids:
    """Ids that sort by the time they were made, even within one millisecond, and never repeat."""

    def __init__(self) -> None:
        """Begin."""
        self._lock = threading.Lock()
        self._last = 0

    def new(self, prefix: str) -> str:
        """Return `prefix-` and 26 characters."""
        fresh = (time.time_ns() // 1_000_000 << _RANDOM_BITS) | int.from_bytes(os.urandom(10), "big")
        with self._lock:
            self._last = value = max(fresh, self._last + 1)
        letters = "".join([_PAIRS[value >> shift & 1023] for shift in _SHIFTS])
        return f"{prefix}-{letters}"
