"""People are called by their names, not by the doors they come in by."""

from __future__ import annotations

import pytest

from runbookd.language.names import handle, person


@pytest.mark.parametrize(
    ("actor", "name"),
    [
        ("cli:root", "root (command line)"),
        ("api:console", "console"),
        ("pagerduty:anna", "anna"),
        ("slack:Anna B: on call", "Anna B: on call"),
        ("runbookd", "runbookd"),
        ("other:anna", "other:anna"),
        ("slack:", "slack:"),
        ("", ""),
        (None, ""),
    ],
)
def test_a_name_is_a_person_s(actor: str | None, name: str) -> None:
    """The door stays only where it says whose name for them it is; what is no door's name is left as it is."""
    assert person(actor) == name


@pytest.mark.parametrize(
    ("actor", "name"), [("cli:root", "root"), ("slack:anna", "anna"), ("Anna: B", "Anna: B"), (None, "")]
)
def test_a_handle_is_what_one_is_called(actor: str | None, name: str) -> None:
    """Nothing in brackets stands after an `@`."""
    assert handle(actor) == name
