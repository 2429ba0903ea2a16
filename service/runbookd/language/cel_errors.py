"""What the CEL engine says, in words an operator can act on. Pure text in, runbookd's own errors out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from runbookd.errors import EvaluationError, LanguageError, MissingValue
from runbookd.language.fuzzy import did_you_mean
from runbookd.language.tokens import place, tokenize

_ISSUE = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): ([^\n]*)")
_UNDECLARED = re.compile(r"undeclared reference to '([^']*)'")
_OVERLOAD = re.compile(
    r"(?:found no matching overload for '|No matching overloads found : )([^'( ]+)[^(]*([^']*)"
)
_MISSING_KEY = re.compile(r'Key not found in map : "?(.*?)"?$', re.DOTALL)
_UNSET_NAME = re.compile(r'No value with name "(\w+)"')
_STATUS = re.compile(r"^[A-Z_]+: | \[[A-Z_]+\]$")
_RECURSION = re.compile(r"recursion (?:limit exceeded|depth of \d)")
_TOO_DEEP = (
    "it nests deeper than 32 levels, or chains more than 32 operators; move a part into vars or outputs"
)
_FUNCTIONS = re.findall(
    r"\w+",
    "has size startsWith endsWith contains matches duration timestamp int uint double string bool dyn type all exists "
    "exists_one map filter split join replace lowerAscii upperAscii trim substring indexOf lastIndexOf charAt format "
    "reverse orValue optMap optFlatMap hasValue value getFullYear getMonth getDate getDayOfMonth getDayOfWeek "
    "getDayOfYear getHours getMinutes getSeconds getMilliseconds",
)

_TYPE_NAMES = {"int64": "int", "uint64": "uint", "null_type": "null"}


def language_error(text: str, said: str, names: Iterable[str]) -> LanguageError:
    """Explain why the engine refused to compile `text`; `names` are the ones an expression may use."""
    issue = _ISSUE.search(said)
    first = said.partition("\n")[0]
    too_deep = _RECURSION.search(first) is not None
    if issue is None or too_deep:
        reason = _TOO_DEEP if too_deep else _status_free(first)
        return LanguageError(f"Cannot read the expression {quote(text)}: {reason}.", line=1, column=1)
    line, column, reason = int(issue[1]), int(issue[2]), issue[3]
    undeclared = _UNDECLARED.search(reason)
    if undeclared is not None:
        line, column, reason = _undeclared(text, undeclared[1].split(".")[0], (line, column), names)
    else:
        reason = _plain_issue(reason)
    return LanguageError(f"Cannot read the expression {quote(text)}: {reason}", line=line, column=column)


def evaluation_error(
    text: str,
    said: str,
    reads: Iterable[tuple[str, ...]],
    values: Mapping[str, object],
    refused: Mapping[str, str],
) -> EvaluationError:
    """Explain why the engine could not compute `text`.

    `reads` are the paths the expression reads and `values` what it read them from: with them, a missing key is
    reported by its whole path, and as MissingValue. `refused` says why a name has no value although one was given.
    """
    key = _MISSING_KEY.search(said)
    gaps = sorted(filter(None, (_gap(path, values) for path in reads)))
    if key is not None:
        named = next((path for path, null in gaps if not null and path[-1] == key[1]), None)
        return _missing(text, named or (key[1],))
    if "Applying SELECT" in said:
        null = next((path for path, null in gaps if null), None)
        if null is not None:
            return MissingValue(
                f"{'.'.join(null)} is null, so the expression {quote(text)} has nothing to read there."
            )
        return EvaluationError(f"The expression {quote(text)} reads a field of a value that has no fields.")
    unset = _UNSET_NAME.search(said)
    if unset is not None and unset[1] in refused:
        return EvaluationError(f"'{unset[1]}' cannot be used in {quote(text)}: {refused[unset[1]]}")
    if unset is not None:
        return MissingValue(f"'{unset[1]}' has no value where the expression {quote(text)} is used.")
    if "Index error" in said:
        return MissingValue(
            f"The expression {quote(text)} reads past the end of a list: {_status_free(said)}."
        )
    return EvaluationError(f"The expression {quote(text)} cannot be computed: {_plain_failure(said)}.")


def quote(text: str) -> str:
    """Show an expression in a message: on one line, and not endless."""
    line = " ".join(text.split())
    return f"`{line if len(line) <= 200 else line[:199] + '…'}`"  # noqa: PLR2004  # what fits a log line


def _undeclared(text: str, root: str, seen: tuple[int, int], names: Iterable[str]) -> tuple[int, int, str]:
    """Name the unknown word at its own place; the engine points at the dot or bracket behind it."""
    spots = [
        (place(text, token.start), text[token.end :].lstrip().startswith("("))
        for token in tokenize(text)
        if token.text == root and place(text, token.start) <= seen
    ]
    (line, column), called = spots[-1] if spots else (seen, False)
    if root == "secret":
        reason = "a secret is not part of an expression; write ${secret.NAME} on its own."
    elif called:
        reason = f"there is no function '{root}' for this.{did_you_mean(root, _FUNCTIONS)}"
    else:
        known = ", ".join(sorted(names))
        reason = f"there is no name '{root}'.{did_you_mean(root, names)} The names are {known}."
    return line, column, reason


def _plain_issue(reason: str) -> str:
    overload = _OVERLOAD.search(reason)
    if overload is not None:
        return _overload(overload) + "."
    if "token recognition error at: '= " in reason or reason.endswith("at: '='"):
        return "'=' compares nothing; write '=='."
    if "<EOF>" in reason and "extraneous" not in reason:
        return "it ends too early."
    return reason.removeprefix("Syntax error: ").partition(" expecting ")[0] + "."


def _plain_failure(said: str) -> str:
    overload = _OVERLOAD.search(said)
    if overload is not None:
        return _overload(overload)
    if "Iteration budget exceeded" in said:
        return "it takes more than 10,000 loop steps; loop over less"
    return _status_free(said)


def _overload(match: re.Match[str]) -> str:
    """Turn `_>_` and `(string, int64)` into a sentence."""
    if match[1] == "<jump_condition>":
        return "the condition before '?' is neither true nor false"
    operator = match[1].strip("_@")
    types = re.sub(r"\w+", lambda word: _TYPE_NAMES.get(word[0], word[0]), match[2])
    return f"'{operator}' does not work on {types}" if types else f"'{operator}' does not work on these types"


def _missing(text: str, path: tuple[str, ...]) -> MissingValue:
    where = ".".join(path)
    return MissingValue(
        f"{where} is missing, and the expression {quote(text)} needs it; test has({where}) first, or give a default."
    )


def _gap(path: tuple[str, ...], values: Mapping[str, object]) -> tuple[tuple[str, ...], bool] | None:
    """Follow a path until it cannot go on: the path so far, and whether null (True) or nothing (False) is there."""
    here: object = values
    for depth, name in enumerate(path):
        if here is None:
            return path[:depth], True
        if not isinstance(here, Mapping):
            return None
        if name not in here:
            return path[: depth + 1], False
        here = here[name]
    return None


def _status_free(said: str) -> str:
    return _STATUS.sub("", said)
