"""The file that keeps the demo shop over a restart."""

from __future__ import annotations

import json
import os
from pathlib import Path

from runbookd.demo.releases import Shop


class StateFile:
    """Where the shop is kept between starts; with the path None it is kept nowhere."""

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def load(self, now: float, proven_after: float) -> Shop:
        """The shop as it was kept, or a new one. Raises SystemExit when the file cannot be understood."""
        if self.path is None or not self.path.exists():
            return Shop.opened(now, proven_after=proven_after)
        try:
            return Shop.restored(json.loads(self.path.read_bytes()), proven_after=proven_after)
        except (ValueError, KeyError, TypeError) as error:
            raise SystemExit(
                f"{self.path}: not a shop's state ({error!r}); move it away to start anew"
            ) from error

    def save(self, shop: Shop) -> None:
        """Replace the file as a whole, on disk before this returns: a crash leaves the old or the new one."""
        if self.path is None:
            return
        fresh = self.path.with_name(f"{self.path.name}.new")
        with fresh.open("w", encoding="utf-8") as file:
            json.dump(shop.kept(), file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
