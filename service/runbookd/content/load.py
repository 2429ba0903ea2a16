"""Load: folders of files into one checked library, or every mistake in them at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runbookd.content.check import check
from runbookd.content.files import find, read, version
from runbookd.content.read import draft
from runbookd.content.tests_of import run_tests
from runbookd.errors import ContentError, Problem
from runbookd.model.library import Library
from runbookd.ports import Catalogue

Folders = Path | Sequence[Path]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What checking found. `library` is None when there is any problem; a failed embedded test is one.

    `tests_run` is 0 when other problems kept the tests from running. Problems and warnings are in file order.
    """

    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    tests_run: int = 0
    tests_failed: int = 0
    library: Library | None = None


def load(rules: Folders, playbooks: Folders, catalogue: Catalogue) -> Library:
    """Read and check everything, embedded tests included, and return it.

    Each argument is a folder or several; rules are tried in the order of the folders, then of the file names.
    Raises ContentError with every problem, in file order.
    """
    report = examine(rules, playbooks, catalogue)
    if report.library is None:
        raise ContentError(report.problems)
    return report.library


def examine(rules: Folders, playbooks: Folders, catalogue: Catalogue) -> Report:
    """Read and check everything as `load` does, and report instead of raising; this is `runbookd check`."""
    try:
        bodies, unread = read(find([*_several(rules), *_several(playbooks)]))
    except ContentError as error:
        return Report(problems=error.problems, warnings=())
    made = draft(bodies)
    made.problems.extend(unread)
    problems, warnings = check(made, catalogue)
    order = {name: number for number, (name, _) in enumerate(bodies)}
    if problems:
        return Report(problems=_sorted(problems, order), warnings=_sorted(warnings, order))
    library = replace(made.library(version(bodies)), texts={name: body.decode() for name, body in bodies})
    ran, failed = run_tests(made, library, catalogue)
    return Report(
        problems=_sorted(failed, order),
        warnings=_sorted(warnings, order),
        tests_run=ran,
        tests_failed=len(failed),
        library=None if failed else library,
    )


def salvage(rules: Folders, playbooks: Folders, catalogue: Catalogue) -> tuple[Library, tuple[Problem, ...]]:
    """Return what stands without the files that have a mistake, and the mistakes; embedded tests are not run.

    It is for what a person does about an incident, which must not wait until somebody's edit is mended. A file that
    needs a broken one is left out with it. Raises ContentError when a folder cannot be read.
    """
    bodies, problems = read(find([*_several(rules), *_several(playbooks)]))
    while True:
        made = draft(bodies)
        mistakes, _ = check(made, catalogue)
        broken = {mistake.file for mistake in mistakes}
        sound = [body for body in bodies if body[0] not in broken]
        problems += mistakes
        if len(sound) == len(bodies):
            return made.library(version(bodies)), tuple(problems)
        bodies = sound


def again(texts: Sequence[tuple[str, str]]) -> Library:
    """Return what files hold that a service has checked and taken, given as name and text in reading order.

    They are not checked again: that needs the service's own settings, and was done. Raises ContentError when this
    version cannot read them.
    """
    bodies = [(name, text.encode()) for name, text in texts]
    made = draft(bodies)
    if made.problems:
        raise ContentError(tuple(made.problems))
    return replace(made.library(version(bodies)), texts=dict(texts))


def same(texts: Sequence[tuple[str, str]], rules: Folders, playbooks: Folders) -> bool:
    """Whether the folders hold these files, whatever the folders are called."""
    try:
        bodies, unread = read(find([*_several(rules), *_several(playbooks)]))
    except ContentError:
        return False
    return not unread and [body for _, body in bodies] == [text.encode() for _, text in texts]


def _several(folders: Folders) -> Sequence[Path]:
    return [folders] if isinstance(folders, Path) else folders


def _sorted(problems: Sequence[Problem], order: dict[str, int]) -> tuple[Problem, ...]:
    """Sort by file (in reading order), line and column, and drop what is said twice."""

    def place(problem: Problem) -> tuple[int, str, int, int, str]:
        number = order.get(problem.file, len(order))
        return number, problem.file, problem.line or 0, problem.column or 0, problem.message

    return tuple(sorted(dict.fromkeys(problems), key=place))
