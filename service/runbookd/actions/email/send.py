"""`email.send`: send a mail.

Changes the mailboxes it is sent to. Not undone: nobody can take back a mail. A repeat bears the same Message-ID
(https://www.rfc-editor.org/rfc/rfc5322#section-3.6.4), by which mail programs show it once. The server is the one under
`actions.email` in the settings; where that asks for encryption, nothing is ever sent without it.

Addresses are ASCII: write the domain of an internationalised one in its `xn--` form. Label text may stand in subject
and text as it is, but HTML is sent as given, so values in it have to be escaped before.
"""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field

from runbookd.actions.base import Action, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.actions.config import Email
from runbookd.actions.email.client import RefusedRecipient, hand_over
from runbookd.actions.email.mail import Draft, Sender, compose, message_id, parse_sender
from runbookd.actions.failures import Rejected
from runbookd.model.action import Repeat, Spec
from runbookd.model.people import Email as Address


class Params(BaseParams):
    """What the mail says, and to whom."""

    to: list[Address] = Field(
        min_length=1, max_length=100, description="Addresses; each of them sees the others."
    )
    subject: str = Field(
        description="Its subject. Line breaks become spaces; from 255 characters on it is cut."
    )
    text: str = Field(description="What it says, as plain text.")
    html: str | None = Field(default=None, description="The same as HTML. null: plain text only.")
    key: str = Field(
        min_length=1,
        max_length=1000,
        description="Names this mail: sent again under the same key, it is the same mail.",
    )
    thread: str | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        description="Key of the mail it follows, an incident's first one. null: it begins a thread.",
    )


class Refused(BaseModel):
    """A recipient the mail server did not take the mail for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str = Field(description="The recipient.")
    code: int = Field(description="The server's reply code.")
    message: str = Field(description="The server's reason.")
    temporary: bool = Field(description="True when the server may take it later (a reply of 4yz).")


class Result(BaseResult):
    """What became of it."""

    message_id: str = Field(description="Its Message-ID, with the angle brackets.")
    accepted: list[str] = Field(description="The recipients the server took it for.")
    refused: list[Refused] = Field(description="The recipients it did not take it for.")
    said: str = Field(description="The server's answer, often with the number in its queue.")


SPEC = Spec(
    name="email.send",
    summary="Send a mail.",
    mutates=True,
    repeat=Repeat.SAFE,
    undo="Not undone: a mail that was sent cannot be taken back.",
    timeout=timedelta(seconds=60),
    example={
        "to": ["on-call-l2@example.com"],
        "subject": "P1: ${incident.title}",
        "text": "The rollout of backend is stuck. Acknowledge with: runbookd ack ${incident.id}",
        "key": "${incident.id}-opened",
    },
)


async def run(params: Params, context: Context) -> Result:
    """Send it. Succeeds when the server takes it for one recipient at least; `refused` tells of the others."""
    server, sender = _server(context)
    draft = Draft(
        to=params.to,
        subject=params.subject,
        text=params.text,
        html=params.html,
        key=params.key,
        thread=params.thread,
    )
    receipt = await hand_over(context, server, compose(draft, sender, context.now()), sender, params.to)
    refused = {each.address for each in receipt.refused}
    return Result(
        message_id=message_id(params.key, sender),
        accepted=[address for address in params.to if address not in refused],
        refused=[_refused(each) for each in receipt.refused],
        said=receipt.said,
    )


def _server(context: Context) -> tuple[Email, Sender]:
    """The server and who mail is from; raises Rejected (`refused`) naming the setting that is not right."""
    server = context.config.email
    if server is None:
        message = "no mail server is set; name it under `actions.email` in the settings"
        raise Rejected(message, kind="refused")
    sender = parse_sender(server.sender)
    if sender is None:
        message = (
            f"`actions.email.sender` {server.sender!r} is not an address such as "
            "`runbookd <runbookd@example.com>`"
        )
        raise Rejected(message, kind="refused")
    return server, sender


def _refused(refusal: RefusedRecipient) -> Refused:
    return Refused(
        address=refusal.address, code=refusal.code, message=refusal.text, temporary=refusal.temporary
    )


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run)
