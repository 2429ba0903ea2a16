"""`runbookd check`: are the rules and playbooks right?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from runbookd.cli import exit_codes
from runbookd.cli.check_settings import (
    faults_of_settings,
    missing_extras,
    unmet_by_settings,
    wanting_here,
)
from runbookd.cli.group import examples
from runbookd.cli.output import print_json
from runbookd.cli.shared import Shared, pass_shared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runbookd.content.load import Report
    from runbookd.errors import Problem


@click.command(epilog=examples("runbookd check rules playbooks", "runbookd check --strict --output github"))
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path), metavar="[PATH]...")
@click.option("--strict", is_flag=True, help="Take warnings for problems.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    show_default=True,
    help="`github` makes annotations of a GitHub workflow.",
)
@pass_shared
def check(shared: Shared, paths: tuple[Path, ...], output: str, *, strict: bool) -> int:
    """Check rules and playbooks and run the tests they carry; every problem is told with its file, line and column.

    PATHs are folders that are checked together as one library, or files, of which each is checked in its place:
    among the configured folders, or else with the folder it lies in. Without a PATH the configured folders are
    checked. Kubeconfigs that the settings name are looked at as well, unless only files are given, and what the
    content means that they do not have: clusters and webhooks. What messages and remedies want and is not here (a mail
    server, a secret, a Prometheus, a kubeconfig) is a warning, if settings are given: the content may be run elsewhere.
    Exits with 1 when there is a problem.
    """
    from runbookd.content.load import examine

    _refuse_others(paths)
    folders = _folders(shared, paths)
    report = examine(folders, [], shared.catalogue())
    files = [path.resolve() for path in paths if path.is_file()]
    problems = [*report.problems, *faults_of_settings(shared)]
    warnings = [*report.warnings]
    if report.library is not None:
        problems += unmet_by_settings(shared, report.library)
        warnings += [*missing_extras(report.library), *wanting_here(shared, report.library)]
    problems, warnings = _within(problems, files, paths), _within(warnings, files, paths)
    bad = bool(problems) or (strict and bool(warnings))
    if output == "json":
        print_json(_shape(report, problems, warnings, ok=not bad))
    elif output == "github":
        for kind, found in (("error", problems), ("warning", warnings)):
            for problem in found:
                click.echo(annotation("error" if strict else kind, problem))
    else:
        for problem in problems:
            click.echo(str(problem))
        for problem in warnings:
            click.echo(f"{'' if strict else 'warning: '}{problem}")
        click.echo(_summary(report, problems, warnings))
    return exit_codes.BAD if bad else exit_codes.OK


def _refuse_others(paths: Sequence[Path]) -> None:
    """Raise BadParameter for a file that cannot be content, as it would be passed over in silence."""
    from runbookd.content.files import SUFFIXES

    for path in paths:
        if path.is_file() and path.suffix not in SUFFIXES:
            raise click.BadParameter(
                f"'{path}' is not a YAML file, so it holds no rules and no playbook; give files that end in "
                f"{' or '.join(sorted(SUFFIXES))}, or folders. What would be done about an event: "
                f"`runbookd explain {path}`",
                param_hint="PATH",
            )


def _folders(shared: Shared, paths: Sequence[Path]) -> list[Path]:
    """Return the folders to read: those given, and for each file given those it belongs to."""
    given = [path for path in paths if path.is_dir()]
    if not paths:
        settings = shared.settings()
        return [*settings.rules, *settings.playbooks]
    for file in (path.resolve() for path in paths if path.is_file()):
        if any(file.is_relative_to(folder.resolve()) for folder in given):
            continue
        settings = shared.settings()
        configured = [*settings.rules, *settings.playbooks]
        inside = any(file.is_relative_to(folder.resolve()) for folder in configured)
        given += configured if inside else [file.parent]
    return given


def _within(found: Sequence[Problem], files: Sequence[Path], paths: Sequence[Path]) -> list[Problem]:
    """Keep what is about the files asked for; everything, when a folder or nothing was."""
    folders = [path.resolve() for path in paths if path.is_dir()]
    if not files:
        return list(found)
    return [
        problem
        for problem in found
        if (place := Path(problem.file).resolve()) in files
        or any(place.is_relative_to(folder) for folder in folders)
    ]


def _summary(report: Report, problems: Sequence[Problem], warnings: Sequence[Problem]) -> str:
    """Say in one line how it went."""
    told = [counted(len(problems), "problem")] if problems else []
    told += [counted(len(warnings), "warning")] if warnings else []
    if report.library is not None:
        library, tests = report.library, report.tests_run
        schedules = f"{counted(len(library.schedules), 'schedule')}, " if library.schedules else ""
        parts = (
            f"{counted(len(library.rules), 'rule')}, {schedules}{counted(len(library.playbooks), 'playbook')}"
        )
        told.append(f"{parts}, {counted(tests, 'test')} passed")
    elif report.tests_run:
        told.append(f"{report.tests_failed} of {counted(report.tests_run, 'test')} failed")
    elif report.problems and not problems:
        told.append(f"{counted(len(report.problems), 'problem')} in other files, so that no test was run")
    else:
        told.append("no test was run")
    return "; ".join(told)


def _shape(
    report: Report, problems: Sequence[Problem], warnings: Sequence[Problem], *, ok: bool
) -> dict[str, object]:
    library = report.library
    return {
        "ok": ok,
        "problems": [_problem(problem) for problem in problems],
        "warnings": [_problem(problem) for problem in warnings],
        "rules": len(library.rules) if library else None,
        "schedules": len(library.schedules) if library else None,
        "playbooks": len(library.playbooks) if library else None,
        "content": library.version if library else None,
        "tests": {"run": report.tests_run, "failed": report.tests_failed},
    }


def _problem(problem: Problem) -> dict[str, object]:
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "message": problem.message,
    }


def counted(count: int, word: str, words: str = "") -> str:
    """Say how many: `1 rule`, `3 rules`; `words` is the plural when it is not made by an s."""
    return f"{count} {word if count == 1 else words or f'{word}s'}"


def annotation(kind: str, problem: Problem) -> str:
    """Write a problem as a GitHub workflow command.

    https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions
    """
    place = f"file={_escaped(problem.file, property_=True)}"
    place += f",line={problem.line}" if problem.line is not None else ""
    place += f",col={problem.column}" if problem.column is not None else ""
    return f"::{kind} {place}::{_escaped(problem.message)}"


def _escaped(text: str, *, property_: bool = False) -> str:
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return escaped.replace(":", "%3A").replace(",", "%2C") if property_ else escaped
