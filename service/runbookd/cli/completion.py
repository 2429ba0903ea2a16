"""`runbookd completion`: what makes a shell complete commands, playbooks and ids."""

from __future__ import annotations

import click

from runbookd.cli.group import examples

SHELLS = ("bash", "zsh", "fish")
_VARIABLE = "_RUNBOOKD_COMPLETE"


@click.command(
    epilog=examples(
        "runbookd completion bash > /etc/bash_completion.d/runbookd",
        'runbookd completion zsh > "${fpath[1]}/_runbookd"',
        "runbookd completion fish > ~/.config/fish/completions/runbookd.fish",
    )
)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a shell's completion script.

    It completes commands, options, names of playbooks, rules and actions, and ids of runs and incidents.
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - click knows the three
    click.echo(kind(ctx.find_root().command, {}, "runbookd", _VARIABLE).source())
