"""The content that commands go by where a person acts: what a service has in force, whatever the files here say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runbookd.cli.database import look
from runbookd.errors import ContentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runbookd.cli.shared import Shared
    from runbookd.model.library import Library


def in_force(shared: Shared) -> Library:
    """Return the content that a service on the database has in force, or had last; else what stands of the files here.

    What is told of: files here that are not what is in force, and each that is done without. Raises StoreError, and
    ContentError when there is nothing in the database and a folder cannot be read.
    """
    from runbookd.content.load import again
    from runbookd.runtime.in_force import kept

    texts = look(shared, kept)
    if texts is None:
        return _salvaged(shared)
    try:
        library = again(texts)
    except ContentError as error:
        click.echo(
            f"warning: {error.problems[0]}; this version cannot read the content in force, so the files here are used",
            err=True,
        )
        return _salvaged(shared)
    _tell_of_others(shared, texts)
    return library


def _salvaged(shared: Shared) -> Library:
    from runbookd.content.load import salvage

    settings = shared.settings()
    library, problems = salvage(settings.rules, settings.playbooks, shared.catalogue())
    for problem in problems:
        click.echo(f"warning: {problem}; done without that file", err=True)
    if problems:
        click.echo(
            "warning: no content in force is in the database to go by, so nothing that those files say is kept here: "
            "priorities, when an acknowledgement expires, promises of news, reviews, whom to tell",
            err=True,
        )
    return library


def _tell_of_others(shared: Shared, texts: Sequence[tuple[str, str]]) -> None:
    """Warn when the files here are not those in force, and of what keeps them from being so."""
    from runbookd.content.load import examine, same

    settings = shared.settings()
    if same(texts, settings.rules, settings.playbooks):
        return
    problems = examine(settings.rules, settings.playbooks, shared.catalogue()).problems
    for problem in problems:
        click.echo(f"warning: {problem}", err=True)
    what = "those files are" if problems else "the rules and playbooks here are"
    click.echo(
        f"warning: {what} not in force; the content the service has in force is used instead", err=True
    )
