"""Inputs of a playbook as a person types them: `name=value`, `name=@file`, or a file of JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runbookd.model.playbook import Input

_WORDS = {"true": True, "yes": True, "false": False, "no": False}


def read_inputs(declared: Mapping[str, Input], given: Sequence[str], file: Path | None) -> dict[str, object]:
    """Return the inputs, those of the command line over those of the file. Raises UsageError.

    A value may hold ${secret.NAME} as in a rule's `with`; the content of a file is taken as it is.
    """
    inputs = _from_json(file) if file is not None else {}
    for each in given:
        name, separator, text = each.partition("=")
        if not separator or not name:
            raise click.BadParameter(f"{each!r} is not NAME=VALUE", param_hint="--input")
        inputs[name] = typed(declared.get(name), _value(name, text))
    return inputs


def typed(declared: Input | None, text: str) -> object:
    """Read a text as the type the input declares; one that does not fit stays text, for the playbook to refuse."""
    if declared is None or "${" in text:
        return text
    try:
        match declared.type:
            case "integer":
                return int(text)
            case "number":
                return float(text)
            case "boolean":
                return _WORDS.get(text.lower(), text)
            case "list" | "map":
                return json.loads(text)
    except ValueError:
        return text
    return text


def _value(name: str, text: str) -> str:
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8").replace("${", "$${")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        message = f"the file of {name} cannot be read: {text[1:]}: {reason}"
        raise click.BadParameter(message, param_hint="--input") from None


def _from_json(file: Path) -> dict[str, Any]:
    try:
        inputs = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"{file}: {error}", param_hint="--inputs-json") from None
    if not isinstance(inputs, dict):
        raise click.BadParameter(f"{file}: expected an object of inputs by name", param_hint="--inputs-json")
    return inputs
