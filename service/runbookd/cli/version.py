"""`runbookd version`: what runs here."""

from __future__ import annotations

import platform

import click

from runbookd import __version__
from runbookd.cli.output import fields, output_option, print_json
from runbookd.cli.shared import Shared, pass_shared


@click.command()
@output_option
@pass_shared
def version(shared: Shared, output: str) -> None:
    """Print the versions of runbookd, Python, SQLite, and of the rules and playbooks on disk.

    The content's version is a hash over all its files; the service logs the one it has loaded.
    """
    from runbookd.store.sqlite_reader import ENGINE

    told = {
        "runbookd": __version__,
        "python": platform.python_version(),
        "sqlite": ENGINE,
        "content": content_version(shared),
    }
    if output == "json":
        print_json(told)
    else:
        fields((name, value or "no folders of rules and playbooks") for name, value in told.items())


def content_version(shared: Shared) -> str | None:
    """Return the version of what is in the configured folders; None when one is not there."""
    from runbookd.content.files import find, read
    from runbookd.content.files import version as version_of
    from runbookd.errors import ContentError

    settings = shared.settings()
    try:
        bodies, _ = read(find([*settings.rules, *settings.playbooks]))
    except ContentError:
        return None
    return version_of(bodies)
