"""The HTTP application: every address, and what answers there."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from aiohttp import web

from runbookd.errors import SettingsError
from runbookd.sources import HOOKS
from runbookd.web.api import Api, People
from runbookd.web.auth import credentials, tokens
from runbookd.web.body import BodyReader
from runbookd.web.config import HookAuth, WebConfig
from runbookd.web.health import Health
from runbookd.web.hooks import SIGNED_BODY, SIGNED_HELD, Hooks, Inbox, Readers
from runbookd.web.problems import problems
from runbookd.web.signatures import SCHEMES, Signatures, signatures
from runbookd.web.status import Pages, Status
from runbookd.web.switch import Switch, Switching

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client import CollectorRegistry

    from runbookd.ports import Clock
    from runbookd.web.auth import Credentials
    from runbookd.web.health import Check, Warn

_ADVICE = "; raise max_body, or group alerts into smaller groups"


class Everybody(People, Switching, Protocol):
    """Who carries out what people ask for: about an incident, and about all that is changed anywhere."""


class Inside(NamedTuple):
    """What the doors lead to: where deliveries go, who carries out what people ask for, and the time.

    `pages` makes the public status page; None when there is none.
    """

    inbox: Inbox
    people: Everybody
    clock: Clock
    pages: Pages | None = None


def create_app(
    config: WebConfig,
    inside: Inside,
    *,
    checks: Mapping[str, Check],
    registry: CollectorRegistry,
    warnings: Mapping[str, Warn] | None = None,
) -> web.Application:
    """Put the application together; secrets in files are read now. Raises SettingsError.

    `checks` and `warnings` (None: none) are what `/readyz` asks, `registry` is what `/metrics` shows.
    """
    known = BodyReader(
        max_body=config.max_body, max_held=config.max_held, timeout=config.read_timeout, advice=_ADVICE
    )
    signed = BodyReader(max_body=SIGNED_BODY, max_held=SIGNED_HELD, timeout=config.read_timeout)
    hooks = Hooks(
        inside.inbox,
        doors=hook_doors(config),
        readers=Readers(known, signed),
        clock=inside.clock,
        registry=registry,
    )
    known_tokens = tokens(config.api_tokens)
    api = Api(inside.people, known_tokens, config.read_timeout)
    switch = Switch(inside.people, known_tokens, config.read_timeout)
    metrics_door = credentials(HookAuth(bearer=[config.metrics_bearer])) if config.metrics_bearer else None
    health = Health(checks, warnings=warnings or {}, registry=registry, metrics_door=metrics_door)
    app = web.Application(middlewares=[problems], client_max_size=config.max_body)
    app.router.add_post("/v1/hooks/{source}", hooks.post)
    api.add_to(app.router)
    switch.add_to(app.router)
    if inside.pages is not None:
        Status(inside.pages).add_to(app.router)
    app.router.add_get("/healthz", health.healthz)
    app.router.add_get("/readyz", health.readyz)
    app.router.add_get("/metrics", health.metrics)
    return app


def hook_doors(config: WebConfig) -> dict[str, Credentials | Signatures]:
    """Return what opens the door of every webhook source; one without settings lets nobody in. Raises SettingsError."""
    unknown = config.hooks.keys() - HOOKS
    if unknown:
        raise SettingsError(
            f"hooks: no source {', '.join(sorted(unknown))} takes webhooks; there are {', '.join(sorted(HOOKS))}"
        )
    return {source: _door(source, config.hooks.get(source, HookAuth())) for source in HOOKS}


def _door(source: str, auth: HookAuth) -> Credentials | Signatures:
    if source in SCHEMES:
        return signatures(source, auth)
    if auth.signing:
        raise SettingsError(f"hooks.{source}: this sender cannot sign; give `bearer`, `basic` or `header`")
    return credentials(auth)
