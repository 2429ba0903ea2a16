"""A message in Block Kit: nothing of it is lost that fits, and Slack takes whatever comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from runbookd.actions.failures import Rejected
from runbookd.actions.slack.blocks import MAX_SECTION, MAX_TOTAL, Button, Buttons, Message, message, split
from runbookd.actions.slack.texts import clean, size
from tests.fakes.slack_blocks import faults_of, mentions, total

BUTTONS = [
    Button(id="acknowledge", label="Acknowledge", value="inc-1:1", style="primary"),
    Button(id="pause", label="Pause", value="inc-1:1", style="danger", confirm="Pause everything?"),
]
FULL = [
    Button(id=f"{n}" * 100, label='"' * 75, value='"' * 250, style="danger", confirm='"' * 150)
    for n in range(5)
]


def sections(made: Message) -> list[str]:
    """The texts of the sections."""
    return [block["text"]["text"] for block in made.blocks if block["type"] == "section"]


def test_a_message_is_title_text_and_buttons() -> None:
    """A title is a header, a text a section whose plain words notify nobody, and the buttons stand in a row below."""
    made = message("P1: rollout\nof a&amp;b", "It is *being rolled back*.\nMore soon.", BUTTONS)
    header, section, actions = made.blocks
    assert header == {
        "type": "header",
        "text": {"type": "plain_text", "text": "P1: rollout of a&b", "emoji": True},
    }
    assert section == {
        "type": "section",
        "text": {"type": "mrkdwn", "text": "It is *being rolled back*.\nMore soon.", "verbatim": True},
    }
    acknowledge, pause = actions["elements"]
    assert acknowledge == {
        "type": "button",
        "action_id": "acknowledge",
        "text": {"type": "plain_text", "text": "Acknowledge", "emoji": True},
        "value": "inc-1:1",
        "style": "primary",
    }
    assert pause["confirm"]["text"]["text"] == "Pause everything?"
    assert made.text == "P1: rollout of a&amp;b\nIt is *being rolled back*.\nMore soon."
    assert faults_of(made.blocks) == []


@pytest.mark.parametrize(("title", "text"), [(None, ""), ("", " \n"), (" ", "\t")], ids=str)
def test_a_message_that_says_nothing_is_refused(title: str | None, text: str) -> None:
    """Without a word in title or text nothing is sent."""
    with pytest.raises(Rejected, match="says nothing"):
        message(title, text, BUTTONS)


def test_a_title_alone_is_enough() -> None:
    """A title needs no text, and is what the notification shows."""
    made = message("Down", "")
    assert (len(made.blocks), made.text) == (1, "Down")


def test_a_long_text_is_parted_between_lines_and_kept_whole() -> None:
    """Up to the total nothing is lost: the sections, put together, are the text."""
    lines = "\n".join(f"{number:04d} " + "x" * 90 for number in range(100))
    made = message("Long", lines, BUTTONS)
    assert "\n".join(sections(made)) == lines
    assert all(size(part) <= MAX_SECTION for part in sections(made))
    assert faults_of(made.blocks) == []


@pytest.mark.parametrize(
    "text",
    [
        "x" * 10_240,
        "x" * 100_000,
        "word " * 20_000,
        "line\n" * 20_000,
        "&amp;" * 10_000,
        "😀" * 20_000,
        '"' * 50_000,
        "\n" * 50_000 + "end",
        " " * 50_000 + "end",
        f"<https://a.example/{'p' * 1900}|link>" * 20,
        "<" * 20_000,
    ],
    ids=lambda text: f"{text[:8]!a}x{len(text)}",
)
@pytest.mark.parametrize("buttons", [[], FULL], ids=["no buttons", "full buttons"])
def test_a_message_is_shortened_and_never_refused(text: str, buttons: list[Button]) -> None:
    """Whatever the length, a message keeps to limits below Slack's, and says when it was shortened."""
    made = message("t" * 1000, text, buttons)
    assert faults_of(made.blocks) == []
    assert total(made.blocks) <= MAX_TOTAL
    assert len(made.blocks) <= 40
    assert all(size(part) <= MAX_SECTION for part in sections(made))
    assert size(made.text) <= MAX_SECTION
    said = "".join(sections(made))
    assert said.endswith("for Slack._") or "".join(said.split()) == "".join(text.split())


@given(
    st.text(alphabet=st.characters(categories=None), max_size=300),
    st.text(alphabet=st.characters(categories=None), min_size=1, max_size=300),
    st.integers(min_value=1, max_value=60),
)
def test_slack_takes_whatever_comes(title: str, text: str, times: int) -> None:
    """Any title and any text, however often repeated, make a message Slack takes, or say nothing at all."""
    words, head = str(clean(text * times)), str(clean(title))
    if not words.strip() and not head.split():
        return
    assert faults_of(message(head, words, BUTTONS).blocks) == []


@pytest.mark.parametrize("hostile", ["@channel", "@here", "&lt;!channel&gt;", "&lt;@U012AB3CD&gt;"])
def test_labels_notify_nobody(hostile: str) -> None:
    """Plain @channel and escaped mentions are shown, in the title, the text and on a button, and notify nobody."""
    made = message(f"{hostile} a", f"b {hostile}", [Button(id="a", label=hostile[:75], confirm=hostile)])
    assert mentions(made.text, made.blocks, parse="none") == []


def test_an_unescaped_title_notifies_nobody() -> None:
    """A title is plain text: markup in it is shown as it is written, not followed."""
    made = message("<!channel> <https://evil.example|click>", "text")
    assert made.blocks[0]["text"]["text"] == "<!channel> <https://evil.example|click>"
    assert made.text.startswith("&lt;!channel&gt; &lt;https://evil.example|click&gt;")


def test_a_written_mention_is_kept() -> None:
    """What the author of the words wrote out, and did not escape, still notifies."""
    made = message(None, "<!here> please look")
    assert mentions(made.text, made.blocks, parse="none") == ["here"]


@pytest.mark.parametrize(
    "wrong",
    [
        [{"id": "a", "label": "A"}, {"id": "a", "label": "B"}],
        [{"id": "", "label": "A"}],
        [{"id": "a", "label": "A" * 76}],
        [{"id": "a", "label": "A", "style": "green"}],
        [{"id": str(n), "label": "A"} for n in range(6)],
    ],
    ids=str,
)
def test_buttons_slack_would_refuse_are_refused_here(wrong: list[object]) -> None:
    """Two of one id, no id, too long a label, an unknown style, too many: told before anything is sent."""
    with pytest.raises(ValidationError):
        TypeAdapter(Buttons).validate_python(wrong)


def test_a_text_without_room_is_a_remark_only() -> None:
    """Where nothing fits, the remark stands alone."""
    assert split("x" * 5000, 200) == ["_… shortened: the message was too long for Slack._"]
