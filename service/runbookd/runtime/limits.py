"""What the operating system allows this process, and what this process asks it to hold for it alone."""

from __future__ import annotations

import fcntl
import resource
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runbookd.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def raise_open_files() -> None:
    """Allow as many open files as the system's hard limit: a storm of webhooks is thousands of connections at once."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextmanager
def only_server_of(database: Path) -> Iterator[None]:
    """Be the only process that serves this SQLite file; the system lets go of it when the process ends, however.

    Two would do no harm twice (claims are fenced), but one could not tell the other's claims from those of a
    process that died. The commands that look or run a playbook by hand may use the file at the same time. Raises
    SettingsError when another process serves it.
    """
    with database.with_name(f"{database.name}.serving").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            message = f"another runbookd serves {database}; stop it first, or give this one another database"
            raise SettingsError(message) from None
        yield
