"""`ports.Performer` over the catalogue: finds the action of a call and hands it to `actions/base.perform`."""

from __future__ import annotations

from collections.abc import Mapping

from runbookd.actions import base
from runbookd.actions.base import Context, Shared
from runbookd.actions.catalogue import ActionCatalogue, unknown
from runbookd.model.action import Call, Failure, Outcome, OutcomeState, Probed, Repeat, Spec
from runbookd.ports import Clock, Secrets


class CataloguePerformer:
    """Carries out calls. Owns the sessions and clients its actions share, until `close`.

    In observe mode a mutating call is not made: its outcome is skipped, with the failure kind `observed`, unless
    the action has a dry run; then it is what the dry run says.
    """

    def __init__(self, catalogue: ActionCatalogue, secrets: Secrets, clock: Clock) -> None:
        self._catalogue = catalogue
        self._secrets = secrets
        self._clock = clock
        self._shared = Shared()

    def spec(self, action: str) -> Spec | None:
        """What the action declares; None when there is no such action."""
        return self._catalogue.spec(action)

    def mutates(self, action: str, params: Mapping[str, object]) -> bool:
        """Whether this call changes anything; unknown is yes."""
        return self._catalogue.mutates(action, params)

    def repeat(self, action: str, params: Mapping[str, object]) -> Repeat:
        """What a crash between this call and its answer allows; unknown is never."""
        return self._catalogue.repeat(action, params)

    async def perform(self, call: Call) -> Outcome:
        """Make one attempt."""
        action = self._catalogue.find(call.action)
        return self._unknown(call) if action is None else await base.perform(action, self._context(call))

    async def probe(self, call: Call) -> tuple[Probed, Outcome | None]:
        """Ask whether a call in doubt took effect.

        The outcome is the one the call would have had when that is known, and the probe's own failure when it failed.
        """
        action = self._catalogue.find(call.action)
        if action is None:
            return Probed.UNKNOWN, self._unknown(call)
        return await base.probe(action, self._context(call))

    async def undo(self, call: Call, output: Mapping[str, object]) -> Outcome:
        """Reverse a call that succeeded with this output; skipped, kind `not_undoable`, where there is no undo."""
        action = self._catalogue.find(call.action)
        if action is None:
            return self._unknown(call)
        return await base.undo(action, self._context(call), output)

    async def close(self) -> None:
        """Close what the actions share; a later call opens it anew."""
        await self._shared.close()

    def _context(self, call: Call) -> Context:
        return Context(call, self._catalogue.config, self._clock, self._shared, self._secrets)

    def _unknown(self, call: Call) -> Outcome:
        message = unknown(call.action, self._catalogue.names())
        return Outcome(state=OutcomeState.FAILED, failure=Failure(kind="unknown_action", message=message))
