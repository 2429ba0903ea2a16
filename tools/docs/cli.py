"""`docs/reference/cli.md`: what every command says of itself."""

from __future__ import annotations

from collections.abc import Iterator

import click

from runbookd.cli.main import cli
from tools.docs.markdown import block
from tools.docs.markdown import page as make_page

WIDTH = 100
"""Columns of the help texts; a terminal's own width would make the page differ from machine to machine."""


def page() -> str:
    """Make the page."""
    parts = ["`runbookd COMMAND --help` prints the same."]
    for name, text in helps():
        parts += [f"## {name}", block(text, "text")]
    return make_page("Command line", ["service/runbookd/cli/"], *parts)


def helps() -> Iterator[tuple[str, str]]:
    """Yield every command, inner ones after their group, with its help text."""
    for context in contexts(cli, "runbookd", None):
        yield context.command_path, context.command.get_help(context)


def contexts(command: click.Command, name: str, parent: click.Context | None) -> Iterator[click.Context]:
    """Yield the context of a command and of every command below it."""
    context = click.Context(
        command,
        info_name=name,
        parent=parent,
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        color=False,
        **{key: value for key, value in command.context_settings.items() if key != "max_content_width"},
    )
    yield context
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            inner = command.get_command(context, each)
            if inner is not None and not inner.hidden:
                yield from contexts(inner, each, context)
