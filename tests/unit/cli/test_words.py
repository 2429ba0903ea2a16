"""What the command line makes of words: options anywhere, inputs, parts of ids, texts of senders."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest

from runbookd.cli.audit_verify import checked
from runbookd.cli.check import annotation, counted
from runbookd.cli.database import is_part
from runbookd.cli.group import gathered
from runbookd.cli.inputs import read_inputs, typed
from runbookd.cli.output import age, clean, length, moment
from runbookd.cli.shapes import plain, written
from runbookd.errors import Problem
from runbookd.language.values import SecretRef, SecretText
from runbookd.model.playbook import Input


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["runs", "--database", "x.db"], ["--database", "x.db", "runs"]),
        (["runs", "--database=x.db", "show"], ["--database=x.db", "runs", "show"]),
        (["runs", "--", "--database", "x.db"], ["runs", "--", "--database", "x.db"]),
        (["runs", "--database"], ["runs", "--database"]),
        (["runs", "--state", "failed"], ["runs", "--state", "failed"]),
    ],
)
def test_shared_options_may_stand_anywhere(args: list[str], expected: list[str]) -> None:
    """An option all commands share is taken from wherever it stands, but not from behind a bare `--`."""
    assert gathered(args, ["--database"]) == expected


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("string", "12", "12"),
        ("integer", "12", 12),
        ("integer", "twelve", "twelve"),
        ("number", "1.5", 1.5),
        ("boolean", "true", True),
        ("boolean", "maybe", "maybe"),
        ("duration", "5m", "5m"),
        ("list", '["a", 1]', ["a", 1]),
        ("map", '{"a": 1}', {"a": 1}),
        ("map", "{", "{"),
        ("integer", "${vars.count}", "${vars.count}"),
    ],
)
def test_inputs_are_read_as_the_type_they_declare(kind: str, text: str, value: object) -> None:
    """A typed value becomes the declared type; what does not fit stays text, for the playbook to refuse."""
    assert typed(Input.model_validate({"type": kind}), text) == value


def test_an_input_that_is_not_declared_stays_text() -> None:
    """An unknown input reaches the playbook, which names those there are."""
    assert typed(None, "1") == "1"


def test_inputs_of_the_command_line_outrank_those_of_the_file(tmp_path: Path) -> None:
    """--input outranks --inputs-json, and a file's text is never a template."""
    (tmp_path / "inputs.json").write_text('{"a": 1, "b": "two"}')
    (tmp_path / "text").write_text("costs ${money}")
    inputs = read_inputs({}, ["b=zwei=2", f"c=@{tmp_path / 'text'}"], tmp_path / "inputs.json")
    assert inputs == {"a": 1, "b": "zwei=2", "c": "costs $${money}"}


@pytest.mark.parametrize("wrong", ["novalue", "=x", "a=@/nowhere/at/all"])
def test_an_input_that_cannot_be_read_is_refused(wrong: str) -> None:
    """A mistyped input is a usage error that names it."""
    with pytest.raises(click.BadParameter):
        read_inputs({}, [wrong], None)


@pytest.mark.parametrize("content", ["[1]", "{"])
def test_a_file_of_inputs_is_an_object(tmp_path: Path, content: str) -> None:
    """--inputs-json takes a JSON object and nothing else."""
    (tmp_path / "inputs.json").write_text(content)
    with pytest.raises(click.BadParameter):
        read_inputs({}, [], tmp_path / "inputs.json")


@pytest.mark.parametrize(
    ("part", "fits"),
    [("run-01ab", True), ("01ab", True), ("wxyz", True), ("run-01abwxyz", True), ("abwx", False)],
)
def test_an_id_is_found_by_its_beginning_or_its_end(part: str, fits: bool) -> None:  # noqa: FBT001
    """A part of an id is its beginning, with or without the kind, or its end."""
    assert is_part(part, "run-01abwxyz") is fits


def test_what_senders_write_cannot_drive_the_terminal() -> None:
    """Control characters in a label are shown, never obeyed; a line end cannot forge a line."""
    assert clean("a\x1b[31mred\nline\u202e") == "a\\x1b[31mred line\\u202e"
    assert clean("größer ✓") == "größer ✓"


@pytest.mark.parametrize(
    ("took", "text"),
    [
        (None, "-"),
        (timedelta(milliseconds=420), "0.4s"),
        (timedelta(seconds=12), "12s"),
        (timedelta(minutes=5, seconds=3), "5m3s"),
        (timedelta(days=2, hours=4, minutes=5), "2d4h"),
        (timedelta(hours=1), "1h"),
    ],
)
def test_lengths_read_as_people_say_them(took: timedelta | None, text: str) -> None:
    """A length has at most two units."""
    assert length(took) == text


def test_nothing_was_in_the_future() -> None:
    """An entry by a host whose clock is ahead is of now."""
    now = datetime(2026, 1, 5, 12, tzinfo=UTC)
    assert [age(now + timedelta(seconds=each), now) for each in (0.6, 0, -90)] == ["0.0s", "0.0s", "1m30s"]


def test_a_time_that_is_not_there_is_a_dash() -> None:
    """None is shown as a dash, a time in UTC to the second."""
    assert moment(None) == "-"
    assert moment(datetime(2026, 11, 23, 7, 59, 41, tzinfo=UTC)) == "2026-11-23 07:59:41"


def test_values_become_json_without_secrets() -> None:
    """Times are RFC 3339 in UTC, durations as written, secrets by name only."""
    value = {
        "at": datetime(2026, 11, 23, 8, 0, tzinfo=UTC),
        "for": timedelta(minutes=90),
        "token": SecretRef("shop_token"),
        "header": SecretText(("Bearer ", SecretRef("shop_token"))),
        "list": (1, "two"),
    }
    assert plain(value) == {
        "at": "2026-11-23T08:00:00Z",
        "for": "1h30m",
        "token": "${secret.shop_token}",
        "header": "Bearer ${secret.shop_token}",
        "list": [1, "two"],
    }
    assert written(["a"]) == '["a"]'


def test_annotations_are_escaped_for_github() -> None:
    """A message with line ends and percent signs is one annotation."""
    problem = Problem("rules/a,b.yaml", 3, 7, "50% of\nit")
    assert annotation("error", problem) == "::error file=rules/a%2Cb.yaml,line=3,col=7::50%25 of%0Ait"
    assert annotation("warning", Problem("x", None, None, "y")) == "::warning file=x::y"


def test_counts_agree_with_their_words() -> None:
    """One is singular."""
    assert [counted(1, "rule"), counted(2, "rule"), counted(2, "entry", "entries")] == [
        "1 rule",
        "2 rules",
        "2 entries",
    ]


def test_a_rate_is_told_where_it_tells_something() -> None:
    """The time of a few entries is that of reading a file, so no rate is made of it."""
    assert checked(1, 0.37) == "checked 1 entry in 0.37 s"
    assert checked(9_999, 0.5) == "checked 9999 entries in 0.50 s"
    assert checked(10_000, 0.5) == "checked 10000 entries in 0.50 s (20,000 a second)"
