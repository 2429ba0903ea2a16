"""Groups of commands whose files are imported only when they are called."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from runbookd.language.fuzzy import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Lazy:
    """A command to be found when it is called: `module:attribute`, its heading in the help, and its one line there."""

    path: str
    heading: str
    summary: str


class ReaderLeft(Exception):
    """Whoever read the output stopped reading, as `head` does."""


class LazyGroup(click.Group):
    """A group that knows its commands by name and summary only.

    Options named in `anywhere` may stand before or after the command's name, until a bare `--`.
    """

    def __init__(
        self, *args: Any, lazy: Mapping[str, Lazy], anywhere: Sequence[str] = (), **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = lazy
        self._anywhere = tuple(anywhere)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command's name, in the order of the table."""
        del ctx
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command, or return None when there is none of that name."""
        del ctx
        lazy = self._lazy.get(cmd_name)
        if lazy is None:
            return None
        module, _, attribute = lazy.path.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is called; a misspelled one is answered with the nearest."""
        if args and args[0] not in self._lazy and not args[0].startswith("-"):
            ctx.fail(_no_such(args[0], self._lazy))
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the group's own options from wherever they stand; nothing at all asks for help."""
        return super().parse_args(ctx, gathered(args, self._anywhere) or ["--help"])

    def invoke(self, ctx: click.Context) -> Any:
        """Call the command; raises ReaderLeft, as click would take a broken pipe for an ordinary failure."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise ReaderLeft from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands under their headings, from the table alone."""
        del ctx
        width = max(map(len, self._lazy))
        for heading in dict.fromkeys(lazy.heading for lazy in self._lazy.values()):
            rows = [
                (name.ljust(width), lazy.summary)
                for name, lazy in self._lazy.items()
                if lazy.heading == heading
            ]
            with formatter.section(heading):
                formatter.write_dl(rows)


class ListGroup(click.Group):
    """A group about one noun that lists by itself: `runs --state failed` is `runs list --state failed`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `list` in front when options come first, or nothing at all."""
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is called; an id without one is answered with how to see it."""
        if args and args[0] not in self.commands:
            hint = did_you_mean(args[0], self.commands) or f" To see one: {ctx.command_path} show {args[0]}"
            ctx.fail(f"no command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)


def examples(*lines: str) -> str:
    """Return the end of a command's help: lines to type, which are not wrapped."""
    return "\b\n" + "\n".join(
        ["Example:" if len(lines) == 1 else "Examples:", *(f"  {line}" for line in lines)]
    )


def gathered(args: Sequence[str], names: Sequence[str]) -> list[str]:
    """Move the options of these names, each with its value, to the front; what follows a bare `--` stays.

    An option without a value stays where it is, for click to refuse.
    """
    front: list[str] = []
    rest: list[str] = []
    left = list(args)
    while left:
        word = left.pop(0)
        if word == "--":
            return [*front, *rest, word, *left]
        if word in names and left:
            front += [word, left.pop(0)]
        elif word.partition("=")[0] in names and "=" in word:
            front.append(word)
        else:
            rest.append(word)
    return [*front, *rest]


def _no_such(name: str, known: Mapping[str, Lazy]) -> str:
    return f"no command {name!r}.{did_you_mean(name, known)}"
