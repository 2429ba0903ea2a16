"""What the exit code of every command means. Scripts may rely on these."""

from __future__ import annotations

from typing import Final

OK: Final = 0
"""Done, and all is well."""

BAD: Final = 1
"""The thing asked about is bad: `check` found problems, a run did not end well, the ledger is broken."""

USAGE: Final = 2
"""The command line, the settings, or the rules and playbooks are wrong; nothing was done."""

NOT_FOUND: Final = 3
"""There is nothing by that name or id."""

UNAVAILABLE: Final = 4
"""The database or a file could not be used; the same command may succeed later."""

INTERRUPTED: Final = 130
"""Ended by Ctrl-C (128 + SIGINT, as shells say it)."""

BROKEN_PIPE: Final = 141
"""Whoever read the output stopped reading (128 + SIGPIPE)."""
