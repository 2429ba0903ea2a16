"""Folders become one library, whole and in order, or every mistake in them is told at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runbookd.actions.catalogue import ActionCatalogue
from runbookd.content.load import again, examine, load, salvage, same
from runbookd.errors import ContentError
from runbookd.model.library import Library
from tests.unit.content.catalogue import FakeCatalogue

HERE = Path(__file__).parent
GOOD = HERE / "good"
CATALOGUE = FakeCatalogue()
RULE = "- {{name: {0}, priority: P1, match: ['a=\"b\"']}}\n"
PRIORITIES = "priorities: {P1: {name: High}}\n"


def rules_named(*names: str) -> str:
    """A file of rules."""
    return "rules:\n" + "".join(RULE.format(name) for name in names)


def write(folder: Path, files: dict[str, str]) -> Path:
    """Make a folder of files."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def names(folder: Path) -> list[str]:
    """The rules of a folder, in the order they are tried."""
    return [rule.name for rule in load(folder, [], CATALOGUE).rules]


def test_the_language_page_loads_and_checks_clean() -> None:
    """The examples of the language's page are right, their own tests included."""
    report = examine(GOOD / "rules", GOOD / "playbooks", CATALOGUE)
    assert report.problems == ()
    assert report.warnings == ()
    assert (report.tests_run, report.tests_failed) == (3, 0)
    assert report.library is not None
    assert list(report.library.playbooks) == ["restart-deployment", "rollback-deployment", "tell"]
    assert report.library.places["rule:rollout-stuck"].endswith("good/rules/deployments.yaml:3")
    assert report.library.vars == {"api_health_url": "https://shop.example.com/health"}
    assert len(report.library.version) == 64


def test_the_real_catalogue_checks_the_same_way(tmp_path: Path) -> None:
    """The shipped actions are held against a `with` like any other."""
    write(tmp_path, {"p.yaml": "playbook: p\nsteps:\n  - {action: flow.log, with: {mesage: hello}}\n"})
    found = [str(each) for each in examine([], tmp_path, ActionCatalogue()).problems]
    assert any("3:31: unknown key 'mesage'. Did you mean 'message'?" in each for each in found), found


def test_files_are_read_in_name_order_folder_by_folder(tmp_path: Path) -> None:
    """The order rules are tried in does not depend on the disk."""
    first = write(
        tmp_path / "z",
        {"b.yaml": rules_named("three"), "a.yml": rules_named("one", "two"), "c/d.yaml": rules_named("four")},
    )
    second = write(tmp_path / "a", {"a.yaml": PRIORITIES + rules_named("five")})
    library = load([first, second], [], CATALOGUE)
    assert [rule.name for rule in library.rules] == ["one", "two", "three", "four", "five"]


def test_what_is_not_content_is_left_alone(tmp_path: Path) -> None:
    """Notes, hidden files and editors' leftovers are no rules."""
    write(
        tmp_path,
        {
            "a.yaml": PRIORITIES + rules_named("one"),
            "README.md": ": [",
            "empty.yaml": "# nothing yet\n",
            ".hidden.yaml": ": [",
            ".git/x.yaml": ": [",
            "a.yaml.bak": ": [",
        },
    )
    assert names(tmp_path) == ["one"]


def test_a_mounted_config_map_is_read_once(tmp_path: Path) -> None:
    """Kubernetes mounts files as links through `..data` to a folder of the version; each counts once."""
    version = tmp_path / "..2026_01_05_12_00_00.1"
    write(version, {"a.yaml": PRIORITIES + rules_named("one")})
    (tmp_path / "..data").symlink_to(version.name)
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    assert names(tmp_path) == ["one"]


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    """A link to a folder is content, and a link to what is around it is no endless walk."""
    shared = write(tmp_path / "shared", {"s.yaml": rules_named("two")})
    rules = write(tmp_path / "rules", {"a.yaml": PRIORITIES + rules_named("one")})
    (rules / "team").symlink_to(shared)
    (rules / "up").symlink_to(tmp_path)
    assert names(rules) == ["one", "two"]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """A wrong path is told as such, and is not an empty library."""
    write(tmp_path, {"file.yaml": ""})
    with pytest.raises(ContentError) as raised:
        load(tmp_path / "nowhere", tmp_path / "file.yaml", CATALOGUE)
    found = [each.message.partition(";")[0] for each in raised.value.problems]
    assert found == ["there is no such folder", "is not a folder"]


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A dangling link is told, beside the mistakes of other files."""
    write(tmp_path, {"b.yaml": "rulse: []\n"})
    (tmp_path / "a.yaml").symlink_to("gone")
    found = [str(each) for each in examine(tmp_path, [], CATALOGUE).problems]
    assert found[0].startswith(f"{tmp_path / 'b.yaml'}:1:1: unknown key")
    assert found[1] == f"{tmp_path / 'a.yaml'}: cannot be read: No such file or directory"


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    """What would keep a reader waiting is refused unread."""
    os.mkfifo(tmp_path / "a.yaml")
    (found,) = examine(tmp_path, [], CATALOGUE).problems
    assert str(found) == f"{tmp_path / 'a.yaml'}: is not a regular file; remove or rename it"


def test_a_folder_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that fails while it is read is told, and is not an empty library."""

    def fail(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(Path, "iterdir", fail)
    (found,) = examine(tmp_path, [], CATALOGUE).problems
    assert str(found) == f"{tmp_path}: cannot be read: Permission denied"


def test_a_large_file_is_not_read_whole(tmp_path: Path) -> None:
    """A file of any size is refused at the bound, in every folder it is named by once."""
    with (tmp_path / "a.yaml").open("wb") as file:
        file.truncate(50_000_000_000)
    (found,) = examine(tmp_path, tmp_path, CATALOGUE).problems
    assert found.message == "the file is larger than 1048576 bytes; split it"


def test_all_mistakes_of_all_files_are_told_at_once_in_order(tmp_path: Path) -> None:
    """One reading shows everything, sorted as one would go through the files."""
    write(
        tmp_path,
        {
            "a.yaml": "rules:\n- {name: one, priority: P9, match: ['x']}\n- {name: 'o o', priority: P1, wen: x}\n",
            "b.yaml": "vars: {a: @}\n",
            "c.yaml": "playbook: p\nsteps:\n- {action: no.such}\n- {wait: 5}\n",
            "d.yaml": "rules:\n- {name: one, priority: P1, when: 'x'}\n" + PRIORITIES,
        },
    )
    found = [
        str(each).removeprefix(f"{tmp_path}/")[:13] for each in examine(tmp_path, [], CATALOGUE).problems
    ]
    assert found == [
        "a.yaml:2:25: ",
        "a.yaml:2:39: ",
        "a.yaml:3:10: ",
        "a.yaml:3:31: ",
        "b.yaml:1:11: ",
        "c.yaml:4:10: ",
        "d.yaml:2:10: ",
        "d.yaml:2:36: ",
    ]


@pytest.mark.parametrize(
    ("kind", "text", "place"),
    [
        ("rule", rules_named("one"), "2:10"),
        ("playbook", "playbook: one\n", "1:11"),
        ("priority", "priorities: {one: {name: x}}\n", "1:14"),
        ("var", "vars: {one: 1}\n", "1:8"),
        ("role", "roles: {one: {primary: {slack: '#a'}}}\n", "1:9"),
        ("escalation", "escalations: {one: [{after: 0m, notify: [statuspage]}]}\n", "1:15"),
        ("rule", rules_named("unmatched"), "2:10"),
    ],
)
def test_a_name_twice_names_both_places(kind: str, text: str, place: str, tmp_path: Path) -> None:
    """Which of two would win is nobody's guess: the second is refused, and the first is named."""
    write(tmp_path, {"a.yaml": text, "b.yaml": text, "z.yaml": PRIORITIES})
    (problem,) = examine(tmp_path, [], CATALOGUE).problems
    a = f"{'an' if kind == 'escalation' else 'a'} {kind}"
    assert str(problem).startswith(f"{tmp_path}/b.yaml:{place}: there is already {a} named")
    first_line = 2 if kind == "rule" else 1
    assert problem.message.endswith(f"at {tmp_path}/a.yaml:{first_line}")


def test_a_name_that_is_written_wrongly_still_counts(tmp_path: Path) -> None:
    """One bad playbook is one problem, not also one for every rule and playbook that uses it."""
    write(
        tmp_path,
        {
            "a.yaml": PRIORITIES
            + "rules:\n- {name: r, priority: P1, when: 'true', run: [{playbook: bad}]}\n",
            "b.yaml": "playbook: bad\nstepz: []\n",
            "c.yaml": "playbook: caller\nsteps:\n- playbook: bad\n",
        },
    )
    assert [each.message[:20] for each in examine(tmp_path, [], CATALOGUE).problems] == [
        "unknown key 'stepz'."
    ]


def test_circles_of_playbooks_are_refused(tmp_path: Path) -> None:
    """A playbook that comes back to itself through others would never end; each of the circle is told."""
    for caller, called in (("a", "b"), ("b", "c"), ("c", "a")):
        write(
            tmp_path, {f"{caller}.yaml": f"playbook: {caller}\nsteps:\n- parallel:\n  - playbook: {called}\n"}
        )
    write(tmp_path, {"d.yaml": "playbook: d\nsteps:\n- playbook: a\n"})
    found = [str(each).removeprefix(f"{tmp_path}/") for each in examine([], tmp_path, CATALOGUE).problems]
    assert found == [
        "a.yaml:4:15: a playbook must not call itself: a -> b -> c -> a",
        "b.yaml:4:15: a playbook must not call itself: b -> c -> a -> b",
        "c.yaml:4:15: a playbook must not call itself: c -> a -> b -> c",
    ]


@pytest.mark.parametrize(("length", "deep"), [(5, False), (6, True)])
def test_calls_have_a_depth(length: int, deep: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """Five playbooks may call each other in a row; a sixth is refused where the first calls."""
    for number in range(length - 1):
        write(tmp_path, {f"{number}.yaml": f"playbook: p{number}\nsteps:\n- playbook: p{number + 1}\n"})
    write(tmp_path, {"last.yaml": f"playbook: p{length - 1}\nsteps: [{{wait: 1s}}]\n"})
    found = [str(each) for each in examine([], tmp_path, CATALOGUE).problems]
    assert found == (
        [f"{tmp_path}/0.yaml:3:13: calls nest deeper than 5 playbooks: p0 -> p1 -> p2 -> p3 -> p4 -> p5"]
        if deep
        else []
    )


def test_warnings_do_not_refuse(tmp_path: Path) -> None:
    """What is allowed and probably not meant is told, and loads."""
    restart = "{action: kubernetes.rollout_restart, with: {namespace: a, deployment: b}}"
    write(
        tmp_path,
        {
            "a.yaml": f"playbook: a\nsteps: [{restart}]\n",
            "b.yaml": "playbook: b\nsteps: [{playbook: c}]\n",
            "c.yaml": f"playbook: c\nsteps: [{restart}]\n",
            "d.yaml": PRIORITIES + "rules: [{name: r, when: 'true', priority: P1, run: [{playbook: b}]}]\n",
        },
    )
    report = examine(tmp_path, [], CATALOGUE)
    assert report.library is not None
    found = [str(each).removeprefix(f"{tmp_path}/").partition(":1:11: ")[::2] for each in report.warnings]
    assert found == [
        ("a.yaml", "playbook 'a' changes something and has no `target`: two runs may do it at once"),
        ("a.yaml", "playbook 'a' changes something and has no `verify`: nobody sees whether it helped"),
        ("a.yaml", "playbook 'a' is used by no rule and no playbook"),
        ("b.yaml", "playbook 'b' changes something and has no `target`: two runs may do it at once"),
        ("b.yaml", "playbook 'b' changes something and has no `verify`: nobody sees whether it helped"),
    ]


def test_a_notice_that_rings_is_told(tmp_path: Path) -> None:
    """Whoever has only PagerDuty is rung by it, also by a `notify` or `announce`: each such place is a warning."""
    key = "${secret.pd}"
    write(
        tmp_path,
        {
            "a.yaml": "priorities:\n"
            "  P1: {name: High, escalation: all, announce: [rung, read]}\n"
            "roles:\n"
            f'  rung: {{primary: {{pagerduty: {{service_key: "{key}"}}}}}}\n'
            f'  read: {{primary: {{pagerduty: {{service_key: "{key}"}}, email: a@example.com}}}}\n'
            "  asked: {primary: {pagerduty: {schedule: PABC123}}}\n"
            f'  late: {{primary: {{slack: "#a"}}, secondary: {{pagerduty: {{service_key: "{key}"}}}}}}\n',
            "b.yaml": "escalations:\n"
            "  all:\n"
            "  - {after: 0m, page: [rung], notify: [asked, rung, late, late.secondary, statuspage]}\n",
        },
    )
    report = examine(tmp_path, [], CATALOGUE)
    assert report.library is not None
    said = "this role has only PagerDuty, so this notice rings there; give it a `slack`, `email` or `webhook` as well"
    assert [str(each).removeprefix(f"{tmp_path}/") for each in report.warnings] == [
        f"a.yaml:2:48: {said}",
        f"b.yaml:3:47: {said}",
        f"b.yaml:3:59: {said}",
    ]


def test_ladders_that_are_probably_not_meant(tmp_path: Path) -> None:
    """An escalation for nobody, a page about what is over, and a level that never comes are told, and load."""
    write(
        tmp_path,
        {
            "a.yaml": "priorities:\n"
            "  P1: {name: High, escalation: used, resolve_within: 1h, update_every: 5m}\n"
            "  P2: {name: Low}\n"
            "roles: {ops: {primary: {slack: '#a'}}}\n",
            "b.yaml": "escalations:\n"
            "  used:\n"
            "  - {after: 0m, page: [ops]}\n"
            "  - {after: 1m, page: [ops]}\n"
            "  - {after: 1m, notify: [ops], unless: resolved}\n"
            "  - {on_breach: update, page: [ops]}\n"
            "  - {on_breach: acknowledge, page: [ops]}\n"
            "  - {on_breach: resolve, page: [ops]}\n"
            "  unused:\n"
            "  - {on_breach: respond, page: [ops]}\n",
            "c.yaml": "rules: [{name: r, when: 'true', priority: P2, escalation: used}]\n",
        },
    )
    report = examine(tmp_path, [], CATALOGUE)
    assert report.library is not None
    assert list(report.library.escalations) == ["used", "unused"]
    assert [str(each).removeprefix(f"{tmp_path}/") for each in report.warnings] == [
        "b.yaml:4:17: this pages people even if it is over by then; write `unless: resolved`, or `acknowledged`",
        "b.yaml:6:17: priority P2 has no `update_every`, so for it this level never comes",
        "b.yaml:7:17: priority P1 has no `acknowledge_within`, so for it this level never comes",
        "b.yaml:7:17: priority P2 has no `acknowledge_within`, so for it this level never comes",
        "b.yaml:8:17: priority P2 has no `resolve_within`, so for it this level never comes",
        "b.yaml:9:3: escalation 'unused' is named by no priority and no rule",
    ]


def test_a_role_that_is_written_wrongly_still_counts(tmp_path: Path) -> None:
    """One bad role or escalation is one problem, not also one for everything that names it."""
    write(
        tmp_path,
        {
            "a.yaml": "priorities: {P1: {name: High, escalation: bad, announce: [worse.secondary]}}\n"
            "roles: {worse: {primary: {}}}\n",
            "b.yaml": "escalations: {bad: [], good: [{after: 1m, notify: [worse]}]}\n",
        },
    )
    assert len(examine(tmp_path, [], CATALOGUE).problems) == 2


def test_the_version_changes_with_any_byte_name_or_order(tmp_path: Path) -> None:
    """Two libraries of one version are the same files."""
    folder = write(tmp_path, {"a.yaml": PRIORITIES + rules_named("one")})
    first = load(folder, [], CATALOGUE).version
    assert load(folder, [], CATALOGUE).version == first
    write(tmp_path, {"a.yaml": PRIORITIES + rules_named("one") + "# a comment\n"})
    commented = load(folder, [], CATALOGUE).version
    (tmp_path / "a.yaml").rename(tmp_path / "b.yaml")
    assert len({first, commented, load(folder, [], CATALOGUE).version}) == 3


def test_a_thousand_rules_load(tmp_path: Path) -> None:
    """A large library is an ordinary one, and one mistake in it is found."""
    text = "rules:\n" + "".join(
        f"- {{name: r{n}, priority: P1, match: ['a=\"{n}\"'], when: 'event.labels.b == \"{n}\"'}}\n"
        for n in range(1000)
    )
    write(tmp_path, {"a.yaml": PRIORITIES, "b.yaml": text})
    assert len(load(tmp_path, [], CATALOGUE).rules) == 1000
    write(tmp_path, {"b.yaml": text.replace("name: r777", "nam: r777")})
    found = [str(each).partition("b.yaml:")[2][:8] for each in examine(tmp_path, [], CATALOGUE).problems]
    assert found == ["779:3: t", "779:4: u"]


GOOD_FILES = {str(path.relative_to(GOOD)): path.read_text() for path in sorted(GOOD.rglob("*.y*ml"))}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_edit_crashes_it(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever a slip of the hand makes of good files, the answer is a report."""
    name = data.draw(st.sampled_from(sorted(GOOD_FILES)))
    text = GOOD_FILES[name]
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(start + 30, len(text))))
    slip = data.draw(
        st.sampled_from(["", " ", "\n", ": ", "- ", "[", "}", "${", "x", "null", "{a: 1}", "'", "!a ", "*a "])
    )
    write(tmp_path, GOOD_FILES | {name: text[:start] + slip + text[end:]})
    report = examine(tmp_path, [], CATALOGUE)
    assert (report.library is None) == bool(report.problems)
    assert all(each.file.startswith(str(tmp_path)) for each in report.problems)


def test_nothing_loads_as_nothing() -> None:
    """No folders are an empty library."""
    assert load([], [], CATALOGUE) == Library(version=load([], [], CATALOGUE).version)


def test_what_stands_without_its_broken_files(tmp_path: Path) -> None:
    """A broken file, and what needs it, are left out and told; the rest is there."""
    write(
        tmp_path / "rules",
        {
            "1.yaml": PRIORITIES,
            "2.yaml": rules_named("good"),
            "3.yaml": "rules: [",
            "4.yaml": "rules:\n- {name: lost, priority: P1, match: ['a=\"b\"'], run: [{playbook: broken}]}\n",
        },
    )
    write(tmp_path / "playbooks", {"broken.yaml": "playbook: broken\nsteps: 7\n"})
    library, problems = salvage(tmp_path / "rules", tmp_path / "playbooks", CATALOGUE)
    assert [rule.name for rule in library.rules] == ["good"]
    assert list(library.priorities) == ["P1"]
    assert {Path(problem.file).name for problem in problems} == {"3.yaml", "4.yaml", "broken.yaml"}


def test_nothing_stands_when_everything_is_broken(tmp_path: Path) -> None:
    """Then there is an empty library, and every mistake."""
    folder = write(tmp_path, {"1.yaml": "rules: [", "2.yaml": ""})
    library, problems = salvage(folder, [], CATALOGUE)
    assert (list(library.rules), len(problems)) == ([], 2)


def test_what_was_taken_is_read_again_without_its_files(tmp_path: Path) -> None:
    """The texts of a library make the same library, places and version as they were on disk."""
    write(tmp_path / "rules", {"2.yaml": "\ufeff" + PRIORITIES, "10.yaml": rules_named("a", "b") + "# ä\n"})
    taken = load(tmp_path / "rules", [], CATALOGUE)
    texts = list(taken.texts.items())
    assert again(texts) == taken
    assert same(texts, tmp_path / "rules", [])
    (tmp_path / "rules").rename(tmp_path / "moved")
    assert same(texts, tmp_path / "moved", [])
    assert not same(texts, tmp_path / "rules", [])
    write(tmp_path / "moved", {"2.yaml": PRIORITIES})
    assert not same(texts, tmp_path / "moved", [])


def test_what_this_version_cannot_read_again_is_refused() -> None:
    """Its place is that of the file it was."""
    with pytest.raises(ContentError, match=r"there/a\.yaml:1:1: "):
        again([("there/a.yaml", "futures: []\n")])
