"""The shipped rules as the demonstration uses them: with its own names, and without what is not installed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import orjson

from runbookd.content.yaml import parse
from runbookd.settings import shipped

SLACK: Final = "slack"
_PACKAGES: Final = {SLACK: "slack_sdk", "pagerduty": "pagerduty"}
"""What each extra for a way to people installs."""
_SECTIONS: Final = ("priorities", "roles", "escalations")
"""What says who is told."""
_PAGER_SECRET: Final = re.compile(r"\$\{secret\.(pagerduty_\w+)\}")


def not_installed() -> frozenset[str]:
    """Name the ways to people whose extra is not installed."""
    return frozenset(way for way, package in _PACKAGES.items() if find_spec(package) is None)


def pager_secrets(folder: Path) -> set[str]:
    """Name the secrets that these rules want for PagerDuty."""
    return {name for path in folder.glob("*.yaml") for name in _PAGER_SECRET.findall(path.read_text("utf-8"))}


def copy_rules(folder: Path, variables: Mapping[str, str], left_out: AbstractSet[str]) -> None:
    """Copy the shipped rules into a new folder, with these `vars` where they set them.

    Nobody is told by the ways `left_out`: a message that fails would only tell what was not installed. A file in which
    nothing changes is copied as it is, comments and all.
    """
    shutil.copytree(shipped("rules"), folder)
    for path in folder.glob("*.yaml"):
        found: Any = parse(path.name, path.read_bytes()).data
        wanted = without(with_vars(found, variables), left_out)
        if wanted != found:
            text = orjson.dumps(wanted, option=orjson.OPT_INDENT_2).decode()  # JSON is YAML
            origin = shipped("rules") / path.name
            path.write_text(f"# {origin}, changed for this demonstration.\n{text}\n", encoding="utf-8")


def with_vars(rules: Mapping[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
    """Return the content of a file of rules, with other values for the `vars` it has."""
    changed = {name: variables.get(name, value) for name, value in rules.get("vars", {}).items()}
    return {**rules, **({"vars": changed} if changed else {})}


def without(rules: Mapping[str, Any], left_out: AbstractSet[str]) -> dict[str, Any]:
    """Return the content of a file of rules, with nobody told by these ways."""
    names = left_out | ({"channel"} if SLACK in left_out else set())
    return {name: _without(part, names) if name in _SECTIONS else part for name, part in rules.items()}


def _without(part: Any, names: AbstractSet[str]) -> Any:
    if isinstance(part, dict):
        return {name: _without(value, names) for name, value in part.items() if name not in names}
    if isinstance(part, list):
        return [_without(each, names) for each in part if not _leads_only_to(each, names)]
    return part


def _leads_only_to(each: Any, names: AbstractSet[str]) -> bool:
    """Whether it is one of these ways: a place there (`slack:#x`), or a level of an escalation that tells no other."""
    if isinstance(each, dict):
        notify = each.get("notify", [])
        return "page" not in each and bool(notify) and all(_leads_only_to(one, names) for one in notify)
    return isinstance(each, str) and each.partition(":")[0] in names
