"""One mail as it goes over the wire (RFC 5322, MIME): headers nobody can add to, and a body in one or two forms.

Everything is sent as ASCII (encoded words, quoted-printable, base64), so that any server can carry it. What people
or alerts wrote may hold anything: line breaks and control characters never reach a header.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.headerregistry import Address, HeaderRegistry, MessageIDHeader
from email.message import EmailMessage
from email.utils import getaddresses

from runbookd.model.people import EMAIL

LONGEST_SUBJECT = 255
"""Characters; the rest is cut."""
_ADDRESS = re.compile(EMAIL)
_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_LONGEST_ID = 64
_BREAKS = frozenset({"Cc", "Zl", "Zp"})
"""Unicode categories that end a line, or are no characters at all."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who a mail is from: a name, "" for none, and an address."""

    name: str
    address: str

    @property
    def domain(self) -> str:
        """What stands behind the `@`."""
        return self.address.rpartition("@")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a mail says, and to whom. `html` is None for a mail in plain text only.

    `key` makes the mail's Message-ID; `thread` is the key of the mail it follows, None (or the same) for a first one.
    """

    to: Sequence[str]
    subject: str
    text: str
    html: str | None
    key: str
    thread: str | None


def parse_sender(written: str) -> Sender | None:
    """Read `runbookd <runbookd@example.com>` or a bare address; None when it is neither."""
    found = getaddresses([one_line(written)])
    name, address = found[0] if len(found) == 1 else ("", "")
    return Sender(name, address) if _ADDRESS.fullmatch(address) else None


def message_id(key: str, sender: Sender) -> str:
    """Name the mail with this key: `<KEY@runbookd.DOMAIN>`, the same each time it is sent.

    A key with characters an id cannot have, or too long for a header line, is replaced by its hash.
    """
    plain = len(key) <= _LONGEST_ID and _PLAIN_ID.fullmatch(key)
    left = key if plain else hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:32]
    return f"<{left}@runbookd.{sender.domain}>"


def one_line(text: str) -> str:
    """The text on one line, without control characters and halves of surrogate pairs."""
    spaced = "".join(" " if unicodedata.category(sign) in _BREAKS else sign for sign in _valid(text))
    return " ".join(spaced.split())


def compose(draft: Draft, sender: Sender, now: datetime) -> EmailMessage:
    """Make the mail. It says of itself that no person wrote it, so that no out-of-office reply comes back.

    https://www.rfc-editor.org/rfc/rfc3834#section-5
    """
    mail = EmailMessage(policy=_policy())
    # An encoded word in the text would be decoded, whatever it hides.
    subject = one_line(draft.subject).replace("=?", "= ?")
    mail["From"] = Address(display_name=sender.name, addr_spec=sender.address)
    mail["To"] = [Address(addr_spec=address) for address in draft.to]
    mail["Subject"] = subject if len(subject) <= LONGEST_SUBJECT else subject[: LONGEST_SUBJECT - 1] + "…"
    mail["Date"] = now
    mail["Message-ID"] = message_id(draft.key, sender)
    if draft.thread is not None and draft.thread != draft.key:
        mail["In-Reply-To"] = mail["References"] = message_id(draft.thread, sender)
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(_valid(draft.text))
    if draft.html is not None:
        mail.add_alternative(_valid(draft.html), subtype="html")
    return mail


def _policy() -> policy.EmailPolicy[EmailMessage]:
    """ASCII on the wire, and ids never folded into encoded words, which the standard policy does to long ones."""
    headers = HeaderRegistry()
    for name in ("in-reply-to", "references"):
        headers.map_to_type(name, MessageIDHeader)  # type: ignore[arg-type] # a mixin, as the registry expects
    return policy.SMTP.clone(cte_type="7bit", header_factory=headers)


def _valid(text: str) -> str:
    """The text with `?` for each half of a surrogate pair, which no encoding has."""
    return text.encode("utf-8", "replace").decode("utf-8")
