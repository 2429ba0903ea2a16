"""`runbookd demo`: break a small shop, and watch it being mended."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

import click

from runbookd.cli import exit_codes
from runbookd.cli.group import examples

if TYPE_CHECKING:
    from runbookd.demo.scenario import Options


@click.command(epilog=examples("runbookd demo --once"))
@click.option("--once", is_flag=True, help="End when the story has ended.")
@click.option("--keep", is_flag=True, help="Leave the folder with the database, settings and logs there.")
@click.option(
    "--without-prometheus",
    is_flag=True,
    help="Post the notifications itself, even where Prometheus is installed.",
)
def demo(*, once: bool, keep: bool, without_prometheus: bool) -> None:
    """Start a small shop and the service beside it, let a bad release go out, and watch it being taken back.

    The shop, the service and, where they are on the PATH, Prometheus and Alertmanager are real processes on loopback.
    No cluster, account or secret is needed; everything is in a temporary folder, and gone afterwards. The exit code
    is 1 when the story did not end well.
    """
    from runbookd.demo.processes import DemoError
    from runbookd.demo.scenario import Options

    options = Options(once=once, keep=keep, without_prometheus=without_prometheus)
    try:
        code = asyncio.run(_tell(options))
    except DemoError as error:
        click.echo(f"error: {error}", err=True)
        code = exit_codes.BAD
    click.get_current_context().exit(code)


async def _tell(options: Options) -> int:
    """Tell it until the end, or the first signal; what was started is ended in either case."""
    from runbookd.demo.scenario import tell
    from runbookd.demo.screen import Screen

    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    good = await tell(options, Screen(sys.stdout), stop)
    if good is None:
        return exit_codes.INTERRUPTED
    return exit_codes.OK if good else exit_codes.BAD
