"""Which cluster a call means: each has exactly one spelling, so that a name tells one thing from another.

What is held, locked and protected is told apart by its text, and the cluster's name is part of it. If a cluster could
be meant with its name and without, whoever chose the other spelling would pass by a hold.
"""

from __future__ import annotations

from collections.abc import Collection

from runbookd.language.fuzzy import did_you_mean

UNNAMED = "(unnamed)"
"""How messages call the one cluster there is when the settings name none."""


def fault_of_name(names: Collection[str], name: str | None) -> str | None:
    """What is wrong with a call's `cluster` where the settings have these names; None when nothing is.

    A name is for a cluster that the settings name, null for the one there is when they name none.
    """
    listed = ", ".join(sorted(names))
    if name is None:
        if not names:
            return None
        one = min(names)
        return f"the settings name clusters: {listed}; say which: `cluster: {one}`, or vars.cluster"
    if name in names:
        return None
    if not names:
        return f"the settings name no cluster, so none is called {name!r}: leave `cluster` out, and vars.cluster null"
    there = "there is no {!r} in `actions.kubernetes.clusters` of the settings, only: {}"
    return f"{there.format(name, listed)}.{did_you_mean(name, names)}"
