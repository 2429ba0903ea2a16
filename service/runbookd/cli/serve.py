"""`runbookd serve`: the service itself."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

import click

from runbookd.cli.group import examples
from runbookd.cli.shared import Shared, pass_shared
from runbookd.errors import SettingsError

if TYPE_CHECKING:
    from runbookd.settings import Settings
    from runbookd.web.config import HookAuth

_NO_DOOR = """nobody may send events: no hook has credentials, so every delivery would be refused. \
Give the one for Alertmanager a token,
    as a variable:    RUNBOOKD_WEB__HOOKS='{"alertmanager": {"bearer": ["a-long-random-token"]}}'
    or in --config:   [web.hooks.alertmanager]
                      bearer_files = ["/etc/runbookd/alertmanager-token"]
and send it with Alertmanager's http_config.authorization.credentials."""


@click.command(
    epilog=examples("runbookd serve --config /etc/runbookd.toml --rules rules --playbooks playbooks")
)
@pass_shared
def serve(shared: Shared) -> None:
    """Run the service until SIGTERM or Ctrl-C, then stop gracefully; a second one ends it at once.

    Logs go to standard error: JSON lines, or words when that is a terminal. Nothing goes to standard output.
    """
    settings = shared.settings()
    if not any(_lets_in(auth) for auth in settings.web.hooks.values()):
        raise SettingsError(_NO_DOOR)
    from runbookd.bootstrap import preflight

    preflight(settings)
    _set_up_logs(settings)
    asyncio.run(_serve(settings))


def _lets_in(auth: HookAuth) -> bool:
    return any((auth.bearer, auth.bearer_files, auth.basic, auth.header, auth.client_names))


def _set_up_logs(settings: Settings) -> None:
    """Log as the settings say; where they say nothing, in words to a terminal."""
    from runbookd.runtime.logs import set_up

    chosen = "log_format" in settings.model_fields_set
    set_up(
        settings.log_format if chosen or not sys.stderr.isatty() else "console",
        settings.log_level,
    )


async def _serve(settings: Settings) -> None:
    """Serve until the first signal; after it the signals have their usual force again."""
    from runbookd.bootstrap import serve as run_service

    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def stop_once() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop_once)
    await run_service(settings, stop)
