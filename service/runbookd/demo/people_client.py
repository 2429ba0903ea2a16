"""What the demo asks its people: what they were told."""

from __future__ import annotations

import aiohttp

from runbookd.demo.processes import DemoError
from runbookd.demo.told import Told


async def told(url: str, token: str) -> list[Told]:
    """Return what people were told, oldest first. Raises DemoError when they do not answer as they should."""
    headers = {"Authorization": f"Bearer {token}"}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
            session.get(f"{url}/told", headers=headers) as answer,
        ):
            if not answer.ok:
                raise DemoError(f"the people at {url} answered {answer.status}: {await answer.text()}")
            return [Told(**{**each, "to": tuple(each["to"])}) for each in (await answer.json())["told"]]
    except (aiohttp.ClientError, TimeoutError) as error:
        raise DemoError(f"the people at {url} do not answer: {error!r}") from error
