"""Senders that sign what they send: PagerDuty and Slack, by HMAC-SHA256 over the raw body with a shared secret.

Several secrets are valid at once, so that one is rotated without a gap. Every signature presented is compared with
every one expected in constant time, without an early exit. Whatever is presented, the answer is yes or no: nothing in
a header or a body raises. (slack_sdk's own verifier raises for a time that is no number, a signature that is not
ASCII and a body that is not UTF-8, each of which a stranger would see as a 500.)
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from runbookd.errors import SettingsError
from runbookd.web.auth import REALM, header_values, secret_of

if TYPE_CHECKING:
    from multidict import CIMultiDictProxy

    from runbookd.web.config import HookAuth

SLACK_MAX_AGE: Final = timedelta(minutes=5)
"""How far the time Slack has signed may lie from now, in either direction."""

_MOST_SIGNATURES: Final = 16
_SECONDS: Final = re.compile(rb"[0-9]{1,11}")


class Claim(NamedTuple):
    """What is said to be signed, and the signatures that say so, each in hex."""

    signed: bytes
    signatures: list[bytes]


Scheme = Callable[["CIMultiDictProxy[str]", bytes, datetime], Claim | None]
"""How a sender signs: reads the claim from headers and body, None when there is none or it is too old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signatures:
    """What opens the door of a sender that signs. Without `secrets` nobody can be told from a stranger."""

    scheme: Scheme
    secrets: tuple[bytes, ...] = field(repr=False)
    challenge: str = f'Signature realm="{REALM}"'

    def allow(self, headers: CIMultiDictProxy[str], body: bytes, now: datetime) -> bool:
        """Whether the body comes from who has one of the secrets."""
        claim = self.scheme(headers, body, now)
        if claim is None:
            return False
        found = False
        for secret in self.secrets:
            expected = hmac.new(secret, claim.signed, hashlib.sha256).hexdigest().encode()
            for presented in claim.signatures:
                found |= hmac.compare_digest(expected, presented)
        return found


def pagerduty(headers: CIMultiDictProxy[str], body: bytes, _now: datetime) -> Claim | None:
    """Read `X-PagerDuty-Signature`: a list of `v1=HEX`, one for each of the subscription's secrets.

    https://developer.pagerduty.com/docs/webhooks/webhook-signatures/. There is no time in it: an old delivery is told
    by the event's id and `occurred_at`.
    """
    presented = b",".join(header_values(headers, "X-PagerDuty-Signature")).split(b",")
    signatures = [one.strip()[3:] for one in presented if one.strip().startswith(b"v1=")]
    return Claim(body, signatures[:_MOST_SIGNATURES]) if signatures else None


def slack(headers: CIMultiDictProxy[str], body: bytes, now: datetime) -> Claim | None:
    """Read `X-Slack-Signature: v0=HEX`, over `v0:TIME:BODY` with the `X-Slack-Request-Timestamp` in seconds.

    https://docs.slack.dev/authentication/verifying-requests-from-slack. A header given twice counts as none.
    """
    times = header_values(headers, "X-Slack-Request-Timestamp")
    signatures = header_values(headers, "X-Slack-Signature")
    if len(times) != 1 or len(signatures) != 1 or not _SECONDS.fullmatch(times[0]):
        return None
    age = now - datetime(1970, 1, 1, tzinfo=UTC) - timedelta(seconds=int(times[0]))
    if abs(age) > SLACK_MAX_AGE or not signatures[0].startswith(b"v0="):
        return None
    return Claim(b"v0:%b:%b" % (times[0], body), [signatures[0][3:]])


SCHEMES: Final[Mapping[str, Scheme]] = {"pagerduty": pagerduty, "slack": slack}
"""How each source signs that does; the others present a secret."""


def signatures(source: str, auth: HookAuth) -> Signatures:
    """Make the door of a source that signs, from its settings.

    Raises SettingsError for a secret that cannot be read, and for any other way in: whoever knows a password that
    goes over the wire could write what they like.
    """
    if auth.model_fields_set - {"signing"}:
        raise SettingsError(
            f"hooks.{source}: this sender signs what it sends; give `signing` and nothing else"
        )
    return Signatures(scheme=SCHEMES[source], secrets=tuple(secret_of(one) for one in auth.signing))
