"""What an answer of Slack that is no success means, in the words of `runbookd.actions.failures`.

Slack answers 200 with `{"ok": false, "error": "a_word"}` to nearly everything it refuses, and 429 with `Retry-After`
to too many requests: https://docs.slack.dev/apis/web-api/using-the-slack-web-api#responses and
https://docs.slack.dev/apis/web-api/rate-limits. Each method's page lists its words.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from runbookd.actions.failures import Rejected, Unavailable, failure_of_status
from runbookd.errors import ActionError

_EXCERPT = 300

_TOKEN = "put the bot token of an installed app into the secret {secret!r}"  # noqa: S105 - advice, no password
_REINSTALL = "under OAuth & Permissions of the app, and install it again"
_SCOPE = f"the app lacks the scope {{needed}}; add it {_REINSTALL}"
_INVITE = "the app is not a member of the channel; invite it there (`/invite` and its name)"
_ADMIN = "the workspace does not allow it; ask an administrator of it"
_REFUSED: Mapping[str, tuple[str, str]] = {
    "not_authed": ("denied", _TOKEN),
    "invalid_auth": ("denied", _TOKEN),
    "account_inactive": ("denied", _TOKEN),
    "token_revoked": ("denied", _TOKEN),
    "token_expired": ("denied", _TOKEN),
    "not_allowed_token_type": ("denied", _TOKEN),
    "missing_scope": ("denied", _SCOPE),
    "no_permission": ("denied", _INVITE),
    "not_in_channel": ("denied", _INVITE),
    "access_denied": ("denied", _ADMIN),
    "accesslimited": ("denied", _ADMIN),
    "ekm_access_denied": ("denied", _ADMIN),
    "restricted_action": ("denied", _ADMIN),
    "restricted_action_read_only_channel": ("denied", "nobody may write there; choose another channel"),
    "restricted_action_thread_only_channel": ("denied", "only threads may be written to there"),
    "org_login_required": ("denied", _ADMIN),
    "two_factor_setup_required": ("denied", _ADMIN),
    "team_access_not_granted": ("denied", "the app is not installed in this workspace; install it there"),
    "channel_not_found": (
        "not_found",
        "there is no such channel, or it is private and the app is not in it; check the name, or invite the app",
    ),
    "user_not_found": ("not_found", "there is no such person in the workspace; check the id"),
    "user_not_in_channel": ("not_found", "the person is not in the channel; invite them there"),
    "message_not_found": ("not_found", "the message is gone, or `ts` is not one of this channel"),
    "thread_not_found": (
        "not_found",
        "the message it answers is gone, or `thread_ts` is not of this channel",
    ),
    "is_archived": ("conflict", "the channel is archived; unarchive it, or choose another"),
    "is_inactive": ("conflict", "the channel is archived or frozen; unarchive it, or post anew elsewhere"),
    "name_taken": ("conflict", "a channel of that name exists, perhaps an archived one"),
    "cant_update_message": ("conflict", "the app can only edit what it posted itself"),
    "edit_window_closed": ("conflict", "the workspace no longer lets the message be edited; post anew"),
    "messages_tab_disabled": ("refused", "allow messages under App Home of the app"),
}
"""The kind of failure of each word, and what to do; `{secret}` and `{needed}` are filled in."""

_PASSING: Mapping[str, tuple[str, bool]] = {
    "ratelimited": ("rate_limited", False),
    "rate_limited": ("rate_limited", False),
    "message_limit_exceeded": ("rate_limited", False),
    "service_unavailable": ("unavailable", False),
    "team_added_to_org": ("unavailable", False),
    "external_channel_migrating": ("unavailable", False),
    "request_timeout": ("timeout", False),
    "update_failed": ("server_error", True),
    "internal_error": ("server_error", True),
    "fatal_error": ("server_error", True),
}
"""The kind of each word that may pass, and whether some of the call may have been done before it was raised."""


class RefusedBySlack(Rejected):
    """A word Slack refused a call with; `word` is that, `answer` all that came with it."""

    def __init__(self, message: str, *, kind: str, word: str, answer: Mapping[str, Any]) -> None:
        super().__init__(message, kind=kind)
        self.word = word
        self.answer = answer


def failure_of(
    what: str, status: int, answer: object, *, retry_after: float | None, secret: str
) -> ActionError:
    """The failure of an answer to the call `what`, given as its HTTP status and its JSON (anything when it is none).

    `secret` is the name of the secret with the token; `retry_after` is in seconds, None without that header.
    """
    said: Mapping[str, Any] = answer if isinstance(answer, Mapping) else {}
    word = said.get("error")
    word = " ".join(word.split())[:_EXCERPT] if isinstance(word, str) else ""
    if status >= HTTPStatus.MULTIPLE_CHOICES:
        message = f"{what}: Slack answered {status}" + (f": {word}" if word else "")
        return failure_of_status(status, message, retry_after=retry_after)
    if not word:
        return unreadable(what)
    if word in _PASSING:
        kind, in_doubt = _PASSING[word]
        return Unavailable(f"{what}: {word}", kind=kind, retry_after=retry_after, in_doubt=in_doubt)
    kind, advice = _REFUSED.get(word, ("invalid", _details(said)))
    told = advice.format(secret=secret, needed=_quoted(said.get("needed"))) if word in _REFUSED else advice
    message = f"{what}: {word}" + (f": {told}" if told else "")
    return RefusedBySlack(message, kind=kind, word=word, answer=said)


def unreadable(what: str) -> Unavailable:
    """The failure of an answer that is not Slack's: a proxy's page, say. Whether the call was made, nobody knows."""
    return Unavailable(
        f"{what}: the answer is not Slack's; check `actions.slack.url` and what stands between",
        kind="unexpected_status",
        in_doubt=True,
    )


def _details(said: Mapping[str, Any]) -> str:
    """What Slack says is wrong with the arguments, as `response_metadata.messages`."""
    metadata = said.get("response_metadata")
    messages = metadata.get("messages") if isinstance(metadata, Mapping) else None
    return " ".join("; ".join(map(str, messages)).split())[:_EXCERPT] if isinstance(messages, list) else ""


def _quoted(needed: object) -> str:
    """The scopes as code; they come as `chat:write` or `channels:read,groups:read`."""
    names = [name.strip() for name in str(needed or "it needs").split(",")]
    return " or ".join(f"`{name[:_EXCERPT]}`" for name in names) if needed else names[0]
