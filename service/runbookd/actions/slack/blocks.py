"""A message in Block Kit: a header, sections of text, a row of buttons, and the same as one text.

Slack refuses a message with more than 50 blocks, a header over 150 characters, a section over 3000, a button's label
over 75 (https://docs.slack.dev/reference/block-kit/blocks), and, without telling the number, one whose blocks are
longer than about 13,000 characters together (https://github.com/slackapi/bolt-js/issues/2509). The limits here are
lower, so that a message is shortened and never refused: it comes to a dozen blocks at most.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from runbookd.actions.failures import Rejected
from runbookd.actions.slack.texts import Words, cut, escape, fit, one_line, unescape

MAX_SECTION = 2900
MAX_TOTAL = 11_000
"""Of all blocks as JSON, the braces too: it is not known which part of a block Slack counts."""
MAX_HEADER = 150
_MAX_CONFIRM_TITLE = 100
_MAX_CONFIRM_LABEL = 30
_SHORTENED = "\n_… shortened: the message was too long for Slack._"

Block = dict[str, Any]


class Button(BaseModel):
    """A button under a message. A press of it is sent to the app's address for interactivity."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(
        min_length=1, max_length=100, description="Which button (`action_id`), in what a press sends."
    )
    label: Words = Field(min_length=1, max_length=75, description="What stands on it.")
    value: Words = Field(default="", max_length=250, description="What a press sends along.")
    style: Literal["primary", "danger"] | None = Field(
        default=None, description="`primary` is green, `danger` red. null: neither."
    )
    confirm: Words | None = Field(
        default=None,
        max_length=300,
        description="A question asked before a press counts. null: none is asked.",
    )


def _distinct(buttons: list[Button]) -> list[Button]:
    if len({button.id for button in buttons}) < len(buttons):
        message = "two buttons have the same `id`; a press could not be told apart"
        raise ValueError(message)
    return buttons


Buttons = Annotated[
    list[Button],
    AfterValidator(_distinct),
    Field(max_length=5, description="Buttons under the message, from left to right."),
]
Text = Annotated[
    Words,
    Field(
        description="The message in Slack's markup (mrkdwn), every value in it escaped. Too long a text is shortened."
    ),
]
Title = Annotated[
    Words | None,
    Field(description="One bold line above the text, without markup. null: none."),
]


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: the blocks, and the `text` that notifications and screen readers take in their place."""

    text: str
    blocks: list[Block]


def message(title: str | None, text: str, buttons: Sequence[Button] = ()) -> Message:
    """Put a message together; raises Rejected (`invalid`) when there is neither a title nor a text."""
    head = cut(one_line(unescape(title or "")), MAX_HEADER)
    if not head and not text.strip():
        raise Rejected("the message says nothing: its `text` and `title` are empty", kind="invalid")
    above = [_header(head)] if head else []
    below = [_actions(buttons)] if buttons else []
    sections = [_section(part) for part in split(text, MAX_TOTAL - _length([*above, *below]))]
    whole = "\n".join(part for part in (escape(head), text.strip()) if part)
    return Message(text=cut(whole, MAX_SECTION), blocks=[*above, *sections, *below])


def split(text: str, room: int) -> list[str]:
    """The text in parts of at most MAX_SECTION, which as sections take no more than `room`.

    It is parted between lines or words where it can be, and ends with a remark when the rest did not fit.
    """
    room -= _section_length(_SHORTENED)
    parts: list[str] = []
    while text.strip():
        most = min(MAX_SECTION, room - _section_length(""))
        end, gap = fit(text, most)
        if end < len(text) and most < MAX_SECTION:
            return [*parts, (text[:gap].strip("\n") + _SHORTENED).strip()]
        end = end if end == len(text) else gap
        part, text = text[:end].strip("\n").rstrip(), text[end:]
        if part:
            parts.append(part)
            room -= _section_length(part)
    return parts


def _section_length(text: str) -> int:
    return _length([_section(text)])


def _length(blocks: list[Block]) -> int:
    """What the blocks take of the total: UTF-16 units of their JSON."""
    return len(json.dumps(blocks, ensure_ascii=False).encode("utf-16-le")) // 2


def _section(text: str) -> Block:
    """Text whose plain `@channel` and `#name` stay what they are: `verbatim` leaves only written-out mentions."""
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def _header(text: str) -> Block:
    return {"type": "header", "text": _plain(text)}


def _actions(buttons: Sequence[Button]) -> Block:
    return {"type": "actions", "elements": [_button(button) for button in buttons]}


def _button(button: Button) -> Block:
    made: Block = {"type": "button", "action_id": button.id, "text": _plain(button.label)}
    if button.value:
        made["value"] = button.value
    if button.style is not None:
        made["style"] = button.style
    if button.confirm is not None:
        made["confirm"] = {
            "title": _plain(cut(button.label, _MAX_CONFIRM_TITLE)),
            "text": _plain(button.confirm),
            "confirm": _plain(cut(button.label, _MAX_CONFIRM_LABEL)),
            "deny": _plain("Cancel"),
        }
    return made


def _plain(text: str) -> Block:
    """Text that is shown as it is: no markup, no mention."""
    return {"type": "plain_text", "text": text, "emoji": True}
