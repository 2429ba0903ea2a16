"""What a message's text must not say is told when it is loaded, with its place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbookd.errors import EvaluationError
from runbookd.language.facts import (
    FACTS,
    PUBLIC,
    PUBLIC_FACTS,
    WORDS,
    complete,
    example,
    parts_of,
)
from runbookd.language.message_syntax import FILTERS, LONGEST_TEXT, MOST_DEPTH, mistakes
from runbookd.language.messages import render
from runbookd.model.people import Template

MARK = "‸"
REFUSED = "a message has facts, filters"

WRONG = {
    "a fact that is none": ("{{ ‸service_name }}", "there is no fact 'service_name'; there is: service, "),
    "a part that is none": ("{{ ‸incident.titel }}", "Did you mean 'title'?"),
    "a part of a value": ("{{ ‸service.name }}", "there is no fact 'service.name'"),
    "all of a group": ("{{ ‸update }}", "update has parts; write one of them: update.number, update.next_at"),
    "an item's part outside of a loop": ("{{ ‸each.what }}", "there is no fact 'each.what'"),
    "an item's part that is none": (
        "{% for each in did %}\n- {{ ‸each.waht }}\n{% endfor %}",
        "each has: at, what, detail. Did you mean 'what'?",
    ),
    "a whole item": ("{% for item in did %}{{ ‸item }}{% endfor %}", "write one of them: item.at, item.what"),
    "a list": ("‸{{ did }}", "a list is told item by item"),
    "a list or a text": ("‸{{ did or found }}", "a list is told item by item"),
    "the loop outside of one": ("{{ ‸loop.index }}", "there is no fact 'loop.index'"),
    "another part of the loop": (
        "{% for each in did %}{{ ‸loop.cycle }}{% endfor %}",
        "there is no fact 'loop.cycle'",
    ),
    "a loop over a text": ("{% for each in ‸service %}x{% endfor %}", "a loop goes over a list"),
    "a loop over a text that is none": ("{% for each in ‸dit %}x{% endfor %}", "Did you mean 'did'?"),
    "a loop over a choice": ("‸{% for each in did or alerts %}x{% endfor %}", "named as it is"),
    "a loop over nothing": ("‸{% for each in none %}x{% endfor %}", "named as it is"),
    "a loop that hides a fact": ("‸{% for found in did %}x{% endfor %}", "one word that is no fact"),
    "a loop of two names": ("‸{% for a, b in did %}x{% endfor %}", "one word that is no fact"),
    "a loop named loop": ("‸{% for loop in did %}x{% endfor %}", "one word that is no fact"),
    "a loop that calls itself": ("‸{% for a in did recursive %}x{% endfor %}", "at most 2 loops"),
    "three loops": (
        "{% for a in did %}{% for b in did %}\n‸{% for c in did %}{% endfor %}{% endfor %}{% endfor %}",
        "at most 2 loops",
    ),
    "a mistake in a loop's condition": (
        "{% for each in did if ‸each.on %}x{% endfor %}",
        "there is no fact 'each.on'",
    ),
    "a mistake in a loop's else": ("{% for each in did %}x{% else %}{{ ‸nono }}{% endfor %}", "'nono'"),
    "a mistake in a condition": ("{% if ‸incident.acked %}x{% endif %}", "there is no fact 'incident.acked'"),
    "a mistake in an elif": ("{% if found %}{% elif ‸fount %}{% endif %}", "Did you mean 'found'?"),
    "a mistake in an else": ("{% if found %}{% else %}{{ ‸fount }}{% endif %}", "Did you mean 'found'?"),
    "a filter that is none": ("{{ found | ‸uper }}", "Did you mean 'upper'?"),
    "a filter of Jinja's": ("{{ found | ‸center }}", "there is no filter 'center'"),
    "a filter with brackets": ("{{ found | ‸upper(3) }}", "takes nothing in brackets"),
    "a filter for another type": (
        "{{ incident.title | ‸minutes }}",
        "'minutes' is for a length of time, and this is a text",
    ),
    "a filter for nothing": ("{{ none | ‸upper }}", "and this is none"),
    "a filter for a moment": ("{{ update.next_in | ‸at }}", "and this is a length of time"),
    "a filter of a fact that is none": ("{{ ‸fount | upper }}", "Did you mean 'found'?"),
    "a block of a filter": ("‸{% filter upper %}x{% endfilter %}", REFUSED),
    "a call": ("‸{{ found.upper() }}", "nothing can be called"),
    "a call of Jinja's": ("‸{{ range(9) }}", "nothing can be called"),
    "an index": ("‸{{ found[0] }}", "nothing can be looked up in brackets"),
    "an index of a path": ("‸{{ did[0].what }}", REFUSED),
    "an attribute of Python's": ("{{ ‸found.__class__ }}", "there is no fact 'found.__class__'"),
    "an attribute of a text": ("‸{{ 'x'.__class__ }}", REFUSED),
    "a sum": ("‸{{ 1 + 1 }}", REFUSED),
    "a power": ("‸{{ 9 ** 9 }}", REFUSED),
    "a product": ("‸{{ 'a' * 9 }}", REFUSED),
    "a sum of texts": ("‸{{ found ~ 'x' }}", "nothing can be joined with ~"),
    "a comparison of sizes": (
        "{% if 1 == 1 %}\n‸{{ update.number > 1 }}{% endif %}",
        "only == and != compare",
    ),
    "a test": ("‸{{ found is defined }}", "there are no tests with `is`"),
    "an if without an else": ("‸{{ 'x' if found }}", "needs an `else`"),
    "a mistake in a choice": ("{{ 'x' if ‸fount else 'y' }}", "Did you mean 'found'?"),
    "a variable": ("‸{% set x = 1 %}", "nothing can be set"),
    "a block of a variable": ("‸{% set x %}y{% endset %}", "nothing can be set"),
    "another file": ("‸{% include '/etc/passwd' %}", REFUSED),
    "a parent": ("‸{% extends 'x' %}", REFUSED),
    "an import": ("‸{% import 'x' as x %}", REFUSED),
    "a macro": ("‸{% macro x() %}{% endmacro %}", REFUSED),
    "a list of its own": ("‸{{ [1, 2] }}", REFUSED),
    "an open expression": ("line\n‸{{ found", "unexpected end of template"),
    "an open condition": ("‸{% if found %}x", "unexpected end of template"),
    "a tag that is none": ("‸{% fi %}", "unknown tag 'fi'"),
    "an expression of rules": ("a ‸{{ ${found} }}", "unexpected char '$'"),
    "conditions that nest": (
        "‸" + "{% if found %}" * 30 + "\n{% if found %}{% endif %}\n" + "{% endif %}" * 30,
        "nests too deep",
    ),
    "filters that nest": ("‸{{ found" + " | upper" * 99 + " }}", "nests too deep"),
    "brackets that nest": ("‸{{ " + "(" * 9_000 + "found" + ")" * 9_000 + " }}", "nests too deep"),
    "a path without end": ("{{ ‸a" + ".a" * 9_000 + " }}", "there is no fact 'a.a.a"),
}

RIGHT = (
    "",
    "plain text, with { and } and ${x} and <b>",
    "{{ incident.impact or 'not known yet' }}",
    "{{ (incident.commander or incident.acknowledged_by) | upper }}",
    "{{ 'x' if did and not found else service | lower }}",
    "{% if incident.state == 'Resolved' and update.number != 0 %}x{% elif found %}y{% else %}z{% endif %}",
    "{% for each in did if each.detail %}{{ loop.index }} {{ each.at | at }}{% else %}nothing{% endfor %}",
    "{% for one in did %}{% for two in alerts %}{{ one.what }}{{ two.since }}{% endfor %}{% endfor %}",
    "{{ did | length }} {{ lateness | duration }} {{ checklist.good }} {# a remark #}{% raw %}{{ x }}{% endraw %}",
    "{{ 5 }}{{ none }}{{ true }}",
)


@pytest.mark.parametrize("name", WRONG)
def test_mistakes(name: str) -> None:
    """What a message must not say is one mistake, at the line and column where it says it."""
    text, fragment = WRONG[name]
    before = text[: text.index(MARK)]
    place = before.count("\n") + 1, len(before) - before.rfind("\n")
    found = [(each.line, each.column, str(each)) for each in mistakes(text.replace(MARK, ""), public=False)]
    assert [each[:2] for each in found] == [place] * len(found)
    assert any(fragment in each[2] for each in found), found
    assert len(found) <= 2


@pytest.mark.parametrize("text", RIGHT)
def test_what_may_be_said(text: str) -> None:
    """What is no mistake can be rendered, whatever is known."""
    assert mistakes(text, public=False) == []
    for known in (True, False):
        render(Template(subject="x", body=text or " "), example(known=known), "text")


def test_every_mistake_is_told() -> None:
    """One reading shows all mistakes, each once."""
    text = "{{ fount }} {{ fount }}\n{{ serviec }}{% for each in did %}{{ each.x }}{{ each.y }}{% endfor %}"
    assert [(each.line, each.column) for each in mistakes(text, public=False)] == [
        (1, 4),
        (2, 4),
        (2, 38),
        (2, 50),
    ]


def test_a_text_has_a_bound() -> None:
    """A template of any length is refused unread."""
    (found,) = mistakes("x" * (LONGEST_TEXT + 1), public=False)
    assert "at most 20000 characters" in str(found)


def test_a_public_message_tells_public_facts() -> None:
    """What everybody reads can name nothing that is not on the list, in loops neither."""
    assert (
        mistakes("{{ service }} {{ incident.state | lower }} {{ update.next_in | minutes }}", public=True)
        == []
    )
    for name in sorted(FACTS.keys() - PUBLIC_FACTS):
        if "[]" not in name and not isinstance(FACTS[name].example, list):
            assert any(
                "not for everybody" in str(each) for each in mistakes(f"{{{{ {name} }}}}", public=True)
            )
    (found,) = mistakes("a\n{% for each in did %}{{ service }}{% endfor %}", public=True)
    assert (found.line, found.column) == (2, 16)
    assert "did is not for everybody; it may tell: incident.duration, " in str(found)


@given(st.text("{}%#| .incdetla()[]'\"=!+-\n", max_size=60))
def test_nothing_written_crashes_it(text: str) -> None:
    """Whatever a slip of the hand makes of a text, it is a mistake with a place, or it renders."""
    found = mistakes(text, public=False)
    assert all(each.line and each.column for each in found)
    if not found and text.strip():
        render(Template(subject="x", body=text), example(), "text")


def test_a_filter_refuses_what_is_of_another_type() -> None:
    """A text that was never checked fails with a reason, and what is not known stays so."""
    with pytest.raises(EvaluationError, match="takes a length of time, not 'soon'"):
        FILTERS["minutes"]("soon")
    assert FILTERS["minutes"](None) is None
    assert FILTERS["at"](datetime(2026, 1, 5, 12, 0, 59, tzinfo=UTC)) == "2026-01-05 12:00 UTC"
    assert FILTERS["time"](datetime(2026, 1, 5, 12, 0, 59, tzinfo=UTC)) == "12:00 UTC"


def test_facts_are_described() -> None:
    """Every fact has a meaning and an example of a type that texts know, and so have its parts."""
    known = {str, int, bool, datetime, timedelta, list}
    for name, fact in FACTS.items():
        assert fact.meaning
        assert type(fact.example) in known
        assert "[]" not in name or isinstance(FACTS[name.partition("[]")[0]].example, list)
    assert {name for name in WORDS if name.startswith(PUBLIC)} == {
        f"{PUBLIC}{name}" for name in ("incident-opened", "incident-update", "incident-resolved")
    }
    assert MOST_DEPTH < 100
    # A part of a fact must not be hidden by what a dict has of its own.
    assert not {part for name in ("incident", "update", "did[]") for part in parts_of(name)} & set(dir(dict))


def test_facts_are_completed() -> None:
    """What is missing is not known, what is no fact is left out, and what is not for everybody can be kept back."""
    whole = complete(
        {"incident": {"title": "x", "secret": 1}, "did": [{"what": "y"}, 3], "alerts": "no list"}
    )
    assert whole["incident"] == dict.fromkeys(parts_of("incident")) | {
        name: "" for name in parts_of("incident") if isinstance(FACTS[f"incident.{name}"].example, str)
    } | {"title": "x"}
    assert whole["did"] == [{"at": None, "what": "y", "detail": ""}, {"at": None, "what": "", "detail": ""}]
    assert (whole["alerts"], whole["service"], whole["level"]) == ([], "", None)
    public = complete({"incident": {"title": "x", "state": "Resolved"}, "did": [{}]}, public=True)
    assert "did" not in public
    assert set(public["incident"]) == {  # type: ignore[call-overload]
        name.removeprefix("incident.") for name in PUBLIC_FACTS if name.startswith("incident.")
    }
    assert complete(example()) == example()
    assert complete({}) == complete(complete({"nothing": 1}))
