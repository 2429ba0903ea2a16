"""`runbookd ack`, `escalate`, `resolve`, `assign` and `note`: what a person does about an incident."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from runbookd.cli.complete import incident_ids
from runbookd.cli.database import change, find_incident
from runbookd.cli.group import examples
from runbookd.cli.in_force import in_force
from runbookd.cli.shared import REASON, Named, Said, Shared, actor, pass_shared
from runbookd.errors import Conflict

if TYPE_CHECKING:
    from runbookd.ports import Tx
    from runbookd.units.people import Done

_INCIDENT = click.argument("incident", metavar="INCIDENT", shell_complete=incident_ids)


@click.command(epilog=examples("runbookd ack 7f3k9x2b"))
@_INCIDENT
@pass_shared
def ack(shared: Shared, incident: str) -> None:
    """Take an incident: levels of its escalation that wait for that stop, and pagers are quiet.

    INCIDENT may be any part of at least 4 letters that the id begins or ends with.
    """
    tell(act_on(shared, incident, "acknowledge"))


@click.command(
    epilog=examples(
        'runbookd escalate 7f3k9x2b --reason "needs somebody who knows the database"',
        'runbookd escalate 7f3k9x2b --priority P0 --reason "customers are cut off"',
    )
)
@_INCIDENT
@click.option(
    "--priority", metavar="NAME", help="Raise it to this priority: its clocks and levels begin now."
)
@REASON
@pass_shared
def escalate(shared: Shared, incident: str, priority: str | None, reason: str) -> None:
    """Tell the next level that pages now, whatever it waits for, or raise the priority."""
    tell(act_on(shared, incident, "escalate", text=reason, priority=priority))


@click.command(epilog=examples('runbookd resolve 7f3k9x2b --reason "restarted by hand, users are served"'))
@_INCIDENT
@REASON
@pass_shared
def resolve(shared: Shared, incident: str, reason: str) -> None:
    """End an incident, and tell everyone who was told of it. Its alerts may still be firing."""
    done = act_on(shared, incident, "resolve", text=reason)
    tell(replace(done, over=False))  # it is as it was wanted to be


@click.command(epilog=examples("runbookd assign 7f3k9x2b anna"))
@_INCIDENT
@click.argument("who", type=Named())
@pass_shared
def assign(shared: Shared, incident: str, who: str) -> None:
    """Say who leads: the incident commander, as messages call them."""
    tell(act_on(shared, incident, "assign", text=who))


@click.command(
    epilog=examples(
        'runbookd note 7f3k9x2b "the vendor is on it"',
        'runbookd note 7f3k9x2b --public "Users can log in again."',
    )
)
@_INCIDENT
@click.argument("text", type=Said())
@click.option(
    "--public",
    is_flag=True,
    help="Send it as the promised update, to everyone told before and the status page.",
)
@pass_shared
def note(shared: Shared, incident: str, text: str, *, public: bool) -> None:
    """Write something down about an incident, for its timeline and review."""
    tell(act_on(shared, incident, "note", text=text, public=public))


def act_on(
    shared: Shared, part: str, do: str, *, text: str = "", priority: str | None = None, public: bool = False
) -> Done:
    """Do it to the incident whose id `part` is, or is part of; a service on the database sends what is to be sent.

    It is done by the content in force, as at every other door. Raises NotFound, UsageError, StoreError, and what
    `in_force` raises.
    """
    from runbookd.runtime.ids import Ulids
    from runbookd.units.desk import Desk
    from runbookd.units.people import Act, Do, act

    desk = Desk.of(in_force(shared), Ulids())

    async def unit(tx: Tx) -> Done:
        found = await find_incident(tx, part)
        wanted = Act(
            do=Do(do), incident_id=found.id, actor=actor(), text=text, priority=priority, public=public
        )
        return await act(tx, desk, wanted, datetime.now(UTC))

    return change(shared, unit)


def tell(done: Done) -> None:
    """Say what came of an act; that nothing changed is said on standard error.

    Raises Conflict for what cannot be done any more: no script may take it for somebody having been told.
    """
    if done.over:
        raise Conflict(f"{done.said}: nothing was done")
    click.echo(done.said, err=not done.changed)
