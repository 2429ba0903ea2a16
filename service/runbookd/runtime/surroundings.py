"""What this process finds around it besides its settings."""

from __future__ import annotations

import os


def kubeconfig() -> str:
    """Return what `$KUBECONFIG` holds; "" for nothing."""
    return os.environ.get("KUBECONFIG", "")
