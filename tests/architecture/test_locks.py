"""The locks pin what pyproject.toml asks for, by hash, from wherever the reader's machine gets packages."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.tree import ROOT

LOCKS = ("requirements.lock", "requirements-all.lock", "requirements-dev.lock", "requirements-e2e.lock")
NOT_RUN = {"dev", "e2e"}
"""Extras that no running service has."""
PIN = re.compile(
    r"^([A-Za-z0-9._-]+)==(\S+) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE
)


def pins(lock: str) -> dict[str, str]:
    """Version by canonical name."""
    text = (ROOT / lock).read_text(encoding="utf-8")
    return {canonicalize_name(name): version for name, version, _ in PIN.findall(text)}


def project() -> dict[str, Any]:
    """The `[project]` table."""
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


def unmet(requirements: list[str], pinned: dict[str, str]) -> list[str]:
    """Requirements that no pin satisfies."""
    wanted = [Requirement(text) for text in requirements]
    return [
        str(requirement)
        for requirement in wanted
        if (version := pinned.get(canonicalize_name(requirement.name))) is None
        or version not in requirement.specifier
    ]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_is_nothing_but_hashed_pins(lock: str) -> None:
    """A lock holds pins with hashes and comments, and no option such as an index."""
    text = (ROOT / lock).read_text(encoding="utf-8")
    rest = [
        line for line in PIN.sub("", text).splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]
    assert pins(lock)
    assert not rest


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_satisfies_the_project(lock: str) -> None:
    """Each dependency in pyproject.toml is pinned at a version it allows; `make lock` mends it."""
    assert not unmet(project()["dependencies"], pins(lock))


def test_the_dev_lock_satisfies_the_tools() -> None:
    """Each tool of the dev extra is pinned at a version it allows; `make lock` mends it."""
    assert not unmet(project()["optional-dependencies"]["dev"], pins("requirements-dev.lock"))


@pytest.mark.parametrize("extra", sorted(set(project()["optional-dependencies"]) - NOT_RUN))
def test_every_extra_can_be_installed_pinned(extra: str) -> None:
    """The lock of all extras pins each of them at versions it allows, beside what a service without them runs on."""
    assert not unmet(project()["optional-dependencies"][extra], pins("requirements-all.lock"))


def test_the_locks_agree() -> None:
    """What a service runs on, with and without extras, is what the tests run on."""
    plain, with_extras, *tested = (pins(lock) for lock in LOCKS)
    assert plain == {name: with_extras.get(name) for name in plain}
    for lock in tested:
        shared = with_extras.keys() & lock.keys()
        assert plain.keys() <= shared
        assert {name: with_extras[name] for name in shared} == {name: lock[name] for name in shared}
