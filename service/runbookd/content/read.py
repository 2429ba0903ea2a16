"""Files into models: every rule, playbook, priority, role and so on validated by itself, with where it stands.

A mistake in one rule hides no mistake in another, and a name that is written but wrong still counts as a name,
so that one bad playbook does not make every rule that runs it wrong too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from runbookd.content.messages import findings, known_keys, name_mistake, shown, unknown_key
from runbookd.content.yaml import Document, Path, parse
from runbookd.errors import ContentError, Problem
from runbookd.model.library import Library
from runbookd.model.people import Escalation, Role, Template
from runbookd.model.playbook import Playbook
from runbookd.model.rule import Calendar, Priority, Rule
from runbookd.model.schedule import Schedule

ModelT = TypeVar("ModelT", bound=BaseModel)
Located_co = TypeVar("Located_co", bound=BaseModel, covariant=True)

SHARED_KEYS = ("rules", "schedules", "priorities", "escalations", "roles", "calendars", "messages", "vars")
PLAYBOOK_KEYS = tuple(known_keys(Playbook))
_MAPS: dict[str, tuple[str, type[BaseModel]]] = {
    "priorities": ("priority", Priority),
    "escalations": ("escalation", Escalation),
    "roles": ("role", Role),
    "calendars": ("calendar", Calendar),
    "messages": ("message", Template),
}
NAMED = ("rule", "schedule", "playbook", *(kind for kind, _ in _MAPS.values()), "var")
"""What has names, in the words that speak of it."""


@dataclass(frozen=True, slots=True)
class Located(Generic[Located_co]):
    """A model and where it was written."""

    item: Located_co
    document: Document
    path: Path = ()

    def problem(self, message: str, *below: str | int, at_key: bool = False) -> Problem:
        """Make a problem at a place below this one."""
        return self.document.problem(message, (*self.path, *below), at_key=at_key)

    def problem_inside(self, message: str, below: Path, line: int | None, column: int | None) -> Problem:
        """Make a problem inside the text at a place below this one."""
        return self.document.problem_inside(message, (*self.path, *below), line, column)


@dataclass(slots=True)
class Draft:
    """What the files hold, before its parts are checked against each other.

    `names` says where every name was written first, valid or not: by kind (one of NAMED), then by name.
    """

    rules: list[Located[Rule]] = field(default_factory=list)
    schedules: dict[str, Located[Schedule]] = field(default_factory=dict)
    playbooks: dict[str, Located[Playbook]] = field(default_factory=dict)
    priorities: dict[str, Located[Priority]] = field(default_factory=dict)
    escalations: dict[str, Located[Escalation]] = field(default_factory=dict)
    roles: dict[str, Located[Role]] = field(default_factory=dict)
    calendars: dict[str, Located[Calendar]] = field(default_factory=dict)
    messages: dict[str, Located[Template]] = field(default_factory=dict)
    vars: dict[str, object] = field(default_factory=dict)
    names: dict[str, dict[str, str]] = field(default_factory=lambda: {kind: {} for kind in NAMED})
    problems: list[Problem] = field(default_factory=list)

    def library(self, version: str) -> Library:
        """Make the value that the service works with."""
        return Library(
            rules=tuple(located.item for located in self.rules),
            schedules=_items(self.schedules),
            playbooks=_items(self.playbooks),
            priorities=_items(self.priorities),
            escalations=_items(self.escalations),
            roles=_items(self.roles),
            calendars=_items(self.calendars),
            messages=_items(self.messages),
            vars=dict(self.vars),
            places={f"{kind}:{name}": at for kind, names in self.names.items() for name, at in names.items()},
            version=version,
        )


def _items(located: Mapping[str, Located[ModelT]]) -> dict[str, ModelT]:
    return {name: each.item for name, each in located.items()}


def draft(bodies: Sequence[tuple[str, bytes]]) -> Draft:
    """Read files, given as name and bytes, in the order their rules are to be tried."""
    made = Draft()
    for name, body in bodies:
        # What a file looks like while it is being rewritten must not pass for "no rules".
        if not body.strip():
            made.problems.append(Problem(name, None, None, "the file is empty; write it, or remove it"))
            continue
        try:
            _Reading(made, parse(name, body)).read()
        except ContentError as error:
            made.problems.extend(error.problems)
    return made


class _Reading:
    """Puts one document's content into the draft."""

    def __init__(self, into: Draft, document: Document) -> None:
        self._draft = into
        self._document = document

    def read(self) -> None:
        """Read each part the file has; an empty file has none."""
        data = self._document.data
        if data is None:
            return
        if not isinstance(data, dict):
            self._problem(
                f"the file must hold a map with keys such as rules or playbook, not {shown(data)}", ()
            )
            return
        self._unknown_keys(data)
        for _, rule in self._list("rules", "rule", Rule, data.get("rules", [])):
            self._draft.rules.append(rule)
        for fresh, schedule in self._list("schedules", "schedule", Schedule, data.get("schedules", [])):
            if fresh:
                self._draft.schedules[schedule.item.name] = schedule
        for section in _MAPS:
            self._map(section, data.get(section, {}))
        self._vars(data.get("vars", {}))
        if "playbook" in data:
            self._playbook({key: value for key, value in data.items() if key in PLAYBOOK_KEYS})

    def _unknown_keys(self, data: Mapping[str, object]) -> None:
        known = (*SHARED_KEYS, *(PLAYBOOK_KEYS if "playbook" in data else ("playbook",)))
        for key in data:
            if key in known:
                continue
            if key in PLAYBOOK_KEYS:
                message = f"{key!r} belongs to a playbook, and this file has no `playbook: NAME`"
                self._problem(message, (key,), at_key=True)
            else:
                self._problem(unknown_key(key, known), (key,), at_key=True)

    def _list(
        self, section: str, kind: str, model: type[ModelT], entries: object
    ) -> Iterator[tuple[bool, Located[ModelT]]]:
        """Yield what a list holds, each with whether its name was not taken before."""
        if not isinstance(entries, list):
            self._problem(f"must be a list (lines that start with `- `), not {shown(entries)}", (section,))
            return
        for index, data in enumerate(entries):
            path = (section, index)
            name = data.get("name") if isinstance(data, dict) else None
            fresh = isinstance(name, str) and self._name(kind, name, (*path, "name"))
            item = self._validate(model, data, path)
            if item is not None:
                yield fresh, Located(item, self._document, path)

    def _playbook(self, data: Mapping[str, object]) -> None:
        name = data["playbook"]
        fresh = not isinstance(name, str) or self._name("playbook", name, ("playbook",))
        playbook = self._validate(Playbook, data, ())
        if playbook is not None and fresh:
            self._draft.playbooks[playbook.playbook] = Located(playbook, self._document)

    def _map(self, section: str, entries: object) -> None:
        if not isinstance(entries, dict):
            self._problem(f"must be a map (`name: ...` lines), not {shown(entries)}", (section,))
            return
        kind, model = _MAPS[section]
        into: dict[str, Located[BaseModel]] = getattr(self._draft, section)
        for name, data in entries.items():
            path = (section, name)
            if (mistake := name_mistake(name)) is not None:
                self._problem(mistake, path, at_key=True)
            fresh = self._name(kind, name, path)
            item = self._validate(model, data, path)
            if item is not None and fresh:
                into[name] = Located(item, self._document, path)

    def _vars(self, entries: object) -> None:
        if not isinstance(entries, dict):
            self._problem(f"must be a map (`name: value` lines), not {shown(entries)}", ("vars",))
            return
        for name, value in entries.items():
            path = ("vars", name)
            if not (name.isascii() and name.isidentifier()):
                message = (
                    f"{name!r} cannot be written as vars.NAME; use letters, digits and _, a letter first"
                )
                self._problem(message, path, at_key=True)
            elif self._name("var", name, path):
                self._draft.vars[name] = value
            for below, text in texts(value, path):
                if "${" in text:
                    message = "vars are constants, so ${...} is not rendered here; write the value out"
                    self._problem(message, below)

    def _name(self, kind: str, name: str, path: Path) -> bool:
        """Keep a name with its place; False, and a problem, when it was taken before."""
        at_key = kind not in {"rule", "schedule", "playbook"}  # it is written as a key, else as a value
        here = self._document.problem("", path, at_key=at_key)
        names = self._draft.names[kind]
        if name not in names:
            names[name] = f"{here.file}:{here.line}"
            return True
        article = "an" if kind[0] in "aeiou" else "a"
        self._problem(
            f"there is already {article} {kind} named {name!r}, at {names[name]}", path, at_key=at_key
        )
        return False

    def _validate(self, model: type[ModelT], data: object, path: Path) -> ModelT | None:
        """Validate strictly, as JSON is: `"3"` is no number, and only the keys as they are written count."""
        try:
            return model.model_validate_json(orjson.dumps(data), strict=True, by_alias=True, by_name=False)
        except ValidationError as error:
            for finding in findings(model, data, error):
                self._problem(finding.message, (*path, *finding.path), at_key=finding.at_key)
        return None

    def _problem(self, message: str, path: Path, *, at_key: bool = False) -> None:
        self._draft.problems.append(self._document.problem(message, path, at_key=at_key))


def texts(value: object, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield every text inside a value, with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from texts(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from texts(item, (*path, index))
