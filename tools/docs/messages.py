"""The part of `docs/reference/language.md` about the words of messages: which there are, and what they may say.

Every example is rendered when the page is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from runbookd.language import message_syntax
from runbookd.language.facts import FACTS, WORDS, example
from runbookd.language.media import LONGEST_VALUE
from runbookd.language.message_syntax import FILTERS, mistakes
from runbookd.language.messages import LONGEST_BODY, LONGEST_SUBJECT, render
from runbookd.model.people import Template
from tools.docs.markdown import code, prose, table

EXAMPLES: Final = (
    "{{ incident.title }}",
    "In {{ update.next_in | minutes }}",
    "{{ incident.opened_at }}",
    "{{ incident.opened_at | at }}",
    "{{ incident.duration }}",
    '{{ incident.impact or "not known yet" }}',
    "{% for each in did %}{{ loop.index }}. {{ each.what }}: {{ each.detail }}{% endfor %}",
    "{% if did %}Steps: {{ did | length }}{% else %}Nothing yet{% endif %}",
)

_VALUES: Final = f"""A value is written on one line, without control characters, at most {LONGEST_VALUE:,} characters
of it, and escaped for its reader: HTML in a mail, `&`, `<`, `>` and mentions for Slack. A text that is not known is
empty, any other value says `not known`. A subject has at most {LONGEST_SUBJECT} characters, a body {LONGEST_BODY:,}. A
message whose template says `public: true` may tell public facts only."""


def section() -> Iterator[str]:
    """Make the section."""
    yield "## Words of messages"
    yield table(("message", "when it is sent"), [[code(name), meaning] for name, meaning in WORDS.items()])
    yield prose(message_syntax.__doc__)
    yield _VALUES
    yield table(("filter", "makes"), [[code(name), each.meaning] for name, each in FILTERS.items()])
    yield table(("written", "for example"), [[code(text), code(_rendered(text))] for text in EXAMPLES])
    rows = [[code(name), fact.meaning, "yes" if fact.public else ""] for name, fact in FACTS.items()]
    yield table(("fact", "what it is", "public"), rows)


def _rendered(text: str) -> str:
    """Render an example. Raises LookupError for one that a file could not hold."""
    if found := mistakes(text, public=False):
        raise LookupError(f"{text}: {found[0]}")
    return render(Template(subject="x", body=text), example(), "text").body
