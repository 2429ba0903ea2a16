"""What the operating system allows this process."""

from __future__ import annotations

import resource


def raise_open_files() -> None:
    """Allow as many open files as the system's hard limit: a storm of webhooks is thousands of connections at once."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
