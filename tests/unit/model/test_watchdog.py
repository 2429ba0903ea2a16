"""Which watchdogs the settings take."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from runbookd.errors import SettingsError
from runbookd.settings import load_settings


def settings(folder: Path, text: str) -> Path:
    """A file of settings."""
    path = folder / "runbookd.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_watchdog_has_defaults(tmp_path: Path) -> None:
    """A table without a word is kube-prometheus' Watchdog every five minutes, of high priority."""
    (dog,) = load_settings(settings(tmp_path, "[[watchdogs]]\n")).watchdogs
    assert (dog.name, dog.every, dog.priority) == ("alertmanager/Watchdog", timedelta(minutes=5), "P1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[watchdogs]]\n[[watchdogs]]\n", "named twice"),
        ('[[watchdogs]]\nsource = "nobody"\n', r"watchdogs\.0\.source"),
        ('[[watchdogs]]\nalert = ""\n', r"watchdogs\.0\.alert"),
        ('[[watchdogs]]\nevery = "soon"\n', r"watchdogs\.0\.every"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, text: str, said: str) -> None:
    """One alert named twice, a source that tells no alerts, and values that are none are refused by name."""
    with pytest.raises(SettingsError, match=said):
        load_settings(settings(tmp_path, text))
