"""A Slack in place of the real one: it takes what runbookd's actions send, and keeps what people read there.

As much of the Web API as those actions use (https://docs.slack.dev/reference/methods). Every `#name` is a channel the
app is in; pages, limits and refusals of the real one are left out.
"""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from runbookd.actions.slack.texts import unescape
from runbookd.demo.told import CHANNEL, EDIT, MESSAGE, Book

_APP = "U00000RUNBOOKD"
_MILLION = 1_000_000

Arguments = Mapping[str, Any]


@dataclass(slots=True)
class Place:
    """A channel, or the direct messages with a person; its messages as Slack gives them, oldest first."""

    id: str
    name: str
    purpose: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list)

    @property
    def shown(self) -> dict[str, Any]:
        """The channel as Slack gives it."""
        found = {"id": self.id, "creator": _APP, "purpose": {"value": self.purpose}, "is_archived": False}
        return found | ({"name": self.name[1:]} if self.name.startswith("#") else {"user": self.name})


class SlackStandIn:
    """The workspace, over HTTP: `call` answers every method. `token` None refuses all of them."""

    def __init__(self, token: str | None, book: Book) -> None:
        self._token, self._book = token, book
        self._places: list[Place] = []
        self._last = 0

    async def call(self, request: web.Request) -> web.Response:
        """Answer one call; arguments come in the query, as a form or as JSON."""
        method = self._method(request.match_info["method"])
        if not self._admits(request.headers.get("Authorization", "")):
            return web.json_response(_refusal("invalid_auth"))
        if method is None:
            return web.json_response(_refusal("unknown_method"))
        return web.json_response({"ok": True} | method(await _arguments(request)))

    def _admits(self, authorization: str) -> bool:
        """Whether the header carries the token; compared in constant time."""
        expected = f"Bearer {self._token}".encode()
        return bool(self._token) and hmac.compare_digest(authorization.encode(), expected)

    def _method(self, name: str) -> Callable[[Arguments], dict[str, Any]] | None:
        known: Mapping[str, Callable[[Arguments], dict[str, Any]]] = {
            "auth.test": lambda _: {"user_id": _APP, "user": "runbookd", "team": "Demo"},
            "chat.postMessage": self._post,
            "chat.postEphemeral": self._post_ephemeral,
            "chat.update": self._update,
            "conversations.create": self._create,
            "conversations.list": self._list,
            "conversations.history": self._history,
            "conversations.replies": self._history,
            "conversations.invite": lambda asked: {"channel": self._place(asked["channel"]).shown},
            "conversations.setTopic": lambda asked: {"channel": self._place(asked["channel"]).shown},
            "conversations.setPurpose": self._set_purpose,
        }
        return known.get(name)

    def _post(self, asked: Arguments) -> dict[str, Any]:
        place = self._place(asked["channel"])
        kept = {name: asked.get(name) for name in ("thread_ts", "metadata")}
        message = {"ts": self._ts()} | kept
        place.messages.append(message)
        self._book.note("slack", MESSAGE, (place.name,), _words(asked))
        return {"channel": place.id, "ts": message["ts"]}

    def _post_ephemeral(self, asked: Arguments) -> dict[str, Any]:
        place = self._place(asked["channel"])
        self._book.note("slack", MESSAGE, (f"{asked['user']} in {place.name}",), _words(asked))
        return {"message_ts": self._ts()}

    def _update(self, asked: Arguments) -> dict[str, Any]:
        place = self._place(asked["channel"])
        if all(message["ts"] != asked["ts"] for message in place.messages):
            return _refusal("message_not_found")
        self._book.note("slack", EDIT, (place.name,), _words(asked))
        return {"channel": place.id, "ts": asked["ts"]}

    def _create(self, asked: Arguments) -> dict[str, Any]:
        name = f"#{asked['name']}"
        if any(place.name == name for place in self._places):
            return _refusal("name_taken")
        self._book.note("slack", CHANNEL, (name,), ("", ""))
        return {"channel": self._place(name).shown}

    def _list(self, asked: Arguments) -> dict[str, Any]:
        kinds = {"public_channel": "C", "im": "D"}
        wanted = {kinds.get(kind) for kind in str(asked.get("types", "public_channel")).split(",")}
        return {"channels": [place.shown for place in self._places if place.id[0] in wanted]}

    def _history(self, asked: Arguments) -> dict[str, Any]:
        thread, oldest = asked.get("ts"), float(asked.get("oldest") or 0)
        messages = self._place(asked["channel"]).messages[::-1]
        wanted = [one for one in messages if one["thread_ts"] == thread and float(one["ts"]) >= oldest]
        return {"messages": wanted}

    def _set_purpose(self, asked: Arguments) -> dict[str, Any]:
        place = self._place(asked["channel"])
        place.purpose = str(asked["purpose"])
        return {"channel": place.shown}

    def _place(self, wanted: str) -> Place:
        """The channel of this name or id, or the person's; one that is new is made."""
        for place in self._places:
            if wanted in {place.id, place.name}:
                return place
        place = Place(f"{'C' if wanted[0] == '#' else 'D'}{len(self._places) + 1:08}", wanted)
        self._places.append(place)
        return place

    def _ts(self) -> str:
        """Name a message: the time in microseconds, no two alike."""
        self._last = max(self._last + 1, int(time.time() * _MILLION))
        return f"{self._last // _MILLION}.{self._last % _MILLION:06}"


def _refusal(word: str) -> dict[str, Any]:
    """Refuse a call with this word: https://docs.slack.dev/apis/web-api/#responses."""
    return {"ok": False, "error": word}


async def _arguments(request: web.Request) -> Arguments:
    if request.content_type == "application/json":
        return {**request.query, **await request.json()}
    return {**request.query, **await request.post()}


def _words(asked: Arguments) -> tuple[str, str]:
    """What a message says: its header, "" when it has none, and the text of its sections."""
    blocks = asked.get("blocks") or []
    blocks = json.loads(blocks) if isinstance(blocks, str) else blocks
    headers = [block["text"]["text"] for block in blocks if block["type"] == "header"]
    sections = [block["text"]["text"] for block in blocks if block["type"] == "section"]
    return " ".join(headers), unescape("\n".join(sections) or str(asked.get("text", "")))
