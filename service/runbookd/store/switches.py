"""Service-wide switches (`ports.Switches`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runbookd.store.driver import Driver


class Switches:
    """Switches in one transaction."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def get(self, name: str) -> str | None:
        """Return the value, or None when it is not set."""
        row = await self._driver.one("switch", name=name)
        return None if row is None else row["value"]

    async def beginning(self, prefix: str) -> dict[str, str]:
        """Return every switch that is set and whose name begins so, by name."""
        rows = await self._driver.all("switches_beginning", prefix=prefix)
        return {row["name"]: row["value"] for row in rows}

    async def set(self, name: str, value: str | None) -> None:
        """Set it; None removes it."""
        if value is None:
            await self._driver.run("unset_switch", name=name)
        else:
            await self._driver.run("set_switch", name=name, value=value)
