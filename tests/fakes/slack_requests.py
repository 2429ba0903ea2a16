"""What a request to the Slack of `tests/fakes/slack.py` holds, and what of it is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from tests.fakes.slack_blocks import MAX_TOTAL, faults_of, length, total

READS = frozenset(
    {"conversations.list", "conversations.history", "conversations.replies", "users.lookupByEmail"}
)
"""They take no JSON."""
_SURROGATE = re.compile("[\ud800-\udfff]")

Arguments = Mapping[str, Any]
Json = dict[str, Any]


class Refused(Exception):
    """An `"ok": false` with its word, and what comes with it."""

    def __init__(self, word: str, **more: Any) -> None:
        super().__init__(word)
        self.answer = {"ok": False, "error": word, **more}


def arguments_of(request: web.Request, raw: bytes) -> Arguments | None:
    """The arguments in the query, and in a form or a JSON object; None when the JSON is none."""
    found: Json = dict(request.query)
    if request.content_type == "application/json":
        if request.path.removeprefix("/api/") in READS:
            return found
        try:
            parsed = json.loads(raw)
        except ValueError:
            return None
        if not isinstance(parsed, dict) or _SURROGATE.search(json.dumps(parsed, ensure_ascii=False)):
            return None
        return found | parsed
    return found | dict(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True))


def content_of(arguments: Arguments) -> Json:
    """The text, blocks and metadata of a message; raises Refused for what Slack does not take."""
    text, blocks = str(arguments.get("text") or ""), arguments.get("blocks") or []
    if isinstance(blocks, str):
        blocks = json.loads(blocks)
    if not text.strip() and not blocks:
        raise Refused("no_text")
    if length(text) > 40_000:
        raise Refused("msg_too_long")
    faults = faults_of(blocks) if blocks else []
    if faults:
        raise Refused("invalid_blocks", errors=faults, response_metadata={"messages": faults})
    if total(blocks) > MAX_TOTAL:
        raise Refused("msg_blocks_too_long")
    parse = str(arguments.get("parse", "none"))
    return {"text": text, "blocks": blocks, "metadata": metadata_of(arguments), "parse": parse}


def metadata_of(arguments: Arguments) -> Json | None:
    """The metadata of a message: https://docs.slack.dev/messaging/message-metadata."""
    match arguments.get("metadata"):
        case None:
            return None
        case {"event_type": str(), "event_payload": dict(), **rest} as found if not rest:
            if length(json.dumps(found)) > 16_000:
                raise Refused("metadata_too_large")
            return dict(found)
    raise Refused("invalid_metadata_format")


def words_of(arguments: Arguments, name: str) -> str:
    """A topic or purpose."""
    words = str(arguments.get(name, ""))
    if length(words) > 250:
        raise Refused("too_long")
    return words


def refusal_of_name(name: object) -> str | None:
    """Why no channel can be called that; None when one can."""
    if not isinstance(name, str) or not name:
        return "invalid_name_required"
    if len(name) > 80:
        return "invalid_name_maxlength"
    if not re.fullmatch(r"[\w-]+", name) or name != name.lower():
        return "invalid_name_specials"
    return None if re.search(r"[^\W_]", name) else "invalid_name_punctuation"
