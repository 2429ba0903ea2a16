"""What the shell offers after a TAB. Where it cannot know it is silent: it never fails, and never makes a database."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runbookd.cli.shared import Shared
from runbookd.errors import RunbookdError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    import click

    from runbookd.model.incident import Incident
    from runbookd.model.run import Run
    from runbookd.ports import Tx

_OFFERED = 30
_PLAYBOOK = re.compile(r"^playbook:\s*([\w-]+)", re.MULTILINE)
_RULE = re.compile(r"^\s*- name:\s*([\w-]+)", re.MULTILINE)


def playbook_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Offer the names of playbooks, read from the files without checking them."""
    del param
    return [name for name in _names(ctx, "playbooks", _PLAYBOOK) if name.startswith(incomplete)]


def rule_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Offer the names of rules, read from the files without checking them."""
    del param
    return [name for name in _names(ctx, "rules", _RULE) if name.startswith(incomplete)]


def run_ids(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Offer the ids of the newest runs."""
    del param

    async def unit(tx: Tx) -> list[Run]:
        return await tx.runs.recent(_OFFERED, {})

    return _ids(ctx, unit, incomplete)


def incident_ids(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Offer the ids of the newest incidents."""
    del param

    async def unit(tx: Tx) -> list[Incident]:
        return await tx.incidents.recent(_OFFERED, {})

    return _ids(ctx, unit, incomplete)


def held_targets(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Offer the targets that are held."""
    from runbookd.cli.database import look

    del param
    try:
        holds = look(_shared(ctx), lambda tx: tx.runs.holds())
    except (RunbookdError, OSError):
        return []
    return sorted({hold.target for hold in holds if hold.target.startswith(incomplete)})


def _ids(
    ctx: click.Context, unit: Callable[[Tx], Awaitable[list[Run] | list[Incident]]], incomplete: str
) -> list[str]:
    """Offer ids whole, or their ends as tables show them, whichever was begun."""
    from runbookd.cli.database import look

    try:
        ids = [one.id for one in look(_shared(ctx), unit)]
    except (RunbookdError, OSError):
        return []
    return [offer for identity in ids for offer in (identity, identity[-8:]) if offer.startswith(incomplete)]


def _names(ctx: click.Context, kind: str, pattern: re.Pattern[str]) -> list[str]:
    return sorted(set(_found(ctx, kind, pattern)))


def _found(ctx: click.Context, kind: str, pattern: re.Pattern[str]) -> Iterator[str]:
    try:
        for folder in getattr(_shared(ctx).settings(), kind):
            for file in folder.rglob("*.y*ml"):
                yield from pattern.findall(file.read_text(encoding="utf-8", errors="replace"))
    except (RunbookdError, OSError):
        return


def _shared(ctx: click.Context) -> Shared:
    """Return the shared options as far as they are written; while completing, click calls no command."""
    given = ctx.find_root().params
    return Shared(
        config=given.get("config"),
        database=given.get("database"),
        rules=given.get("rules") or (),
        playbooks=given.get("playbooks") or (),
    )
