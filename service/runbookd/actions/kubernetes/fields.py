"""What objects of every kind say of themselves: annotations, conditions, owners, selectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runbookd.actions.kubernetes.kinds import Json


def controller_of(thing: Json) -> str | None:
    """The uid of the object that controls it; None when nothing does."""
    owners = thing["metadata"].get("ownerReferences") or []
    return next((owner["uid"] for owner in owners if owner.get("controller")), None)


def annotations_of(thing: Json) -> Mapping[str, str]:
    """Its annotations; empty when it has none."""
    return thing["metadata"].get("annotations") or {}


def condition(thing: Json, name: str) -> Json | None:
    """The condition of this type in its status; None when there is none."""
    conditions = (thing.get("status") or {}).get("conditions") or []
    return next((one for one in conditions if one.get("type") == name), None)


def selector_text(selector: Mapping[str, Any]) -> str:
    """A label selector object as the query parameter takes it.

    https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
    """
    parts = [f"{name}={text}" for name, text in (selector.get("matchLabels") or {}).items()]
    for one in selector.get("matchExpressions") or []:
        name, operator, values = one["key"], one["operator"], ",".join(one.get("values") or [])
        words = {
            "In": f"{name} in ({values})",
            "NotIn": f"{name} notin ({values})",
            "Exists": name,
            "DoesNotExist": f"!{name}",
        }
        parts.append(words[operator])
    return ",".join(parts)
