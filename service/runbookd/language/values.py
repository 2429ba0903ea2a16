"""Values on their way to the database and back, and the two stand-ins for secrets.

JSON knows neither durations nor timestamps nor secrets, so these become tagged maps:

    {"$duration": seconds}      {"$timestamp": "RFC 3339, in UTC"}      {"$number": "NaN", "Infinity" or whole}
    {"$secret": name}           {"$secret_text": [text or {"$secret": name}, ...]}

A user's own map that could be taken for one of them (a single key that starts with `$`) is wrapped as
{"$map": {...}}. What `encode` makes, `decode` restores exactly, except that tuples come back as lists and every
timestamp in UTC.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import NoneType
from typing import Any, Final

import orjson

from runbookd.errors import EvaluationError

MAX_DEPTH = 64
"""How deep maps and lists may nest. Kubernetes objects stay under 20; deeper text is a mistake or an attack."""

_CANONICAL = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)
_LEAST, _MOST = -(2**63), 2**63 - 1  # a JSON reader may round whole numbers beyond
_EXACT = timedelta(microseconds=2**53)
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class SecretRef:
    """The name of a secret, standing for its value until the action is performed."""

    name: str


@dataclass(frozen=True, slots=True)
class SecretText:
    """A text with secrets inside; the parts are joined, secrets resolved, only when the action is performed."""

    parts: tuple[str | SecretRef, ...]


_AS_IT_IS: Final = frozenset({str, bool, NoneType})
"""Exact types that stay what they are; most of what is encoded is one of them."""


def encode(value: object) -> Any:
    """Turn a value into a tree of JSON types.

    Takes None, bool, int, float, str, list, tuple, mappings with text keys, timedelta, aware datetime, SecretRef
    and SecretText; raises EvaluationError for anything else, and for nesting deeper than MAX_DEPTH.
    """
    return _encode(value, MAX_DEPTH)


def decode(tree: object) -> Any:
    """Restore what `encode` made; raises EvaluationError for a tag it never writes."""
    if isinstance(tree, list):
        return [decode(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    tag = next(iter(tree)) if len(tree) == 1 else ""
    if not tag.startswith("$"):
        return {key: item if type(item) in _AS_IT_IS else decode(item) for key, item in tree.items()}
    restore = _RESTORE.get(tag)
    if restore is None:
        raise EvaluationError(
            f"A stored value has the unknown tag '{tag}'; the record was not written by runbookd."
        )
    return restore(tree[tag])


def canonical_json(value: object) -> str:
    """Write a tree of JSON types in its one canonical form: keys sorted, no spaces, no escapes but the needed ones.

    Equal trees give equal text, which is what the ledger hashes. The text can always be encoded as UTF-8: half a
    surrogate pair, which JSON input may smuggle in, stays escaped. Raises EvaluationError for NaN, infinities and
    types JSON does not know; `encode` first makes any value fit.
    """
    try:
        quick = orjson.dumps(value, option=_CANONICAL)
    except orjson.JSONEncodeError:
        quick = b"null"
    if (
        b"null" not in quick
    ):  # the quick writer makes null of NaN, and leaves what it cannot do to the slow one
        return quick.decode()
    try:
        text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise EvaluationError(f"A value cannot be written as JSON: {error}.") from None
    return text if text.isascii() else _SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", text)


def utc_text(moment: datetime) -> str:
    """Write a moment as RFC 3339 in UTC with the letter Z; raises EvaluationError when it has no timezone."""
    if moment.tzinfo is None:
        raise EvaluationError(f"The timestamp {moment.isoformat()} has no timezone; give it one.")
    try:
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    except OverflowError:
        raise EvaluationError(f"The timestamp {moment.isoformat()} does not exist in UTC.") from None


def _encode(value: object, depth: int) -> Any:
    if type(value) in _AS_IT_IS:
        return value
    if isinstance(value, str | int | float):
        return _encode_scalar(value)
    if depth == 0:
        raise EvaluationError(f"A value nests deeper than {MAX_DEPTH} levels; it is not kept.")
    if isinstance(value, dict | Mapping):
        return _encode_map(value, depth)
    if isinstance(value, list | tuple):
        return [_encode(item, depth - 1) for item in value]
    return _encode_special(value, depth)


def _encode_special(value: object, depth: int) -> Any:
    if isinstance(value, timedelta):
        return {"$duration": _seconds(value)}
    if isinstance(value, datetime):
        return {"$timestamp": utc_text(value)}
    if isinstance(value, SecretRef):
        return {"$secret": value.name}
    if isinstance(value, SecretText):
        return {"$secret_text": [_encode(part, depth) for part in value.parts]}
    raise EvaluationError(
        f"A value of type {type(value).__name__} cannot be kept; use text, numbers, lists and maps."
    )


def _encode_scalar(value: str | float) -> Any:
    """Reduce subclasses (enums, say) to the plain type, and give the three odd floats their tag."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value) if _LEAST <= value <= _MOST else {"$number": str(int(value))}
    if math.isfinite(value):
        return float(value)
    name = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return {"$number": name}


def _encode_map(value: Mapping[Any, object], depth: int) -> dict[str, Any]:
    encoded: dict[str, Any] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise EvaluationError(f"A map has the key {key!r}; keys must be text.")
        encoded[str(key)] = item if type(item) in _AS_IT_IS else _encode(item, depth - 1)
    if len(encoded) == 1 and next(iter(encoded)).startswith("$"):
        return {"$map": encoded}
    return encoded


def _seconds(duration: timedelta) -> float:
    """Give the seconds as a whole number where possible; a float is exact up to 285 years of microseconds."""
    if duration.microseconds == 0:
        return duration // timedelta(seconds=1)
    if abs(duration) > _EXACT:
        raise EvaluationError(f"The duration {duration} is too long to be kept to the microsecond.")
    return duration.total_seconds()


_RESTORE: dict[str, Callable[[Any], object]] = {
    "$duration": lambda seconds: timedelta(seconds=seconds),
    "$timestamp": datetime.fromisoformat,
    "$number": lambda text: float(text) if text.isalpha() or text[1:].isalpha() else int(text),
    "$secret": SecretRef,
    "$secret_text": lambda parts: SecretText(tuple(decode(part) for part in parts)),
    "$map": lambda tree: {key: decode(item) for key, item in tree.items()},
}
