"""The files a service has in force, kept as a switch, for the commands by which people act.

They hold no secret: files name secrets (`model/`), and plans of playbooks are in the database already.
"""

from typing import TYPE_CHECKING

import orjson
import structlog
from pydantic import TypeAdapter, ValidationError

if TYPE_CHECKING:
    from runbookd.model.library import Library
    from runbookd.ports import Tx

log = structlog.get_logger()

SWITCH = "content"
"""The switch that keeps them: a list of name and text, in reading order, as JSON."""

MOST = 16 * 1024 * 1024
"""Bytes of it that are kept at most: a thousand ordinary files. Of more nothing is kept, rather than a part."""

_FILES = TypeAdapter(list[tuple[str, str]])


async def keep(tx: "Tx", library: "Library") -> None:
    """Keep what a service has in force now, unless that is what is kept; of replicas the last to say so is right."""
    text = written(library)
    if await tx.switches.get(SWITCH) != text:
        await tx.switches.set(SWITCH, text)


async def kept(tx: "Tx") -> list[tuple[str, str]] | None:
    """Return name and text of each file in force, in reading order; None when none was kept, or by a stranger."""
    value = await tx.switches.get(SWITCH)
    if value is None:
        return None
    try:
        return _FILES.validate_json(value)
    except ValidationError:  # another version's
        return None


def written(library: "Library") -> str | None:
    """Return the files as they are kept; None when they are too large for that, which is logged."""
    text = orjson.dumps(list(library.texts.items())).decode()
    if len(text) <= MOST:
        return text
    log.warning(
        "the rules and playbooks are too large to be kept for commands, which go by the files they find",
        stage="match",
        characters=len(text),
        most=MOST,
    )
    return None
