"""Modules and functions stay small enough to be read in one sitting."""

from __future__ import annotations

import ast

from tests.architecture.tree import functions, listing, modules, place

MODULE_LINES = 400
FUNCTION_LINES = 60
PARAMETERS = 6


def parameters(arguments: ast.arguments) -> int:
    """How many parameters a caller sees: `self` and `cls` are not counted, `*args` and `**kwargs` are one each."""
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    own = [name for name in named if name.arg not in {"self", "cls"}]
    return len(own) + (arguments.vararg is not None) + (arguments.kwarg is not None)


def test_no_module_is_longer_than_400_lines() -> None:
    """A module has at most 400 lines."""
    sizes = [(path, len(path.read_text(encoding="utf-8").splitlines())) for path in modules()]
    offences = [
        f"{place(path, 1)}: {lines} lines, at most {MODULE_LINES}; split it by subject"
        for path, lines in sizes
        if lines > MODULE_LINES
    ]
    assert not offences, listing(offences)


def test_no_function_is_longer_than_60_lines() -> None:
    """A function has at most 60 lines, its docstring included."""
    offences = []
    for path in modules():
        for function in functions(path):
            lines = (function.end_lineno or function.lineno) - function.lineno + 1
            if lines > FUNCTION_LINES:
                offences.append(
                    f"{place(path, function.lineno)}: {function.name} has {lines} lines, at most {FUNCTION_LINES}"
                )
    assert not offences, listing(offences)


def test_no_function_has_more_than_6_parameters() -> None:
    """A function has at most 6 parameters."""
    offences = []
    for path in modules():
        for function in functions(path):
            count = parameters(function.args)
            if count > PARAMETERS:
                offences.append(
                    f"{place(path, function.lineno)}: {function.name} has {count} parameters, at most {PARAMETERS}"
                )
    assert not offences, listing(offences)
