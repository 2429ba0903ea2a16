r"""Values crossing the border between Python and the CEL engine, in both directions.

The engine's Python binding has edges that must never be reached; each is met here and nowhere else:

- Durations and timestamps nested in maps are refused unless the object looks like a protobuf message, that is,
  has `DESCRIPTOR.full_name`. Two small subclasses carry that mark.
- A text ends for the engine at its first NUL character, and half a surrogate pair breaks the evaluation. Both are
  replaced by U+FFFD, so that no sender can make `"critical\0..."` equal `"critical"`.
- One unsuitable value makes every expression that reads the same top-level name fail, so all are checked first.
- `plain_value()` of null drops a reference to None too many, which in the end aborts a Python 3.11 process; it is
  never called on null, nor on a list or map that may hold one.
- A secret must pass through expressions unseen and unforged. It travels as bytes, which no expression can make:
  `language/cel.py` refuses both byte literals and the `bytes()` conversion.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from runbookd.errors import EvaluationError
from runbookd.language.values import MAX_DEPTH, SecretRef, SecretText, decode, encode

_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1
_LONGEST = timedelta(days=3_652_500)  # 10,000 years of 365.25 days: the longest duration CEL has


class _Duration(timedelta):
    """A timedelta the engine takes for a google.protobuf.Duration."""

    DESCRIPTOR = SimpleNamespace(full_name="google.protobuf.Duration")


class _Timestamp(datetime):
    """A datetime the engine takes for a google.protobuf.Timestamp."""

    DESCRIPTOR = SimpleNamespace(full_name="google.protobuf.Timestamp")


def to_cel(value: object, depth: int = MAX_DEPTH) -> Any:
    """Make a value the engine takes as it is.

    Takes what `values.encode` takes. Raises EvaluationError for other types, integers beyond 64 bits, nesting deeper
    than MAX_DEPTH, timestamps without a timezone and durations beyond 10,000 years.
    """
    if isinstance(value, str):
        return _clean(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if not _INT_MIN <= value <= _INT_MAX:
            raise EvaluationError(f"The integer {value:.3e} is beyond 64 bits; pass it as text.")
        return int(value)
    if isinstance(value, float):
        return float(value)
    if depth == 0:
        raise EvaluationError(f"A value nests deeper than {MAX_DEPTH} levels.")
    if isinstance(value, Mapping):
        return {_key(key): to_cel(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_cel(item, depth - 1) for item in value]
    return _special_to_cel(value)


def from_cel(value: Any) -> Any:
    """Give the Python value of an engine value (`cel.Value`), whatever it nests.

    Raises EvaluationError for what is no value of the language: optionals, types, messages, maps with keys that are
    not text, numbers that are not finite. The caller has dealt with errors of the evaluation itself.
    """
    kind: str = value.type().name()
    if kind == "NULL":
        return None
    if kind in _PLAIN:
        return value.plain_value()
    if kind == "DOUBLE":
        return _finite(value.plain_value())
    if kind.startswith("LIST"):
        return [from_cel(item) for item in value.value()]
    if kind.startswith("MAP"):
        items = {_key(key): from_cel(item) for key, item in value.value().items()}
        return dict(sorted(items.items()))  # the engine's order differs from process to process
    if kind == "BYTES":
        return _secret(value.plain_value())
    raise EvaluationError(_NOT_A_VALUE.get(kind, f"The result is of type {kind}, which is no value here."))


_PLAIN = frozenset({"BOOL", "INT", "UINT", "STRING", "DURATION", "TIMESTAMP"})
_NOT_A_VALUE = {
    "ERROR": "The result is an optional or holds an error; end an optional with .orValue(default) or .value().",
    "TYPE": "The result is a type; compare it, as in type(x) == int.",
}


def _secret(carried: bytearray) -> SecretRef | SecretText:
    """Unpack a secret; two joined with `+`, or an empty protobuf BytesValue, are not one."""
    try:
        secret = decode(json.loads(bytes(carried)))
    except ValueError:
        raise EvaluationError(
            "A secret can be passed on, not computed with; join texts in the template."
        ) from None
    return secret  # type: ignore[no-any-return]  # only to_cel makes bytes


def _special_to_cel(value: object) -> Any:
    if isinstance(value, timedelta):
        if abs(value) > _LONGEST:
            raise EvaluationError(f"The duration {value} is longer than 10,000 years.")
        return _Duration(days=value.days, seconds=value.seconds, microseconds=value.microseconds)
    if isinstance(value, datetime):
        return _timestamp(value)
    if isinstance(value, SecretRef | SecretText):
        return bytearray(json.dumps(encode(value)).encode())
    raise EvaluationError(f"A value of type {type(value).__name__} cannot be used in an expression.")


def _timestamp(moment: datetime) -> _Timestamp:
    if moment.tzinfo is None:
        raise EvaluationError(f"The timestamp {moment.isoformat()} has no timezone; give it one.")
    try:
        utc = moment.astimezone(UTC)
    except OverflowError:
        raise EvaluationError(f"The timestamp {moment.isoformat()} does not exist in UTC.") from None
    return _Timestamp.combine(utc.date(), utc.timetz())


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise EvaluationError(f"A map has the key {key!r}; keys must be text.")
    return _clean(key)


def _clean(text: str) -> str:
    """Replace NUL and lone surrogates by U+FFFD, and reduce a subclass (an enum, say) to plain text."""
    if text.isascii() and "\0" not in text:
        return text if type(text) is str else str(text)
    return str(text).replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise EvaluationError("The result is not a finite number; was something divided by zero?")
    return number
