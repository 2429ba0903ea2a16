"""What every command is given: the options that stand beside all of them, and what is made of them when asked."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from runbookd.actions.catalogue import ActionCatalogue
    from runbookd.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """The shared options as given. None and empty stand for what the settings say."""

    config: Path | None = None
    database: Path | None = None
    rules: tuple[Path, ...] = ()
    playbooks: tuple[Path, ...] = ()

    def settings(self) -> Settings:
        """Read the settings: what was given here, over the environment, over the file. Raises SettingsError."""
        from runbookd.cli.variables import refuse_unknown
        from runbookd.settings import load_settings

        refuse_unknown(os.environ)
        given = {
            "database": self.database,
            "rules": list(self.rules),
            "playbooks": list(self.playbooks),
        }
        overrides: dict[str, object] = {name: value for name, value in given.items() if value}
        if self.database:
            overrides["database_url"] = None
        return load_settings(self.config, **overrides)

    def catalogue(self) -> ActionCatalogue:
        """Return the actions there are, as the settings bound them. Raises SettingsError."""
        from runbookd.actions.catalogue import ActionCatalogue

        return ActionCatalogue(self.settings().actions)


pass_shared = click.make_pass_decorator(Shared)
"""Gives a command the shared options as its first argument."""


class Said(click.ParamType[str]):
    """Text that says something, and is no longer than at any other door."""

    name = "text"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text; fails when it is blank or too long."""
        from runbookd.language.said import text_fault

        if not value.strip():
            self.fail("it is empty; say something, it is kept with your name", param, ctx)
        if fault := text_fault(value):
            self.fail(fault, param, ctx)
        return value


class Named(click.ParamType[str]):
    """A person's name."""

    name = "name"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name; fails when nobody is called so."""
        from runbookd.language.said import name_fault

        if fault := name_fault(value):
            self.fail(fault, param, ctx)
        return value.strip()


REASON = click.option(
    "--reason", required=True, type=Said(), metavar="TEXT", help="Why; kept in the ledger with your name."
)
"""The option of every command whose reason others will ask for."""


def actor() -> str:
    """Who asks, for the ledger: `cli:NAME`, the name as one line of at most 100 characters that can be seen."""
    import getpass

    from runbookd.language.media import one_line
    from runbookd.language.said import LONGEST_NAME

    try:
        return f"cli:{one_line(getpass.getuser())[:LONGEST_NAME]}"
    except (KeyError, OSError):  # a user id without a name, as in a container
        return f"cli:{os.getuid()}"
