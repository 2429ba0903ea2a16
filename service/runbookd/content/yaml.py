"""YAML as operators mean it: YAML 1.2 values, every one with its line and column, and nothing unbounded.

PyYAML's C parser does the reading; the values are made here, because PyYAML makes YAML 1.1 values (`on` and
`NO` are booleans, `012` is 10, `1:30` is 90) and lets a second key of the same name win without a word. The rules
for plain values are the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema), with two limits
of what runs on them: integers have 64 bits and floats are finite.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

import yaml

from runbookd.content.yaml_text import Place, Scalar, decode, explain, place_within
from runbookd.errors import ContentError, Problem

Path = tuple[str | int, ...]
"""Keys and indexes from the top of a file down to a value."""

MAX_DEPTH = 40
MAX_VALUES = 100_000

_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULLS = {"", "~", "null", "Null", "NULL"}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_TEXT_TAGS = {"!", "tag:yaml.org,2002:str"}
_LONGEST_INTEGER = 22  # digits and sign of the longest 64-bit integer in octal
_INT64 = 2**63


@dataclass(slots=True)
class _Node:
    """One value of the file as written; an alias is the very node it names."""

    place: Place
    scalar: Scalar | None = None
    items: list[_Node] | None = None
    entries: list[tuple[str, Place, _Node]] | None = None
    open: bool = True


@dataclass(frozen=True, slots=True)
class Document:
    """One file: plain data (dict, list, str, int, float, bool, None), and where every key and value stands."""

    file: str
    data: object
    text: str = ""
    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)
    scalars: dict[Path, Scalar] = field(default_factory=dict)

    def problem(self, message: str, path: Path, *, at_key: bool = False) -> Problem:
        """Make a problem at the value of `path`, or at its key; at the nearest value around it when it has none."""
        while path and path not in self.values:
            path, at_key = path[:-1], False
        places = self.keys if at_key and path in self.keys else self.values
        place = places.get(path)
        return Problem(self.file, place.line if place else None, place.column if place else None, message)

    def problem_inside(self, message: str, path: Path, line: int | None, column: int | None) -> Problem:
        """Make a problem at a line and column (from 1) inside the text at `path`."""
        scalar = self.scalars.get(path)
        if scalar is None or column is None:
            return self.problem(message, path)
        place = place_within(self.text, scalar, line or 1, column)
        return Problem(self.file, place.line, place.column, message)


class _Mistake(Exception):
    """One mistake that ends the reading of a file."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.place = place


def parse(file: str, body: bytes) -> Document:
    """Read one file; `file` is only what problems call it.

    Raises ContentError with the mistakes found: all duplicate keys, or the one mistake nothing can be read behind.
    """
    text = decode(file, body)
    try:
        reader = _Reader(text)
        root = reader.document()
        places = _Expansion()
        data = places.expand(root, (), 1) if root is not None and not reader.mistakes else None
    except yaml.MarkedYAMLError as error:
        raise ContentError((explain(file, text, error),)) from None
    except _Mistake as mistake:
        raise ContentError((_problem(file, mistake),)) from None
    if reader.mistakes:
        raise ContentError(tuple(_problem(file, mistake) for mistake in reader.mistakes))
    return Document(file, data, text, places.keys, places.values, places.scalars)


def _problem(file: str, mistake: _Mistake) -> Problem:
    return Problem(file, mistake.place.line, mistake.place.column, str(mistake))


class _Reader:
    """Builds nodes from the parser's events, one at a time, so that depth is refused before it is built."""

    def __init__(self, text: str) -> None:
        self._loader = yaml.CSafeLoader(text)
        self._anchors: dict[str, _Node] = {}
        self.mistakes: list[_Mistake] = []

    def document(self) -> _Node | None:
        """Return the only document's root, or None when the file is empty."""
        self._next()  # the start of the stream
        event = self._next()
        if isinstance(event, yaml.StreamEndEvent):
            return None
        root = self._node(self._next(), 1)
        self._next()  # the end of the document
        after = self._next()
        if not isinstance(after, yaml.StreamEndEvent):
            message = "a second document starts here; write one document a file, without `---` between parts"
            raise _Mistake(_place(after), message)
        return root

    def _next(self) -> yaml.Event:
        event = self._loader.get_event()
        if event is None:  # pragma: no cover - nothing is asked for behind the end of the stream
            raise EOFError
        return event

    def _node(self, event: yaml.Event, depth: int) -> _Node:
        if depth > MAX_DEPTH:
            raise _Mistake(_place(event), f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if not isinstance(
            event, yaml.ScalarEvent | yaml.CollectionStartEvent
        ):  # pragma: no cover - the parser's grammar
            raise TypeError(type(event).__name__)
        node = _Node(_place(event))
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        if isinstance(event, yaml.ScalarEvent):
            node.scalar = _scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._no_tag(event)
            node.items = self._items(depth)
        else:
            self._no_tag(event)
            node.entries = self._entries(depth)
        node.open = False
        return node

    def _alias(self, event: yaml.AliasEvent) -> _Node:
        node = self._anchors.get(event.anchor or "")
        if node is None:
            raise _Mistake(_place(event), f"there is no anchor &{event.anchor} above this alias")
        if node.open:
            raise _Mistake(_place(event), f"the alias *{event.anchor} is inside what it stands for")
        return node

    def _items(self, depth: int) -> list[_Node]:
        items = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return items

    def _entries(self, depth: int) -> list[tuple[str, Place, _Node]]:
        entries: list[tuple[str, Place, _Node]] = []
        first: dict[str, Place] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key, place = self._key(event)
            if key in first:
                message = f"duplicate key {key!r}; it stands already in line {first[key].line}"
                self.mistakes.append(_Mistake(place, message))
            first.setdefault(key, place)
            entries.append((key, place, self._node(self._next(), depth + 1)))
        return entries

    def _key(self, event: yaml.Event) -> tuple[str, Place]:
        place = _place(event)
        if not isinstance(event, yaml.ScalarEvent):
            raise _Mistake(
                place, "a key must be a plain word; a text that holds ${...} or {...} needs quotes"
            )
        if event.value == "<<" and not event.style:
            raise _Mistake(place, "merge keys (<<) are not part of YAML 1.2; write the keys out")
        if event.value == "":
            raise _Mistake(place, "a key is missing before the colon")
        if event.anchor is not None:
            self._anchors[event.anchor] = _Node(place, _scalar(event), open=False)
        return event.value, place

    def _no_tag(self, event: yaml.CollectionStartEvent) -> None:
        if event.tag not in {None, "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}:
            raise _Mistake(_place(event), f"the tag {event.tag} is not supported; write the value without it")


class _Expansion:
    """Turns nodes into data and places, following aliases, up to a bound."""

    def __init__(self) -> None:
        self.keys: dict[Path, Place] = {}
        self.values: dict[Path, Place] = {}
        self.scalars: dict[Path, Scalar] = {}
        self._count = 0

    def expand(self, node: _Node, path: Path, depth: int) -> object:
        """Return the node's data; its places are kept."""
        self._count += 1
        if self._count > MAX_VALUES or depth > MAX_DEPTH:
            message = f"aliases make this file larger than {MAX_VALUES} values or {MAX_DEPTH} levels"
            raise _Mistake(node.place, message)
        self.values[path] = node.place
        if node.scalar is not None:
            value = _value(node.scalar)
            if isinstance(value, str):
                self.scalars[path] = node.scalar
            return value
        if node.items is not None:
            return [self.expand(item, (*path, index), depth + 1) for index, item in enumerate(node.items)]
        data = {}
        for key, place, child in node.entries or ():
            self.keys[*path, key] = place
            data[key] = self.expand(child, (*path, key), depth + 1)
        return data


def _place(event: yaml.Event) -> Place:
    mark = event.start_mark
    return Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)


def _scalar(event: yaml.ScalarEvent) -> Scalar:
    """Keep a scalar as written. Raises _Mistake when it has a tag other than that of a text."""
    if event.tag is not None and event.tag not in _TEXT_TAGS:
        message = f"the tag {event.tag} is not supported; write the value without it"
        raise _Mistake(_place(event), message)
    style = event.style or None
    return Scalar(_place(event), event.value, style, is_text=style is not None or event.tag is not None)


def _value(scalar: Scalar) -> object:
    """Resolve a scalar by YAML 1.2's core schema. Raises _Mistake for numbers nothing can hold."""
    text = scalar.text
    if scalar.is_text:
        return text
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return _integer(scalar)
    if _NOT_FINITE.fullmatch(text) or (_FLOAT.fullmatch(text) and not math.isfinite(float(text))):
        raise _Mistake(
            scalar.place, f"{_short(text)} is not a finite number; put it in quotes if it is a text"
        )
    return float(text) if _FLOAT.fullmatch(text) else text


def _integer(scalar: Scalar) -> int:
    text = scalar.text
    digits = text.lstrip("+-").removeprefix("0x").removeprefix("0o").lstrip("0")
    base = 16 if text.startswith("0x") else 8 if text.startswith("0o") else 10
    value = int(text, base) if len(digits) <= _LONGEST_INTEGER else _INT64
    if not -_INT64 <= value < _INT64:
        message = f"{_short(text)} does not fit in 64 bits; put it in quotes if it is a text"
        raise _Mistake(scalar.place, message)
    return value


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."  # noqa: PLR2004 - as much of a number as helps to find it
