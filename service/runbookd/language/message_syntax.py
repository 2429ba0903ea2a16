"""What the text of a message may say, and where it says anything else.

    {{ incident.title }}   {{ update.next_in | minutes }}   {{ incident.impact or "not known yet" }}
    {% if did %} ... {% elif found %} ... {% else %} ... {% endif %}
    {% for each in did %} ... {{ each.what }} ... {% endfor %}

Jinja2 by a list of what is allowed, so that nothing a text says can run, grow or fail: facts, loops over them, `if`,
`and`, `or`, `not`, `==`, `!=` and the filters below. There are no calls, sums, indexes or variables of its own. A line
that holds nothing but `{% ... %}` leaves no line behind, and several empty lines are one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from jinja2 import Environment, TemplateSyntaxError, nodes

from runbookd.errors import EvaluationError, LanguageError
from runbookd.language.facts import FACTS, PUBLIC_FACTS, parts_of
from runbookd.language.fuzzy import did_you_mean
from runbookd.language.media import in_minutes, in_words, spoken

LONGEST_TEXT = 20_000
"""Characters of the text of a message."""
MOST_LOOPS = 2
"""How many loops may stand in each other."""
MOST_DEPTH = 20
"""How deep conditions and expressions may nest."""

_LOOP = {"loop.first": bool, "loop.last": bool, "loop.index": int}
_KINDS: Mapping[type, str] = {
    str: "a text",
    int: "a number",
    bool: "true or false",
    datetime: "a timestamp",
    timedelta: "a length of time",
    list: "a list",
}


@dataclass(frozen=True, slots=True)
class Filter:
    """What `| name` makes of a value of one type; what is not known stays so."""

    meaning: str
    takes: type
    make: Callable[..., object]

    def __call__(self, value: object) -> object:
        """Apply it. Raises EvaluationError for a value of another type, which a checked text never gives it."""
        if value is not None and not isinstance(value, self.takes):
            raise EvaluationError(f"a filter takes {_KINDS[self.takes]}, not {spoken(value)!r}")
        return None if value is None else self.make(value)


FILTERS: Mapping[str, Filter] = {
    "duration": Filter("a length of time in its two largest units: `1 hour 5 minutes`", timedelta, in_words),
    "minutes": Filter("a length of time in minutes, rounded up: `15 minutes`", timedelta, in_minutes),
    "at": Filter(
        "a timestamp to the minute: `2026-01-05 12:00 UTC`",
        datetime,
        lambda moment: f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
    ),
    "time": Filter(
        "the time of day of a timestamp: `12:00 UTC`",
        datetime,
        lambda moment: f"{moment.astimezone(UTC):%H:%M} UTC",
    ),
    "length": Filter("how many items a list has", list, len),
    "upper": Filter("a text in capitals", str, str.upper),
    "lower": Filter("a text in small letters", str, str.lower),
}

_PARSER = Environment(autoescape=True)


@dataclass(frozen=True, slots=True)
class _Scope:
    """Where in a text we are: what loops have named, and how deep it is nested. `loops` has the names' facts."""

    loops: Mapping[str, str]
    depth: int = 0

    def deeper(self) -> _Scope:
        return replace(self, depth=self.depth + 1)


def mistakes(text: str, *, public: bool) -> list[LanguageError]:
    """Return every mistake in the text of a message, each with its place; a `public` one may tell public facts only."""
    if len(text) > LONGEST_TEXT:
        return [
            LanguageError(f"a message's text is at most {LONGEST_TEXT} characters long; this has {len(text)}")
        ]
    try:
        template = _PARSER.parse(text)
    except TemplateSyntaxError as error:
        said = (error.message or "it cannot be read").rstrip(".")
        said = f"{said[:1].lower()}{said[1:]}; https://jinja.palletsprojects.com has the syntax"
        return [_located(text, error.lineno, said, "")]
    except RecursionError:
        return [LanguageError("this nests too deep; make it simpler", line=1, column=1)]
    reading = _Reading(text, PUBLIC_FACTS if public else FACTS.keys())
    reading.statements(template.body, _Scope({}))
    unique = {(each.line, each.column, str(each)): each for each in reading.mistakes}
    return list(unique.values())


def _located(text: str, line: int, message: str, word: str) -> LanguageError:
    """Make a mistake at a word in a line, but not where a loop names it; at the line's first mark without a word."""
    lines = text.split("\n")
    here = lines[line - 1] if line <= len(lines) else ""
    wanted = rf"(?<![\w.])(?<!for ){re.escape(word)}(?!\w)" if word else r"\{[{%#]"
    found = re.search(wanted, here)
    return LanguageError(message, line=line, column=found.start() + 1 if found else 1)


class _Reading:
    """One pass over the parsed text of a message."""

    def __init__(self, text: str, allowed: Collection[str]) -> None:
        self._text = text
        self._allowed = allowed
        self.mistakes: list[LanguageError] = []

    def statements(self, body: Sequence[nodes.Node], scope: _Scope) -> None:
        """Check what stands in a row."""
        for node in body:
            if scope.depth > MOST_DEPTH:
                self._mistake(node, "this nests too deep; make it simpler")
            elif isinstance(node, nodes.Output):
                self._output(node, scope)
            elif isinstance(node, nodes.If):
                self._value(node.test, scope)
                for inner in (node.body, node.elif_, node.else_):
                    self.statements(inner, scope.deeper())
            elif isinstance(node, nodes.For):
                self._for(node, scope)
            else:
                self._refuse(node)

    def _output(self, node: nodes.Output, scope: _Scope) -> None:
        for child in node.nodes:
            if not isinstance(child, nodes.TemplateData) and self._value(child, scope) is list:
                self._mistake(child, "a list is told item by item: {% for each in did %} ... {% endfor %}")

    def _for(self, node: nodes.For, scope: _Scope) -> None:
        target = node.target.name if isinstance(node.target, nodes.Name) else ""
        if not target or target == "loop" or target in parts_of(""):
            self._mistake(node, "a loop names its item with one word that is no fact: {% for each in did %}")
            return
        if node.recursive or len(scope.loops) == MOST_LOOPS:
            self._mistake(node, f"at most {MOST_LOOPS} loops may stand in each other")
            return
        kind, name = self._value(node.iter, scope), ".".join(_words(node.iter))
        if kind is not list or not name:
            if kind is not None:
                self._mistake(
                    node.iter, "a loop goes over a list, named as it is: {% for each in did %}", name
                )
            return
        inner = _Scope({**scope.loops, target: name}, scope.depth + 1)
        if node.test is not None:
            self._value(node.test, inner)
        self.statements(node.body, inner)
        self.statements(node.else_, scope.deeper())

    def _value(self, node: nodes.Node, scope: _Scope) -> type | None:
        """Check an expression; returns the type of what it gives, None when that depends or there is a mistake."""
        scope = scope.deeper()
        if scope.depth > MOST_DEPTH:
            self._mistake(node, "this nests too deep; make it simpler")
            return None
        if isinstance(node, nodes.Const):
            return type(node.value)
        if isinstance(node, nodes.Name | nodes.Getattr) and (words := _words(node)):
            return self._fact(node, words, scope)
        if isinstance(node, nodes.Filter):
            return self._filter(node, scope)
        inner = _operands(node)
        if inner is None:
            self._refuse(node)
            return None
        kinds = {self._value(each, scope) for each in inner}
        if isinstance(node, nodes.CondExpr):
            self._value(node.test, scope)
        if isinstance(node, nodes.Compare | nodes.Not):
            return bool
        return list if list in kinds else kinds.pop() if len(kinds) == 1 else None

    def _fact(self, node: nodes.Node, words: list[str], scope: _Scope) -> type | None:
        """Look a name up: a fact, a part of one, or of the item of a loop."""
        written = ".".join(words)
        if scope.loops and written in _LOOP:
            return _LOOP[written]
        listed = scope.loops.get(words[0])
        name = ".".join([f"{listed}[]", *words[1:]]) if listed is not None else written
        if name not in FACTS:
            self._mistake(node, _no_fact(name, written, scope.loops), written)
            return None
        if name not in self._allowed:
            those = ", ".join(sorted(self._allowed))
            self._mistake(
                node,
                f"everybody reads a public message, and {written} is not for everybody; it may tell: {those}",
                written,
            )
        return type(FACTS[name].example)

    def _filter(self, node: nodes.Filter, scope: _Scope) -> type | None:
        given = self._value(node.node, scope) if node.node is not None else None
        known = FILTERS.get(node.name)
        if known is None:
            hint = did_you_mean(node.name, FILTERS)
            self._mistake(
                node, f"there is no filter {node.name!r}; there is: {', '.join(FILTERS)}.{hint}", node.name
            )
            return None
        if node.args or node.kwargs or node.dyn_args or node.dyn_kwargs:
            self._mistake(node, f"the filter {node.name!r} takes nothing in brackets", node.name)
        if given is not None and given is not known.takes:
            self._mistake(
                node,
                f"{node.name!r} is for {_KINDS[known.takes]}, and this is {_KINDS.get(given, 'none')}",
                node.name,
            )
        return int if known.takes is list else str

    def _refuse(self, node: nodes.Node) -> None:
        what = _REFUSED.get(type(node).__name__, "this is not part of the language of messages")
        self._mistake(
            node, f"{what}; a message has facts, filters, `if`, `for`, `and`, `or`, `not`, `==` and `!=`"
        )

    def _mistake(self, node: nodes.Node, message: str, word: str = "") -> None:
        self.mistakes.append(_located(self._text, node.lineno, message, word))


_REFUSED = {
    "Call": "nothing can be called",
    "Getitem": "nothing can be looked up in brackets",
    "Assign": "nothing can be set",
    "AssignBlock": "nothing can be set",
    "Compare": "only == and != compare",
    "CondExpr": "`A if B` needs an `else`",
    "Concat": "nothing can be joined with ~",
    "Test": "there are no tests with `is`",
}


def _operands(node: nodes.Node) -> list[nodes.Node] | None:
    """Return what an expression is made of; None when it is of a kind that is not allowed."""
    if isinstance(node, nodes.And | nodes.Or):
        return [node.left, node.right]
    if isinstance(node, nodes.Not):
        return [node.node]
    if isinstance(node, nodes.Compare) and all(each.op in {"eq", "ne"} for each in node.ops):
        return [node.expr, *(each.expr for each in node.ops)]
    if isinstance(node, nodes.CondExpr) and node.expr2 is not None:
        return [node.expr1, node.expr2]
    return None


def _words(node: nodes.Node) -> list[str]:
    """Return the words of `incident.title`; nothing for a path that does not begin with a name."""
    words: list[str] = []
    while isinstance(node, nodes.Getattr):
        words.append(node.attr)
        node = node.node
    return [node.name, *reversed(words)] if isinstance(node, nodes.Name) else []


def _no_fact(name: str, written: str, loops: Mapping[str, str]) -> str:
    """Say that a name is none, and what there is: the parts of the longest beginning of it that has any."""
    if parts_of(name):
        return f"{written} has parts; write one of them: {', '.join(f'{written}.{each}' for each in parts_of(name))}"
    beginning, word = name, ""
    while beginning and not parts_of(beginning):
        beginning, _, word = beginning.rpartition(".")
    there = [*parts_of(beginning), *([] if beginning else loops)]
    where = f"{written.rpartition('.')[0]} has" if beginning else "there is"
    return f"there is no fact {written!r}; {where}: {', '.join(there)}.{did_you_mean(word or written, there)}"
