"""One SQLite file has one serving process."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from runbookd.errors import SettingsError
from runbookd.runtime.limits import only_server_of


def test_a_second_server_is_refused(tmp_path: Path) -> None:
    """The second says which file, and what to do; afterwards the file is free again."""
    database = tmp_path / "a.db"
    with (
        only_server_of(database),
        pytest.raises(SettingsError, match=r"another runbookd serves .*a\.db; stop it first"),
        only_server_of(database),
    ):
        pass
    with only_server_of(database):
        pass


def _hold_and_die(database: Path) -> None:
    with only_server_of(database):
        multiprocessing.current_process().kill()


def test_a_dead_server_holds_nothing(tmp_path: Path) -> None:
    """A process that was killed does not keep the file."""
    database = tmp_path / "a.db"
    process = multiprocessing.get_context("spawn").Process(target=_hold_and_die, args=(database,))
    process.start()
    process.join()
    with only_server_of(database):
        pass
