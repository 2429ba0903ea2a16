"""`docs/reference/language.md`: every key of rules and playbooks, and what an expression may say.

The keys come from the models that read the files. Every example of an expression is computed when the page is made,
so none can show what the language does not do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from runbookd.content.expressions import FIELDS
from runbookd.content.read import PLAYBOOK_KEYS, SHARED_KEYS
from runbookd.language import conditions, matchers
from runbookd.language.cel import MAX_LENGTH, NAMES, Scope, compile_expression
from runbookd.language.matchers import OPERATORS, parse_matcher
from runbookd.language.render import compile_template
from runbookd.language.values import utc_text
from runbookd.model import durations
from runbookd.model.durations import format_duration
from runbookd.model.people import Level, Role, Template
from runbookd.model.playbook import Playbook
from runbookd.model.rule import Calendar, Priority, Rule
from runbookd.model.schedule import Schedule
from tools.docs import messages, models
from tools.docs.markdown import code, prose, table
from tools.docs.markdown import page as make_page
from tools.docs.models import Place

ROOTS: Final = (
    Place("rules[]", Rule),
    Place("schedules[]", Schedule),
    Place("priorities.NAME", Priority),
    Place("escalations.NAME[]", Level),
    Place("roles.NAME", Role),
    Place("calendars.NAME", Calendar),
    Place("messages.NAME", Template),
    Place("playbook", Playbook),
)
"""What stands at the top of a file; the keys of a playbook stand there themselves."""

WITHOUT_MODEL: Final = {"vars": "names of the systems looked after, read as `${vars.NAME}`; any values"}
"""Top-level keys that hold whatever an operator writes."""

MEANINGS: Final = {
    "event": "what the sender said, in one shape for all senders",
    "alert": "the episode as it is now; without one `alert.status` is an empty text",
    "incident": "the trouble the run is for",
    "inputs": "what the playbook was given, typed as it declares",
    "vars": "the `vars` of all files",
    "steps": "by id, the results of steps that have ended; each also has `outcome` and `error`",
    "run": "this very run",
    "now": "the time of the decision",
    "item": "in `foreach`, the item",
    "result": "in `assert` and `outputs`, the result of the call",
}
"""What each first word of an expression is."""

EVENT: Final = {"name": "ShopErrors", "severity": "critical", "labels": {"app": "shop", "env": "prod-eu"}}
"""The event of the examples."""

EXAMPLES: Final = (
    'event.labels.app == "shop" && event.severity in ["critical", "page"]',
    "has(event.labels.team)",
    'event.labels[?"team"].orValue("nobody")',
    'event.labels.app == "shop" ? 2 : 1',
    'event.labels.env.startsWith("prod")',
    'event.labels.env.endsWith("-eu")',
    'event.labels.env.contains("od")',
    'event.labels.env.matches("^prod-(eu|us)$")',
    'event.labels.env.split("-")',
    '["a", "b"].join("/")',
    '"a,b".replace(",", ";")',
    '"Shop".lowerAscii() + "Shop".upperAscii()',
    '" shop ".trim()',
    '"shop".substring(1, 3)',
    '"%s has %d".format(["shop", 3])',
    "size([1, 2, 3])",
    "[1, 2, 3].filter(n, n > 1)",
    "[1, 2, 3].map(n, n * 2)",
    "[1, 2, 3].exists(n, n == 2)",
    "[1, 2, 3].all(n, n > 0)",
    "math.greatest(1, 5) - math.least(1, 5)",
    "math.ceil(1.2)",
    'int("4") + 1',
    "string(4)",
    'double("1.5")',
    'duration("90s") < duration("2m")',
    'now - duration("1h")',
    'now > timestamp("2026-01-05T11:00:00Z")',
    'now.getHours("America/New_York")',
)
"""Expressions that use each function worth knowing."""

TEMPLATES: Final = (
    "${event.labels}",
    "app=${event.labels.app}",
    "took ${duration('90s')}",
    "since ${now}",
    "$${not.an.expression}",
)

MATCHERS: Final = ('env="prod"', 'env!="prod"', 'env=~"pr.*"', 'env!~"pr.*"', 'env=""')

LABELS: Final[tuple[dict[str, str], ...]] = ({"env": "prod"}, {"env": "my-prod"}, {})
"""The label sets the matchers are tried on."""

_FILES: Final = """What a file in `rules/` or `playbooks/` may hold. Any file may hold any of the first keys of this
table; one that has the key `playbook` is a playbook. Unknown and repeated keys are mistakes.
`${...}` marks an expression; keys whose meaning says CEL hold one without it. [Write a
rule](../howto/write-a-rule.md) shows them at work, and the files in `schemas/` let an editor complete and check
them."""

_CEL: Final = f"""CEL, the [Common Expression Language](https://github.com/google/cel-spec/blob/master/doc/langdef.md),
with its extensions for optionals, strings and numbers. At most {MAX_LENGTH:,} characters, 10,000 loop steps and 32
levels; checked when the file is loaded. Which of these names have values depends on where the expression stands:"""

_WHOLE_VALUE: Final = """`${...}` as the whole value keeps the type of what it gives; inside a longer text it is written
out. What it gives is never looked at again. `${secret.NAME}` is a stand-in that is resolved when the call is made.
`$${` is a plain `${`."""

_NOW: Final = datetime(2026, 1, 5, 12, tzinfo=UTC)


def page() -> str:
    """Make the page."""
    known = places()
    keys = [[code(root.path), prose(root.model.__doc__)] for root in known if root.path in _roots()]
    keys += [[code(name), meaning] for name, meaning in WITHOUT_MODEL.items()]
    parts = [
        _FILES,
        table(("at the top of a file", "what it is"), keys),
    ]
    for place in known:
        parts += _section(place, known)
    parts += [*_expressions(), *_templates(), *_matchers(), *_durations(), *messages.section()]
    made_from = ["service/runbookd/model/", "service/runbookd/language/"]
    return make_page("Language", made_from, *parts)


def places() -> list[Place]:
    """Return every model a file may hold, with its path. A top-level key that is not known here is a mistake."""
    known = {root.path.partition("[")[0].partition(".")[0] for root in ROOTS} | WITHOUT_MODEL.keys()
    new = {*SHARED_KEYS, *PLAYBOOK_KEYS[:1]} - known
    if new:
        raise LookupError(f"no root for the top-level keys {', '.join(sorted(new))}; add them to ROOTS")
    return [
        Place(place.path.removeprefix("playbook."), place.model, place.in_collection)
        for place in models.places(*ROOTS)
    ]


def _roots() -> set[str]:
    return {root.path for root in ROOTS}


def _section(place: Place, known: list[Place]) -> Iterator[str]:
    yield f"{'##' if place.path in _roots() else '###'} {place.path}"
    yield prose(place.model.__doc__)
    yield table(models.HEAD, models.rows(place, known))


def _expressions() -> Iterator[str]:
    yield "## Expressions"
    yield _CEL
    if MEANINGS.keys() != NAMES:
        raise LookupError(f"MEANINGS differs from the names of the language: {MEANINGS.keys() ^ NAMES}")
    rows = [
        [code(name), meaning, ", ".join(code(each) for each in sorted(FIELDS.get(name, ())))]
        for name, meaning in MEANINGS.items()
    ]
    yield table(("name", "what it is", "its fields"), rows)
    yield prose(conditions.__doc__)
    yield f"Examples, for {code(json.dumps(EVENT))} at {utc_text(_NOW)}:"
    results = [[code(text), code(_shown(compile_expression(text).evaluate(_scope())))] for text in EXAMPLES]
    yield table(("expression", "gives"), results)


def _templates() -> Iterator[str]:
    yield "## Values with expressions"
    yield _WHOLE_VALUE
    rows = [[code(text), code(_shown(compile_template(text).render(_scope())))] for text in TEMPLATES]
    yield table(("written", "gives"), rows)


def _matchers() -> Iterator[str]:
    yield "## Matchers"
    yield prose(matchers.__doc__)
    operators = ", ".join(code(each) for each in sorted(OPERATORS))
    yield (
        "A label that is not there is an empty text, and a regular expression has to match the whole value. "
        f"The operators are {operators}."
    )
    yield table(("matcher", "takes", "leaves"), [_matcher_row(text) for text in MATCHERS])


def _matcher_row(text: str) -> list[str]:
    """Tell which of a few label sets a matcher takes, and which it leaves."""
    matcher = parse_matcher(text)
    taken = [_shown(labels) for labels in LABELS if matcher.matches(labels)]
    left = [_shown(labels) for labels in LABELS if not matcher.matches(labels)]
    return [code(text), ", ".join(map(code, taken)), ", ".join(map(code, left))]


def _durations() -> Iterator[str]:
    yield "## Durations"
    yield prose(durations.__doc__)


def _scope() -> Scope:
    return Scope({"event": EVENT, "now": _NOW})


def _shown(value: object) -> str:
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, datetime):
        return utc_text(value)
    return json.dumps(value, ensure_ascii=False)
