"""Whatever an operator writes or reads has a sentence that says what it means."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from runbookd.settings import Settings
from tests.architecture.tree import PACKAGE, listing
from tools.docs import language, models, reasons
from tools.docs.models import Place


@pytest.mark.parametrize(
    "places",
    [
        pytest.param(models.places(Place("", Settings)), id="settings"),
        pytest.param(language.places(), id="language"),
    ],
)
def test_every_key_says_what_it_means(places: Sequence[Place]) -> None:
    """Each setting, and each key of rules and playbooks, has a description."""
    missing = [
        f"{each.model.__module__}: {each.path}.{name}"
        for each in places
        for name, info in each.model.model_fields.items()
        if not info.description
    ]
    assert not missing, listing(missing)


def test_every_reason_says_what_it_means() -> None:
    """Each reason has a comment beside it, which is what the reference shows."""
    found = list(reasons.words_of(PACKAGE / "model" / "reasons.py"))
    assert found
    missing = [f"{each.name}: {word}" for each in found for word, meaning in each.words if not meaning]
    assert not missing, listing(missing)
