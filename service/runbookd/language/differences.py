"""What a step changed, or would change: each place in the object, with what stood there and what stands there then.

Read from `change`, which an action records as the two states `before` and `after`; None in one of them is nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from runbookd.language.values import SecretRef, SecretText, utc_text
from runbookd.model.durations import format_duration
from runbookd.model.reasons import StepReason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NOTHING = "(nothing)"
_LONGEST = 120
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_Path = tuple[str, ...]
_Leaves = Mapping[_Path, object]


@dataclass(frozen=True, slots=True)
class Difference:
    """One place, as `spec.replicas` or `spec.containers[web].image`, and the value there before and after."""

    place: str
    before: str
    after: str

    def __str__(self) -> str:
        """Write it on one line."""
        return f"{f'{self.place}: ' if self.place else ''}{self.before} -> {self.after}"


def differences(change: Mapping[str, object] | None) -> list[Difference]:
    """Every place in which the two states of a recorded change differ; none when it was too long to be kept whole."""
    if change is None or not {"before", "after"} & change.keys():
        return []
    before, after = dict(_leaves(change.get("before"))), dict(_leaves(change.get("after")))
    return [
        Difference(_place(path), _value(before, path), _value(after, path))
        for path in dict.fromkeys((*before, *after))
        if before.get(path) != after.get(path)
        and not (_filled(path, before, after) or _filled(path, after, before))
    ]


def lines(change: Mapping[str, object] | None, most: int, more: str) -> list[str]:
    """The differences as text, at most so many; `more` says where the rest is."""
    found = [str(each) for each in differences(change)]
    left = len(found) - most
    return [*found[:most], f"and {left} more: {more}"] if left > 0 else found


def was_dry_run(reason: object) -> bool:
    """Whether a step with this reason was only asked what it would change."""
    return reason == StepReason.DRY_RUN


def _leaves(tree: object, path: _Path = ()) -> Iterator[tuple[_Path, object]]:
    """Every value that is no map, with the keys that lead to it; things in a list go by their name, or number."""
    if isinstance(tree, Mapping) and tree:
        for key, value in tree.items():
            yield from _leaves(value, (*path, _key(str(key))))
    elif isinstance(tree, list | tuple) and any(isinstance(each, Mapping) for each in tree):
        for name, value in zip(_names(tree), tree, strict=True):
            yield from _leaves(_unnamed(value, name), (*path, f"[{name}]"))
    elif tree is not None:
        yield path, tree


def _filled(path: _Path, empty: _Leaves, full: _Leaves) -> bool:
    """Whether an empty map or list there only was filled, or emptied: what is in it is told by its own places."""
    return empty.get(path) in ({}, []) and any(
        other[: len(path)] == path and len(other) > len(path) for other in full
    )


def _names(things: Sequence[object]) -> list[str]:
    """What to call the things in a list: their names when each has one of its own, else their numbers."""
    names = [str(each["name"]) for each in things if isinstance(each, Mapping) and "name" in each]
    alone = len(set(names)) == len(things)
    return names if alone else [str(number) for number in range(len(things))]


def _unnamed(thing: object, name: str) -> object:
    """A thing without the name it goes by, which its place tells already."""
    if isinstance(thing, Mapping) and len(thing) > 1 and thing.get("name") == name:
        return {key: value for key, value in thing.items() if key != "name"}
    return thing


def _key(key: str) -> str:
    return f".{key}" if _PLAIN.fullmatch(key) else f"[{json.dumps(key, ensure_ascii=False)}]"


def _place(path: _Path) -> str:
    return "".join(path).removeprefix(".")


def _value(leaves: _Leaves, path: _Path) -> str:
    if path not in leaves:
        return NOTHING
    text = _written(leaves[path]) or '""'
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _written(value: object) -> str:
    """Texts, times and secrets' names as they are written in a playbook, everything else as JSON."""
    if isinstance(value, dict | list | tuple | bool | int | float):
        return json.dumps(value, ensure_ascii=False, default=_written)
    if isinstance(value, datetime):
        return utc_text(value)
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, SecretRef):
        return f"${{secret.{value.name}}}"
    return "".join(map(_written, value.parts)) if isinstance(value, SecretText) else str(value)
