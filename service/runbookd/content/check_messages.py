"""What can be wrong with the words of messages beyond their shape."""

from __future__ import annotations

from collections.abc import Iterator

from runbookd.content.messages import no_such
from runbookd.content.read import Draft
from runbookd.errors import Problem
from runbookd.language.facts import PUBLIC, WORDS
from runbookd.language.message_syntax import mistakes


def message_problems(draft: Draft) -> Iterator[Problem]:
    """Find messages that are never sent, and texts that cannot be written out of the facts there are."""
    for name, located in draft.messages.items():
        words = located.item
        if name not in WORDS:
            yield located.problem(no_such("message", name, WORDS), at_key=True)
        if name.startswith(PUBLIC) and not words.public:
            yield located.problem(
                "everybody reads this message; write `public: true`, which holds it to public facts"
            )
        for key, text in (("subject", words.subject), ("body", words.body)):
            if "${" in text:
                yield located.problem(
                    "messages hold {{ incident.title }} and the like; ${...} is not rendered here", key
                )
            for mistake in mistakes(text, public=words.public):
                yield located.problem_inside(str(mistake), (key,), mistake.line, mistake.column)
