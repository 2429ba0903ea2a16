"""What Slack makes of a message: the blocks it refuses, and whom it would notify.

https://docs.slack.dev/reference/block-kit/blocks and https://docs.slack.dev/messaging/formatting-message-text. How a
character is counted is told nowhere; here it is a UTF-16 unit, and the total is that of the blocks' JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

MAX_BLOCKS = 50
MAX_TOTAL = 13_000
_WRITTEN = re.compile(r"<(!channel|!here|!everyone|!subteam\^\w+|@[UW]\w+)(?:\|[^<>]*)?>")
_PLAIN = re.compile(r"(?<![\w@])@(channel|here|everyone)\b")


def length(text: str) -> int:
    """UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def total(blocks: object) -> int:
    """What the blocks count together."""
    return length(json.dumps(blocks, ensure_ascii=False))


def faults_of(blocks: object) -> list[str]:
    """What is wrong with the blocks, as `response_metadata.messages` tells it; empty when they are taken."""
    if not isinstance(blocks, list):
        return ["[ERROR] must be an array [json-pointer:/blocks]"]
    if not 1 <= len(blocks) <= MAX_BLOCKS:
        return [f"[ERROR] no more than {MAX_BLOCKS} items allowed [json-pointer:/blocks]"]
    return [
        f"[ERROR] {said} [json-pointer:/blocks/{number}]"
        for number, block in enumerate(blocks)
        for said in _of_block(block)
    ]


def _of_block(block: Any) -> Iterator[str]:
    match block:
        case {"type": "divider", **rest}:
            yield from _unknown(rest, "block_id")
        case {"type": "header", "text": text, **rest}:
            yield from _of_text(text, 150, {"plain_text"})
            yield from _unknown(rest, "block_id")
        case {"type": "section", "text": text, **rest}:
            yield from _of_text(text, 3000, {"plain_text", "mrkdwn"})
            yield from _unknown(rest, "block_id", "expand")
        case {"type": "context", "elements": [_, *_] as elements, **rest}:
            if len(elements) > 10:
                yield "no more than 10 items allowed"
            for element in elements:
                yield from _of_text(element, 3000, {"plain_text", "mrkdwn"})
            yield from _unknown(rest, "block_id")
        case {"type": "actions", "elements": [_, *_] as elements, **rest}:
            yield from _of_actions(elements)
            yield from _unknown(rest, "block_id")
        case _:
            yield "unsupported type, or a missing required field"


def _of_actions(elements: list[Any]) -> Iterator[str]:
    if len(elements) > 25:
        yield "no more than 25 items allowed"
    ids = [element.get("action_id") for element in elements if isinstance(element, Mapping)]
    if len(set(ids)) < len(ids):
        yield "`action_id` already exists in this block"
    for element in elements:
        yield from _of_button(element)


def _of_button(button: Any) -> Iterator[str]:
    match button:
        case {"type": "button", "text": text, **rest}:
            yield from _of_text(text, 75, {"plain_text"})
        case _:
            yield "unsupported element"
            return
    for name, most in (("action_id", 255), ("value", 2000), ("url", 3000)):
        found = rest.pop(name, "x")
        if not isinstance(found, str) or not 1 <= length(found) <= most:
            yield f"`{name}` must be a text of 1 to {most} characters"
    if rest.pop("style", "primary") not in {"primary", "danger"}:
        yield "`style` must be primary or danger"
    if "confirm" in rest:
        yield from _of_confirm(rest.pop("confirm"))
    yield from _unknown(rest)


def _of_confirm(confirm: Any) -> Iterator[str]:
    match confirm:
        case {"title": title, "text": text, "confirm": yes, "deny": no, **rest}:
            yield from _of_text(title, 100, {"plain_text"})
            yield from _of_text(text, 300, {"plain_text"})
            yield from _of_text(yes, 30, {"plain_text"})
            yield from _of_text(no, 30, {"plain_text"})
            yield from _unknown(rest, "style")
        case _:
            yield "a confirmation needs title, text, confirm and deny"


def _of_text(text: Any, most: int, kinds: set[str]) -> Iterator[str]:
    """A text object: `emoji` is for plain text only, `verbatim` for markup only."""
    if not isinstance(text, dict) or text.get("type") not in kinds:
        yield f"must be a text object of type {' or '.join(sorted(kinds))}"
        return
    words = text.get("text")
    if not isinstance(words, str) or not words.strip():
        yield "must be more than 0 characters"
    elif length(words) > most:
        yield f"must be less than {most + 1} characters"
    allowed = "emoji" if text["type"] == "plain_text" else "verbatim"
    yield from _unknown(
        {name: value for name, value in text.items() if name not in {"type", "text"}}, allowed
    )


def _unknown(rest: Mapping[Any, Any], *known: str) -> Iterator[str]:
    yield from (f"invalid additional property: {name}" for name in rest if name not in known)


def mentions(text: str, blocks: object, *, parse: str) -> list[str]:
    """Whom a message would notify: `channel`, `here`, `@U012AB3CD`. `parse` is that of its `text`.

    Its `text` is what the notification shows, so a mention in it counts beside those in the blocks.
    """
    found = _in(text, plain=parse != "none")
    for markup in _markup(blocks):
        found += _in(markup["text"], plain=not markup.get("verbatim", False))
    return list(dict.fromkeys(found))


def _in(text: str, *, plain: bool) -> list[str]:
    written = [one.removeprefix("!") for one in _WRITTEN.findall(text)]
    return written + (_PLAIN.findall(text) if plain else [])


def _markup(tree: object) -> Iterator[Mapping[str, Any]]:
    """Every text object in markup, wherever it stands."""
    if isinstance(tree, Mapping):
        if tree.get("type") == "mrkdwn":
            yield tree
        for one in tree.values():
            yield from _markup(one)
    elif isinstance(tree, list):
        for one in tree:
            yield from _markup(one)
