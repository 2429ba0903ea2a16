"""Serving the application: the listening socket, TLS, and what aiohttp may log."""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from runbookd.errors import SettingsError

if TYPE_CHECKING:
    from runbookd.web.config import TlsConfig, WebConfig

SHUTDOWN_SECONDS: Final = 10.0
"""How long requests under way may take to be answered when the service stops."""

LINGER_SECONDS: Final = 1.0
"""How long the rest of a refused body is read and thrown away, so that the sender gets to read its answer."""


class NoStrangersText(logging.Filter):
    """Takes malformed requests out of the log's tracebacks: their text may be anything, a secret included."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep the line, and of a malformed request only the kind of its fault."""
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if isinstance(error, HttpProcessingError):
            record.msg, record.args = (
                "A request was malformed (%s) and was answered %s",
                (type(error).__name__, error.code),
            )
            record.exc_info, record.levelno, record.levelname = None, logging.INFO, "INFO"
        return True


_NO_STRANGERS_TEXT: Final = NoStrangersText()


async def serve(app: web.Application, config: WebConfig) -> web.AppRunner:
    """Listen and serve until the runner's `cleanup()` is awaited; `addresses` tells where.

    Raises SettingsError when the address or the certificate cannot be used.
    """
    context = tls_context(config.tls) if config.tls else None
    logger = logging.getLogger("runbookd.web")
    logger.addFilter(_NO_STRANGERS_TEXT)
    runner = web.AppRunner(
        app,
        access_log=None,  # the pipeline writes one line per delivery
        logger=logger,
        auto_decompress=False,  # compressed bodies are refused, so a bomb is not even opened
        keepalive_timeout=config.idle_timeout.total_seconds(),
        lingering_time=LINGER_SECONDS,
        shutdown_timeout=SHUTDOWN_SECONDS,
    )
    await runner.setup()
    site = web.TCPSite(runner, config.host, config.port, backlog=config.backlog, ssl_context=context)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        raise SettingsError(f"cannot listen at {config.host}:{config.port}: {error.strerror}") from None
    return runner


def tls_context(config: TlsConfig) -> ssl.SSLContext:
    """Make the server's side of TLS 1.2 and later. Raises SettingsError for files that cannot be used."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(config.cert, config.key)
        if config.client_ca is not None:
            context.load_verify_locations(config.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED if config.client_required else ssl.CERT_OPTIONAL
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"the TLS files cert={config.cert}, key={config.key}, client_ca={config.client_ca} cannot be used: {error}"
        ) from None
    return context
