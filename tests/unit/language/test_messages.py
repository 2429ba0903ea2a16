"""A message says what its template says, and nothing a value wants it to."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbookd.errors import EvaluationError
from runbookd.language.facts import FACTS, example
from runbookd.language.media import Medium
from runbookd.language.message_syntax import mistakes
from runbookd.language.messages import LEFT_OUT, LONGEST_BODY, LONGEST_SUBJECT, Rendered, render
from runbookd.model.people import Template

MEDIA: tuple[Medium, ...] = ("text", "html", "slack")
HOSTILE = (
    "<!channel>",
    "<!here|@here> @everyone",
    "</p><script>alert(1)</script>",
    "one\r\nBcc: everybody@example.com\r\n\r\nSystem: all is well",
    "x" * 10_000,
    "🔥👩\u200d💻🇩🇪 \ud83d half",
    "{{ incident.id }} {% for x in did %} ${secret.token} %s {0.__class__}",
    "\u202egnihton\x00\x1b[2J",
    "*bold* _it_ `code` <https://evil.example|good.example> &lt;",
)
UPDATE = Template(
    subject="{{ incident.priority }}: {{ incident.title }}",
    body="""\
Service: {{ service }} <ops@example.com> & friends
{% if did %}

Progress:
{% for each in did %}
- {{ each.what }}: {{ each.detail or "begun" }}
{% endfor %}
{% endif %}



Next update: in {{ update.next_in | minutes }}
""",
)


def facts(**changed: Any) -> dict[str, Any]:
    """The examples, some of them changed: `incident__title` is a part of `incident`."""
    known: dict[str, Any] = example()
    for name, value in changed.items():
        group, _, part = name.partition("__")
        if part:
            known[group] = {**known[group], part: value}
        else:
            known[group] = value
    return known


def test_a_message_in_three_media() -> None:
    """The same words go to a mail as text and as HTML, and to Slack; the template's own text is trusted there."""
    known = facts(incident__title="a <b> & c", service="A&B")
    assert render(UPDATE, known, "text") == Rendered(
        "P0: a <b> & c",
        "Service: A&B <ops@example.com> & friends\n\nProgress:\n- kubernetes.rollout_undo: done\n\n"
        "Next update: in 15 minutes",
    )
    assert render(UPDATE, known, "html") == Rendered(
        "P0: a <b> & c",
        "<p>Service: A&amp;B &lt;ops@example.com&gt; &amp; friends</p>\n"
        "<p>Progress:<br>\n- kubernetes.rollout_undo: done</p>\n<p>Next update: in 15 minutes</p>",
    )
    assert render(UPDATE, known, "slack") == Rendered(
        "P0: a &lt;b&gt; &amp; c",
        "Service: A&amp;B <ops@example.com> & friends\n\nProgress:\n- kubernetes.rollout_undo: done\n\n"
        "Next update: in 15 minutes",
    )


def test_lines_of_tags_leave_no_line() -> None:
    """A tag within a line leaves the line as it is, one that is alone in it takes its line along."""
    body = """\
{% if found %}{# remark #}
a{% if found %} b{% endif %}
  {% for each in did %}
- {{ each.what }}{% if each.detail %}: {{ each.detail }}{% endif %}
  {% endfor %} {% endif %}
c {{ "%}" }}
{% if found %}{% endif %}"""
    assert mistakes(body, public=False) == []
    made = render(Template(subject=" x{% if found %} y{% endif %} ", body=body), facts(), "text")
    assert made == Rendered("x y", "a b\n- kubernetes.rollout_undo: done\nc %}")


def test_what_is_not_known_is_said_to_be_so() -> None:
    """A message goes out with what there is, even when that is nothing."""
    words = Template(subject="{{ service }}", body="[{{ incident.title }}] over: {{ incident.resolved_at }}")
    assert render(words, {}, "text") == Rendered("", "[] over: not known")


@pytest.mark.parametrize("medium", MEDIA)
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_values(text: str, medium: Medium) -> None:
    """No label adds a line, a tag, a mention or an expression to a message, or makes it endless."""
    item = {"at": None, "what": text, "detail": text}
    made = render(UPDATE, facts(incident__title=text, service=text, did=[item]), medium)
    plain = render(
        UPDATE, facts(incident__title="x", service="x", did=[item | {"what": "x", "detail": "x"}]), medium
    )
    assert made.body.count("\n") == plain.body.count("\n")
    assert len(made.subject.splitlines()) == 1
    assert len(made.subject) <= LONGEST_SUBJECT
    assert "example: inc-" not in made.body
    assert not {"\x00", "\x1b", "\u202e"} & set(made.subject + made.body)
    (made.subject + made.body).encode()
    if medium == "html":
        tags = made.body.replace("<p>", "").replace("</p>", "").replace("<br>", "")
        assert not {"<", ">"} & set(tags)
    if medium == "slack":
        assert (made.subject + made.body).replace("<ops@example.com>", "").count("<") == 0
        assert "@here" not in made.body
        assert "@everyone" not in made.body


@given(st.text(st.characters(exclude_categories=())), st.sampled_from(MEDIA))
def test_any_value(text: str, medium: Medium) -> None:
    """Whatever a label holds, the message has the lines its template gives it, and can be sent."""
    made = render(UPDATE, facts(incident__title=text, service=text), medium)
    assert len(made.body.splitlines()) == len(render(UPDATE, facts(), medium).body.splitlines())
    assert len(made.subject.splitlines()) <= 1
    (made.subject + made.body).encode()


def test_a_message_is_bounded() -> None:
    """A message that would be endless ends, and says so."""
    item = {"at": None, "what": "x" * 5_000, "detail": ""}
    made = render(UPDATE, facts(did=[item] * 10_000), "text")
    assert made.body.endswith(LEFT_OUT)
    assert len(made.body) <= LONGEST_BODY
    html = render(UPDATE, facts(did=[item | {"what": "&" * 5_000}] * 10_000), "slack").body
    assert html.endswith(LEFT_OUT)
    assert "&am…" not in html


def test_a_loop_over_everything_twice_ends() -> None:
    """The deepest loops there can be, over long lists, write a bounded message."""
    words = Template(
        subject="x", body="{% for a in did %}{% for b in did %}{{ b.what }}{% endfor %}{% endfor %}"
    )
    assert mistakes(words.body, public=False) == []
    item = {"at": None, "what": "word ", "detail": ""}
    assert len(render(words, facts(did=[item] * 2_000), "text").body) <= LONGEST_BODY


def test_a_subject_is_one_line() -> None:
    """A subject written over several lines is one, and is cut where Slack's escapes are whole."""
    words = Template(subject="one\n  two {{ incident.title }}", body="x")
    assert render(words, facts(incident__title="three"), "text").subject == "one two three"
    long = render(words, facts(incident__title="&" * 300), "slack").subject
    assert long.endswith("&amp;…")
    assert len(long) <= LONGEST_SUBJECT


def test_a_public_message_has_no_private_facts_to_tell() -> None:
    """Even a template that was never checked cannot tell everybody what is not for them."""
    known = facts(incident__title="internal-name-17")
    assert render(Template(subject="{{ service }}", body="x", public=True), known, "text").subject == "Shop"
    for name in ("incident.title", "found", "did"):
        with pytest.raises(EvaluationError, match="cannot be written"):
            render(Template(subject="x", body=f"{{{{ {name} }}}}", public=True), known, "text")


@pytest.mark.parametrize(
    "body",
    [
        "{{ found",
        "{{ nothing }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ found | center(100000000) }}",
        "{% for x in range(9) %}{% endfor %}",
        "{{ incident.opened_at | minutes }}",
        "{{ cycler }}",
    ],
)
def test_what_was_never_checked_fails_with_a_reason(body: str) -> None:
    """The sandbox stands behind the syntax: an unchecked text does no harm, and says what is wrong."""
    assert mistakes(body, public=False)
    with pytest.raises(EvaluationError):
        render(Template(subject="x", body=body), facts(), "text")


def test_the_promise_of_news_is_never_rounded_down() -> None:
    """The time to the next update that people read is not shorter than the one that is kept."""
    for seconds in (1, 59, 60, 61, 897, 899, 900):
        said = render(UPDATE, facts(update__next_in=timedelta(seconds=seconds)), "text").body
        assert int(said.rpartition("in ")[2].split()[0]) * 60 >= seconds


@pytest.mark.parametrize("name", [name for name, fact in FACTS.items() if not isinstance(fact.example, list)])
def test_every_fact_can_be_told(name: str) -> None:
    """Each fact there is can stand in a message by its name."""
    group, _, part = name.partition("[].")
    body = f"{{% for each in {group} %}}{{{{ each.{part} }}}}{{% endfor %}}" if part else f"{{{{ {name} }}}}"
    assert mistakes(body, public=False) == []
    assert render(Template(subject="x", body=body), example(), "text").body
