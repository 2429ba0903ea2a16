"""The commands for those who write rules and playbooks."""

from __future__ import annotations

import json

import pytest

from tests.integration.cli.conftest import Runbookd, alert


def test_check_says_what_is_right(runbookd: Runbookd) -> None:
    """Good content is exit code 0 with a count."""
    assert "2 rules, 3 playbooks, 0 tests passed" in runbookd("check").stdout


@pytest.mark.parametrize("args", [[], ["rules", "playbooks"], ["rules/rules.yaml"]])
def test_check_lists_problems_with_their_places(runbookd: Runbookd, args: list[str]) -> None:
    """Bad content is exit code 1, each problem as file:line:column, whichever way it is named."""
    path = runbookd.folder / "rules" / "rules.yaml"
    path.write_text(path.read_text().replace("priority: P1", "priority: P7"))
    done = runbookd("check", *args, code=1)
    assert "rules/rules.yaml:7:" in done.stdout
    assert "2 problems" in done.stdout


def test_check_of_a_file_shows_that_file_only(runbookd: Runbookd) -> None:
    """A file is checked in its place, and what is wrong elsewhere is only counted."""
    (runbookd.folder / "playbooks" / "bad.yaml").write_text("playbook: bad\nsteps: [{action: flow.lgo}]\n")
    done = runbookd("check", "rules/rules.yaml")
    assert "bad.yaml" not in done.stdout
    assert "in other files" in done.stdout
    assert "bad.yaml:2:" in runbookd("check", "playbooks/bad.yaml", code=1).stdout


def test_check_takes_no_other_files(runbookd: Runbookd) -> None:
    """A file that is not YAML is refused with what to give instead: exit code 2."""
    (runbookd.folder / "alert.json").write_text(json.dumps(alert("DiskFull")))
    done = runbookd("check", "alert.json", code=2)
    assert "is not a YAML file" in done.stderr
    assert "runbookd explain alert.json" in done.stderr
    assert done.stdout == ""


def test_check_speaks_to_machines(runbookd: Runbookd) -> None:
    """JSON has stable keys; GitHub gets annotations; strict takes warnings for problems."""
    found = runbookd.json("check")
    assert found["ok"] is True
    assert found["rules"] == 2
    assert [warning["line"] for warning in found["warnings"]] == [2]
    assert "::warning file=playbooks/slow.yaml,line=2" in runbookd("check", "--output", "github").stdout
    assert "::error file=playbooks/slow.yaml" in runbookd("check", "--strict", "-o", "github", code=1).stdout
    assert runbookd.json("check", "--strict", code=1)["ok"] is False


def test_explain_says_what_would_be_done(runbookd: Runbookd) -> None:
    """The rule that takes an event, the incident it opens, and the playbook with its inputs and steps."""
    text = json.dumps(alert("DiskFull", host="db-1", severity="critical"))
    done = runbookd("explain", "-", given=text)
    for part in (
        "Rule disk-full takes it",
        "P1  Disk of db-1 is full",
        "host=db-1",
        "hosts/db-1",
        "steps/say",
        "First playbook note",
        "If that does not help, playbook give-up",
    ):
        assert part in done.stdout
    assert "alertname=\"Broken\": alertname is 'DiskFull'" in done.stdout
    assert not runbookd.database.exists()


def test_explain_says_why_nothing_would_be_done(runbookd: Runbookd) -> None:
    """A near miss is told first, with the matcher that fails and what it saw."""
    done = runbookd("explain", "-", given=json.dumps(alert("DiskFull", host="db-1", severity="info")))
    assert "No rule takes it" in done.stdout
    lines = done.stdout.splitlines()
    assert "disk-full" in lines[lines.index("  RULE       VERDICT         WHY") + 1]
    assert "severity is 'info'" in done.stdout


def test_explain_tells_a_missing_label(runbookd: Runbookd) -> None:
    """An event without the label of the key would be refused, and the reason is shown."""
    done = runbookd("explain", "-", "--all", given=json.dumps(alert("DiskFull", severity="critical")))
    assert "the incident key needs label 'host'" in done.stdout
    assert "missing_value" in done.stdout


def test_explain_as_json_holds_everything(runbookd: Runbookd) -> None:
    """The machine form has every rule, and the rendered inputs."""
    file = runbookd.folder / "event.json"
    file.write_text(json.dumps(alert("DiskFull", host="db-1", severity="critical")))
    (found,) = runbookd.json("explain", "event.json")
    assert [rule["verdict"] for rule in found["rules"]] == ["matched", "matcher_failed"]
    (taken,) = found["taken"]
    assert taken["incident"] == {
        "priority": "P1",
        "title": "Disk of db-1 is full",
        "key": {"host": "db-1"},
        "error": None,
    }
    assert taken["rungs"][0]["inputs"] == {"host": "db-1", "times": 1}
    assert taken["now"] is None


def test_actions_are_listed_and_described(runbookd: Runbookd) -> None:
    """Every action has a line, and a page with its parameters and an example."""
    assert "flow.log" in runbookd("actions").stdout
    page = runbookd("actions", "http.request").stdout
    assert "- action: http.request" in page
    assert "expect_status" in page
    assert runbookd.json("actions", "flow.log")["mutates"] == "no"
    assert "Did you mean 'flow.log'?" in runbookd("actions", "flow.lgo", code=3).stderr


def test_schemas_are_printed_and_written(runbookd: Runbookd) -> None:
    """Each schema is JSON, alone, all together, and as files for editors."""
    assert json.loads(runbookd("schema", "rules").stdout)["title"] == "Rules of runbookd"
    assert set(json.loads(runbookd("schema").stdout)) == {"rules", "playbook", "settings"}
    runbookd("schema", "--write", "schemas")
    written = json.loads((runbookd.folder / "schemas" / "settings.schema.json").read_text())
    assert "database" in written["properties"]


def test_version_names_what_runs(runbookd: Runbookd) -> None:
    """Versions of the program, Python, SQLite and the content on disk."""
    told = runbookd.json("version")
    assert set(told) == {"runbookd", "python", "sqlite", "content"}
    assert told["content"] == runbookd.json("check")["content"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(runbookd: Runbookd, shell: str) -> None:
    """Each shell gets a script that asks runbookd."""
    assert "_RUNBOOKD_COMPLETE" in runbookd("completion", shell).stdout


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("runbookd ru", "run"),
        ("runbookd --playbooks playbooks run no", "note"),
        ("runbookd --rules rules runs list --rule di", "disk-full"),
        ("runbookd actions flow.l", "flow.log"),
        ("runbookd --database nowhere.db runs show ", ""),
    ],
)
def test_completion_offers_names(runbookd: Runbookd, words: str, offered: str) -> None:
    """Commands, playbooks, rules and actions are offered; where there is nothing to offer, nothing is said."""
    environment = {
        "_RUNBOOKD_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    done = runbookd.having(environment)()
    assert done.stderr == ""
    assert done.stdout.strip() == "" if not offered else f"plain,{offered}" in done.stdout.splitlines()
