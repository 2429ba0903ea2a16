"""The marks by which people say that a release is good, or bad: annotations of its ReplicaSet that hold its name.

They hold the name because annotations spread: `kubectl rollout undo` copies those of the ReplicaSet it returns to onto
the Deployment, and the controller copies the Deployment's onto every ReplicaSet that is the newest from then on,
whether its pods ever ran or not. A mark that names another ReplicaSet is such a copy, one that names none may be, and
neither counts.
https://kubernetes.io/docs/reference/kubectl/generated/kubectl_rollout/kubectl_rollout_undo/
"""

from __future__ import annotations

from runbookd.actions.kubernetes.kinds import Json

GOOD, BAD = "runbookd.io/good", "runbookd.io/bad"
_WORDS = {GOOD: "good", BAD: "bad"}
_NO_NAMES = frozenset({"true", "false", ""})


def by_mark(replica_set: Json, mark: str) -> tuple[bool, str] | None:
    """Whether it is good, and how that is known, if it carries this mark with its own name; else None."""
    if _notes(replica_set).get(mark) != replica_set["metadata"]["name"]:
        return None
    return mark == GOOD, f"marked {_WORDS[mark]} ({mark})"


def without_name(replica_set: Json) -> str:
    """A remark on its marks that hold no name, so that whoever wrote them learns why they do nothing; "" for none."""
    notes = _notes(replica_set)
    return "".join(
        f"; marked {word}, but with {notes[mark]!r} instead of its own name"
        for mark, word in _WORDS.items()
        if notes.get(mark) in _NO_NAMES
    )


def _notes(replica_set: Json) -> dict[str, str]:
    return replica_set["metadata"].get("annotations") or {}
