"""Every module says what it is, and every test says what it promises."""

from __future__ import annotations

import ast

from tests.architecture.tree import ROOT, functions, listing, modules, parsed, place


def test_every_module_says_what_it_is() -> None:
    """Every module of the service, the tests and the tools has a docstring."""
    offences = [place(path, 1) for path in modules(ROOT) if not ast.get_docstring(parsed(path))]
    assert not offences, listing(offences)


def test_every_test_says_its_promise() -> None:
    """Every test has a docstring that is a sentence."""
    offences = []
    for path in modules(ROOT / "tests"):
        for function in functions(path):
            promise = (ast.get_docstring(function) or "").rstrip()
            if function.name.startswith("test_") and not promise.endswith("."):
                offences.append(f"{place(path, function.lineno)}: {function.name}")
    assert not offences, listing(offences)
