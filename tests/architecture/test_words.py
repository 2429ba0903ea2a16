"""The nine words of the path of one event are the same wherever they stand."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

import runbookd.pipeline
from runbookd.model.audit import Stage
from tests.architecture.tree import PACKAGE, ROOT, listing, modules, parsed, place

WORDS = ("receive", "normalize", "admit", "match", "plan", "execute", "verify", "escalate", "audit")
LOGGING = frozenset({"debug", "info", "warning", "error", "critical", "exception"})
FENCE = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call in the package, with its place."""
    for path in modules(PACKAGE):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call):
                yield place(path, node.lineno), node


def stage_of(call: ast.Call) -> ast.expr | None:
    """The `stage=` of a call; None when it has none."""
    return next((each.value for each in call.keywords if each.arg == "stage"), None)


def is_log(call: ast.Call) -> bool:
    """Whether a call writes to the log: a method named as a level, of a name of ours for loggers."""
    function = call.func
    if not isinstance(function, ast.Attribute) or function.attr not in LOGGING:
        return False
    return isinstance(function.value, ast.Name) and function.value.id in {"log", "said"}


def test_the_stages_are_the_words() -> None:
    """`Stage`, which is the kind of each ledger entry, is the nine words in their order."""
    assert tuple(stage.value for stage in Stage) == WORDS


def test_each_word_is_a_stage_file() -> None:
    """Each of the nine words is a file in stages/."""
    missing = [word for word in WORDS if not (PACKAGE / "stages" / f"{word}.py").is_file()]
    assert not missing, f"no file in stages/ for: {', '.join(missing)}"


def test_the_log_says_the_stage_in_these_words() -> None:
    """Every `stage=` that is written out, in the log or elsewhere, is one of the nine words."""
    offences = [
        f"{where}: stage={ast.unparse(stage)}"
        for where, call in calls()
        if isinstance(stage := stage_of(call), ast.Constant) and stage.value not in WORDS
    ]
    assert not offences, listing(offences)


def test_every_line_of_the_log_says_its_stage() -> None:
    """Every call that writes to the log names the stage it is about."""
    offences = [where for where, call in calls() if is_log(call) and stage_of(call) is None]
    assert not offences, listing(offences)


def test_every_ledger_entry_says_its_stage() -> None:
    """Every entry made for the ledger names its stage, and by `Stage`, not by a text."""
    entries = [(where, call) for where, call in calls() if ast.unparse(call.func) == "Entry"]
    assert entries
    offences = [
        where
        for where, call in entries
        if (stage := stage_of(call)) is None or isinstance(stage, ast.Constant)
    ]
    assert not offences, listing(offences)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(runbookd.pipeline.__doc__, id="pipeline.py"),
        pytest.param(
            "\n".join(
                FENCE.findall((ROOT / "docs/explanation/architecture.md").read_text(encoding="utf-8"))[:1]
            ),
            id="architecture.md",
        ),
    ],
)
def test_the_path_is_told_in_these_words(text: str) -> None:
    """Where the path of an event is told, the nine words stand in their order, each before what it means."""
    told = re.findall(rf"\b({'|'.join(WORDS)})\b(?=  )", text)
    assert tuple(dict.fromkeys(told)) == WORDS
