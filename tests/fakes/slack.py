"""A Slack on loopback: it takes what the real Web API takes, refuses what that refuses, limits and all, and counts.

What it knows is written at https://docs.slack.dev/reference/methods and beside it; each method's page lists the words
it refuses with. Where those are silent it is the stricter of what could be: JSON with half a surrogate pair is
`invalid_json`, a reply to a message that is not there `thread_not_found`, and no burst over one message a second is
let through unless `burst` says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any

from aiohttp import web

from tests.contract.actions.hands import json_answer, serving
from tests.fakes.slack_presses import Pressed, ResponseUrl, form, post, press_payload, signed
from tests.fakes.slack_requests import (
    Arguments,
    Json,
    Refused,
    arguments_of,
    content_of,
    refusal_of_name,
    words_of,
)
from tests.fakes.slack_workspace import TEAM, Channel, Message, User, Workspace

TOKEN = "xoxb-canary-0123456789-bot"
SIGNING_SECRET = "canary-signing-secret"
SCOPES = (
    "chat:write",
    "channels:read",
    "channels:history",
    "channels:manage",
    "channels:join",
    "groups:read",
    "groups:history",
    "im:read",
    "im:history",
    "users:read.email",
)
A_MINUTE = {
    "chat.update": 50,
    "chat.postEphemeral": 100,
    "conversations.create": 20,
    "conversations.list": 20,
    "conversations.setTopic": 20,
    "conversations.setPurpose": 20,
    "conversations.history": 50,
    "conversations.replies": 50,
    "conversations.invite": 50,
    "conversations.join": 50,
    "users.lookupByEmail": 50,
}
"""Calls of a method a minute, by its tier. chat.postMessage has a limit of its own: one a second in a channel."""


class Limited(Exception):
    """Too many requests; try again in so many whole seconds."""

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """How one request goes wrong: the status it is answered with, or no answer at all.

    `after` does what was asked first. `drop` breaks the connection; `hang` never answers.
    """

    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    content_type: str = "text/html"
    drop: bool = False
    hang: bool = False
    after: bool = False

    @classmethod
    def word(cls, word: str, **more: Any) -> Fault:
        """A refusal with this word."""
        body = json.dumps({"ok": False, "error": word, **more})
        return cls(status=200, body=body, content_type="application/json")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that came: its method, its arguments, and the token it was signed with."""

    method: str
    arguments: Arguments
    token: str


class Slack:
    """The server. `clock` tells it the time: what it stamps, and when a limit's window is over.

    `scopes` are those of the app, `burst` how many messages a second it takes in one channel. Tests read `asked`, and
    what there is in `workspace`.
    """

    def __init__(self, clock: Callable[[], datetime] | None = None) -> None:
        self.url = ""
        self.clock = clock or (lambda: datetime.now(UTC))
        self.workspace = Workspace(self.clock)
        self.scopes = set(SCOPES)
        self.burst = 1
        self.page_size = 1000
        self.asked: list[Asked] = []
        self.responses: dict[str, ResponseUrl] = {}
        self._faults: dict[str, deque[Fault]] = defaultdict(deque)
        self._calls: dict[str, deque[datetime]] = defaultdict(deque)
        self._ended = asyncio.Event()

    def config(self, **settings: Any) -> Json:
        """The actions' settings that lead here; the token is the secret `slack_bot_token`."""
        return {"slack": {"url": f"{self.url}/api/"} | settings}

    @property
    def counts(self) -> Counter[str]:
        """How often each method was called, faults and refusals included."""
        return Counter(one.method for one in self.asked)

    def fail(self, method: str, *faults: Fault) -> None:
        """Let the next calls of this method go wrong, one after the other."""
        self._faults[method].extend(faults)

    async def press(
        self, address: str, channel: Channel, message: Message, action_id: str, user: User
    ) -> Pressed:
        """Press a button as somebody does, and send that to the app at this address, signed."""
        payload = self.payload(channel, message, action_id, user)
        body = form(payload)
        return await post(address, body, signed(body, SIGNING_SECRET, self.clock()))

    def payload(self, channel: Channel, message: Message, action_id: str, user: User) -> Json:
        """What a press of a button sends, with a `response_url` that works."""
        path = f"/actions/{TEAM}/{self.workspace.new_id('R')}"
        self.responses[path] = ResponseUrl(channel, message, user.id, self.clock())
        place, ids = (channel, message), self.workspace.new_ts
        return press_payload(place, action_id, user, self.url + path, ids)

    async def ended(self) -> None:
        """Wait until the server is closed."""
        await self._ended.wait()

    async def close(self) -> None:
        """Let go of who hangs."""
        self._ended.set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, or do what the next fault says."""
        raw = await request.read()
        if request.path in self.responses:
            return self._respond(self.responses[request.path], raw)
        method = request.path.removeprefix("/api/")
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        arguments = arguments_of(request, raw)
        self.asked.append(Asked(method, arguments or {}, token))
        waiting = self._faults[method]
        fault = waiting.popleft() if waiting else None
        if fault is None or fault.after:
            response = self._call(method, arguments, token)
            if fault is None:
                return response
        if fault.hang:
            await self.ended()
        if fault.drop or fault.hang:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(
            status=fault.status, headers=fault.headers, text=fault.body, content_type=fault.content_type
        )

    def _call(self, method: str, arguments: Arguments | None, token: str) -> web.Response:
        try:
            return json_answer({"ok": True, **self._method(method, arguments, token)})
        except Refused as refused:
            return json_answer(refused.answer)
        except Limited as limited:
            headers = {"Retry-After": str(limited.seconds)}
            return json_answer({"ok": False, "error": "ratelimited"}, 429, headers)

    def _method(self, method: str, arguments: Arguments | None, token: str) -> Json:
        """Call a method, in the order Slack looks at things: who asks, how often, with what."""
        if token != TOKEN:
            raise Refused("invalid_auth" if token else "not_authed")
        if method in A_MINUTE:
            self._within(method, A_MINUTE[method], timedelta(minutes=1))
        if arguments is None:
            raise Refused("invalid_json")
        known: Mapping[str, Callable[[Arguments], Json]] = {
            "auth.test": self._auth_test,
            "chat.postMessage": self._post,
            "chat.postEphemeral": self._post_ephemeral,
            "chat.update": self._update,
            "conversations.create": self._create,
            "conversations.history": self._history,
            "conversations.invite": self._invite,
            "conversations.join": self._join,
            "conversations.list": self._list,
            "conversations.replies": self._replies,
            "conversations.setPurpose": self._set_purpose,
            "conversations.setTopic": self._set_topic,
            "users.lookupByEmail": self._lookup,
        }
        if method not in known:
            raise Refused("unknown_method", req_method=method)
        return known[method](arguments)

    def _within(self, what: str, limit: int, window: timedelta) -> None:
        """Count a call; raises Limited when there were too many."""
        now, calls = self.clock(), self._calls[what]
        while calls and calls[0] <= now - window:
            calls.popleft()
        if len(calls) >= limit:
            raise Limited(max(1, ceil((calls[0] + window - now).total_seconds())))
        calls.append(now)

    def _need(self, scope: str) -> None:
        if scope not in self.scopes:
            raise Refused("missing_scope", needed=scope, provided=",".join(sorted(self.scopes)))

    # people and the app -----------------------------------------------------------------------------------------

    def _auth_test(self, _arguments: Arguments) -> Json:
        bot = self.workspace.bot
        return {
            "url": "https://shop.slack.com/",
            "team": "Shop",
            "user": bot.name,
            "team_id": TEAM,
            "user_id": bot.id,
        }

    def _lookup(self, arguments: Arguments) -> Json:
        self._need("users:read.email")
        found = [one for one in self.workspace.users if one.email and one.email == arguments.get("email")]
        if not found:
            raise Refused("users_not_found")
        return {"user": found[0].shown()}

    # messages ---------------------------------------------------------------------------------------------------

    def _post(self, arguments: Arguments) -> Json:
        self._need("chat:write")
        channel = self._writable(self._place(arguments.get("channel")))
        content = content_of(arguments)
        thread = arguments.get("thread_ts")
        if thread is not None and channel.find(thread) is None:
            raise Refused("thread_not_found")
        self._within(f"post {channel.id}", self.burst, timedelta(seconds=1))
        message = Message(ts=self.workspace.new_ts(), user=self.workspace.bot.id, thread_ts=thread, **content)
        channel.messages.append(message)
        return {"channel": channel.id, "ts": message.ts, "message": message.shown()}

    def _post_ephemeral(self, arguments: Arguments) -> Json:
        self._need("chat:write")
        channel = self._writable(self._place(arguments.get("channel")))
        user = arguments.get("user")
        if user not in {one.id for one in self.workspace.users}:
            raise Refused("user_not_found")
        if user not in channel.members:
            raise Refused("user_not_in_channel")
        content = content_of(arguments)
        message = Message(ts=self.workspace.new_ts(), user=self.workspace.bot.id, seen_by=user, **content)
        channel.messages.append(message)
        return {"message_ts": message.ts}

    def _update(self, arguments: Arguments) -> Json:
        self._need("chat:write")
        channel = self._by_id(arguments.get("channel"))
        message = channel.find(arguments.get("ts"))
        if message is None:
            raise Refused("message_not_found")
        if message.user != self.workspace.bot.id:
            raise Refused("cant_update_message")
        if channel.archived:
            raise Refused("is_inactive")
        # An edit's default for `parse` is another than a post's, and metadata that is not given stays.
        content = content_of({"parse": "client", **arguments})
        message.text, message.blocks, message.parse = content["text"], content["blocks"], content["parse"]
        message.metadata = content["metadata"] or message.metadata
        message.edits += 1
        return {"channel": channel.id, "ts": message.ts, "text": message.text, "message": message.shown()}

    def _history(self, arguments: Arguments) -> Json:
        channel = self._readable(arguments)
        return self._page([one for one in reversed(channel.messages) if not one.is_reply], arguments)

    def _replies(self, arguments: Arguments) -> Json:
        channel = self._readable(arguments)
        parent = channel.find(arguments.get("ts"))
        if parent is None:
            raise Refused("thread_not_found")
        return self._page(
            [one for one in channel.messages if parent.ts in {one.ts, one.thread_ts}],
            arguments,
            always=parent.ts,
        )

    def _page(self, messages: list[Message], arguments: Arguments, always: str = "") -> Json:
        """Messages everybody sees, in the time asked for, a page of them. `always` is shown whatever its time."""
        oldest = float(arguments.get("oldest", 0))
        shown = [
            one.shown(metadata=arguments.get("include_all_metadata") in {"1", "true", True})
            for one in messages
            if one.seen_by is None and (float(one.ts) > oldest or one.ts == always)
        ]
        return self._paged("messages", shown, arguments, default=100)

    def _readable(self, arguments: Arguments) -> Channel:
        channel = self._by_id(arguments.get("channel"))
        kinds = {"public_channel": "channels", "private_channel": "groups", "im": "im"}
        self._need(f"{kinds[channel.kind]}:history")
        if self.workspace.bot.id not in channel.members:
            raise Refused("not_in_channel")
        return channel

    # channels ---------------------------------------------------------------------------------------------------

    def _create(self, arguments: Arguments) -> Json:
        private = arguments.get("is_private") in {"1", "true", True}
        self._need("groups:write" if private else "channels:manage")
        name = arguments.get("name")
        refusal = refusal_of_name(name)
        if refusal is not None:
            raise Refused(refusal)
        if any(one.name == name for one in self.workspace.channels):
            raise Refused("name_taken")
        channel = self.workspace.add_channel(str(name), private=private)
        channel.creator = self.workspace.bot.id
        return self._told(channel)

    def _list(self, arguments: Arguments) -> Json:
        types = str(arguments.get("types", "public_channel")).split(",")
        scopes = {"public_channel": "channels:read", "private_channel": "groups:read", "im": "im:read"}
        for kind in types:
            if kind not in scopes:
                raise Refused("invalid_types")
            self._need(scopes[kind])
        hidden = arguments.get("exclude_archived") in {"1", "true", True}
        found = [
            one.shown(self.workspace.bot.id)
            for one in self.workspace.channels
            if one.kind in types and self.workspace.visible(one) and not (hidden and one.archived)
        ]
        return self._paged("channels", found, arguments, default=100)

    def _invite(self, arguments: Arguments) -> Json:
        channel = self._own(arguments)
        users = [one for one in str(arguments.get("users", "")).split(",") if one]
        if not users:
            raise Refused("no_user")
        if len(users) > 100:
            raise Refused("too_many_users")
        errors = [
            {"user": user, "ok": False, "error": word}
            for user in users
            if (word := self._uninvitable(channel, user)) is not None
        ]
        forced = arguments.get("force") in {"1", "true", True}
        if errors and (not forced or len(errors) == len(users)):
            raise Refused(str(errors[0]["error"]), errors=errors)
        channel.members |= set(users) - {str(error["user"]) for error in errors}
        return {**self._told(channel), **({"errors": errors} if errors else {})}

    def _uninvitable(self, channel: Channel, user: str) -> str | None:
        if user == self.workspace.bot.id:
            return "cant_invite_self"
        if user not in {one.id for one in self.workspace.users}:
            return "user_not_found"
        return "already_in_channel" if user in channel.members else None

    def _join(self, arguments: Arguments) -> Json:
        self._need("channels:join")
        channel = self._by_id(arguments.get("channel"))
        if channel.kind != "public_channel":
            raise Refused("method_not_supported_for_channel_type")
        if channel.archived:
            raise Refused("is_archived")
        channel.members.add(self.workspace.bot.id)
        return self._told(channel)

    def _set_topic(self, arguments: Arguments) -> Json:
        channel = self._own(arguments)
        channel.topic = words_of(arguments, "topic")
        return self._told(channel)

    def _set_purpose(self, arguments: Arguments) -> Json:
        channel = self._own(arguments)
        channel.purpose = words_of(arguments, "purpose")
        return {"purpose": channel.purpose}

    def _own(self, arguments: Arguments) -> Channel:
        """The channel to manage: the app is in it, and may."""
        channel = self._by_id(arguments.get("channel"))
        self._need("groups:write" if channel.private else "channels:manage")
        return self._writable(channel)

    def _told(self, channel: Channel) -> Json:
        return {"channel": channel.shown(self.workspace.bot.id)}

    def _by_id(self, found: object) -> Channel:
        for channel in self.workspace.channels:
            if channel.id == found and self.workspace.visible(channel):
                return channel
        raise Refused("channel_not_found")

    def _place(self, place: object) -> Channel:
        """What a message is addressed to: an id, a name with or without `#`, or a person."""
        if place in {one.id for one in self.workspace.users if not one.bot}:
            return self.workspace.direct(str(place))
        named = self.workspace.named(str(place).removeprefix("#"))
        return named if named is not None and place else self._by_id(place)

    def _writable(self, channel: Channel) -> Channel:
        if channel.archived:
            raise Refused("is_archived")
        if self.workspace.bot.id not in channel.members and "chat:write.public" not in self.scopes:
            raise Refused("not_in_channel")
        return channel

    def _paged(self, name: str, found: list[Json], arguments: Arguments, *, default: int) -> Json:
        """A page of a listing; its cursor is where the next one begins."""
        limit = str(arguments.get("limit", default))
        if not limit.isdecimal() or not 1 <= int(limit) <= 1000:
            raise Refused("invalid_limit")
        cursor = str(arguments.get("cursor") or "next:0")
        if not re.fullmatch(r"next:\d+", cursor):
            raise Refused("invalid_cursor")
        begin = int(cursor.removeprefix("next:"))
        end = begin + min(int(limit), self.page_size)
        following = f"next:{end}" if end < len(found) else ""
        return {name: found[begin:end], "response_metadata": {"next_cursor": following}}

    def _respond(self, response: ResponseUrl, raw: bytes) -> web.Response:
        """What the app sends to a `response_url`: a message to who pressed, or an edit of the one with the button."""
        word = response.refusal(self.clock())
        if word is not None:
            return json_answer({"ok": False, "error": word}, 404)
        body = json.loads(raw)
        response.received.append(body)
        if body.get("delete_original"):
            response.channel.messages.remove(response.message)
        elif body.get("replace_original"):
            response.message.text, response.message.blocks = body.get("text", ""), body.get("blocks", [])
            response.message.edits += 1
        else:
            seen_by = None if body.get("response_type") == "in_channel" else response.user
            message = Message(
                ts=self.workspace.new_ts(),
                user=self.workspace.bot.id,
                seen_by=seen_by,
                **content_of(body),
            )
            response.channel.messages.append(message)
        return json_answer({"ok": True})


@contextlib.asynccontextmanager
async def slack_server(clock: Callable[[], datetime] | None = None) -> AsyncIterator[Slack]:
    """A workspace with the app in it, and a server in front of it."""
    slack = Slack(clock)
    async with serving(slack.answer) as url:
        slack.url = url
        try:
            yield slack
        finally:
            await slack.close()
