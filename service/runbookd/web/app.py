"""The HTTP application: every address, and what answers there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from runbookd.errors import SettingsError
from runbookd.sources import HOOKS
from runbookd.web.auth import credentials
from runbookd.web.body import BodyReader
from runbookd.web.config import HookAuth, WebConfig
from runbookd.web.health import Health
from runbookd.web.hooks import Hooks, Inbox
from runbookd.web.problems import problems

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client import CollectorRegistry

    from runbookd.web.auth import Credentials
    from runbookd.web.health import Check, Warn


def create_app(
    config: WebConfig,
    *,
    inbox: Inbox,
    checks: Mapping[str, Check],
    registry: CollectorRegistry,
    warnings: Mapping[str, Warn] | None = None,
) -> web.Application:
    """Put the application together; secrets in files are read now. Raises SettingsError.

    `inbox` is where deliveries go, `checks` and `warnings` (None: none) are what `/readyz` asks, `registry` is what
    `/metrics` shows.
    """
    hooks = Hooks(
        inbox,
        doors=hook_doors(config),
        reader=BodyReader(max_body=config.max_body, max_held=config.max_held, timeout=config.read_timeout),
        registry=registry,
    )
    metrics_door = credentials(HookAuth(bearer=[config.metrics_bearer])) if config.metrics_bearer else None
    health = Health(checks, warnings=warnings or {}, registry=registry, metrics_door=metrics_door)
    app = web.Application(middlewares=[problems], client_max_size=config.max_body)
    app.router.add_post("/v1/hooks/{source}", hooks.post)
    app.router.add_get("/healthz", health.healthz)
    app.router.add_get("/readyz", health.readyz)
    app.router.add_get("/metrics", health.metrics)
    return app


def hook_doors(config: WebConfig) -> dict[str, Credentials]:
    """Return every webhook source's credentials; one without settings lets nobody in. Raises SettingsError."""
    unknown = config.hooks.keys() - HOOKS
    if unknown:
        raise SettingsError(
            f"hooks: no source {', '.join(sorted(unknown))} takes webhooks; there are {', '.join(sorted(HOOKS))}"
        )
    return {source: credentials(config.hooks.get(source, HookAuth())) for source in HOOKS}
