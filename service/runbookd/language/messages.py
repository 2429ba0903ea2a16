"""The words of a message: its template and the facts become a subject and a body for the medium they go to.

`message_syntax.py` says what a template may hold, `facts.py` what it may tell, `media.py` how a value is written.
The text of a template is trusted, values are not. The sandbox of Jinja2
(https://jinja.palletsprojects.com/en/stable/sandbox/), with its globals taken away, stands behind the syntax.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from runbookd.errors import EvaluationError
from runbookd.language.facts import complete
from runbookd.language.media import Medium, as_html, cut, one_line, spoken, spoken_for_slack
from runbookd.language.message_syntax import FILTERS
from runbookd.model.people import Template

LONGEST_SUBJECT = 255
LONGEST_BODY = 65_536
"""Characters of a body, before it becomes HTML; what comes after is left out, and said to be."""

LEFT_OUT = "\n… (the rest is left out)"
_TAG = r"(?:\{%(?:(?!%\}).)*%\}|\{#(?:(?!#\}).)*#\})"
_LINE_OF_TAGS = re.compile(rf"^(?:[ \t]*{_TAG})+[ \t]*(?:\n|\Z)", re.MULTILINE)
_EMPTY_LINES = re.compile(r"[ \t]*\n(?:[ \t]*\n)+")


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message as its reader gets it.

    The subject is one line of plain text, for Slack one of its markup; the body is for the medium.
    """

    subject: str
    body: str


def render(template: Template, facts: Mapping[str, object], medium: Medium) -> Rendered:
    """Write a message out of facts by their names (`facts.FACTS`, nested); those that are missing are not known.

    A public template sees public facts only. Raises EvaluationError for a template that is no good, or a fact that is
    of another type than its example; one that loaded does neither for facts as they should be.
    """
    seen = complete(facts, public=template.public)
    written: Medium = "slack" if medium == "slack" else "text"
    subject = cut(one_line(_write(template.subject, seen, written)).strip(), LONGEST_SUBJECT, written)
    body = _EMPTY_LINES.sub("\n\n", _write(template.body, seen, written)).strip()
    return Rendered(subject, as_html(body) if medium == "html" else body)


def _write(text: str, facts: Mapping[str, object], medium: Medium) -> str:
    parts: list[str] = []
    length = 0
    try:
        for part in _compiled(text, medium).generate(facts):
            parts.append(part)
            length += len(part)
            if length > LONGEST_BODY:
                whole = "".join(parts)
                return cut(whole, LONGEST_BODY - len(LEFT_OUT), medium) + LEFT_OUT
    except jinja2.TemplateError as error:
        raise EvaluationError(f"the message cannot be written: {error}") from None
    return "".join(parts)


@lru_cache(maxsize=512)
def _compiled(text: str, medium: Medium) -> jinja2.Template:
    joined = _LINE_OF_TAGS.sub(lambda line: "".join(re.findall(_TAG, line[0])), text)
    return _environment(medium).from_string(joined)


@cache
def _environment(medium: Medium) -> jinja2.Environment:
    """Make the sandbox for a medium, in which every value is written for it at the last moment."""
    made = ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined,
        finalize=spoken_for_slack if medium == "slack" else spoken,
        autoescape=False,  # `finalize` and `as_html` escape, for media that Jinja2 does not know
    )
    made.globals.clear()
    made.tests.clear()
    made.filters.clear()
    made.filters.update(FILTERS)
    return made
