"""The tests that files carry run through the service's own stages, and say precisely what differs."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbookd.content.load import examine
from tests.unit.content.catalogue import FakeCatalogue

BASE = "priorities: {P1: {name: High}, P2: {name: Low}}\nvars: {site: eu}\n"
FIRST = "- {name: first, priority: P2, match: ['team=\"db\"']}\n"
RULE = """\
- name: r
  priority: P1
  match: ['severity="critical"']
  when: event.labels.env != "dev"
  incident: {title: "${event.labels.app} on ${vars.site}"}
  run: [{playbook: fix, with: {app: "${event.labels.app}", wait: "5m", why: "${incident.title}"}}]
  tests:
    - name: t
      event: {labels: {severity: critical, env: prod, app: shop}}
      expect: {}
"""
FIX = """\
playbook: fix
inputs:
  app: {pattern: "^[a-z]+$"}
  wait: {type: duration, default: 1m}
  why: {default: null}
target: apps/${inputs.app}
evidence:
  - {action: kubernetes.logs, with: {namespace: a, selector: "${inputs.app}"}}
steps:
  - {id: seen, action: kubernetes.rollout_history, with: {namespace: a, deployment: "${inputs.app}"}}
  - {wait: 10m}
  - id: undo_it
    when: steps.seen.changed_ago < duration("1h")
    action: kubernetes.rollout_undo
    with: {namespace: a, deployment: "${inputs.app}", to_revision: "${steps.seen.last_good}"}
    retry: {attempts: 3}
  - id: each
    foreach: [1, 2, 3]
    max_failures: 1
    action: http.check
    with: {url: "http://a/${item}"}
  - {action: flow.log, finally: true, with: {message: "${steps.undo_it.outcome}"}}
  - {id: told, playbook: tell}
verify:
  - {check: alert_resolved, within: 15m}
  - {action: http.check, with: {url: "http://a"}, assert: result.status == 200, for: 1m, within: 5m}
on_failure: undo_and_escalate
tests:
  - name: t
    inputs: {app: shop}
    given: {steps.seen: {changed_ago: 600s, last_good: 4}, verify.1: {status: 200}}
    expect: {}
"""
TELL = "playbook: tell\nsteps:\n- {id: say, action: flow.log, with: {message: 'token ${secret.t}'}}\n"


def problems(folder: Path, rule: str = RULE, fix: str = FIX) -> list[str]:
    """What is wrong, places relative to the file."""
    for name, text in (
        ("a.yaml", BASE),
        ("b.yaml", "rules:\n" + FIRST + rule),
        ("p.yaml", fix),
        ("t.yaml", TELL),
    ):
        (folder / name).write_text(text, encoding="utf-8")
    report = examine(folder, [], FakeCatalogue())
    assert (report.library is None) == bool(report.problems)
    return [str(each).removeprefix(f"{folder}/") for each in report.problems]


def test_both_pass(tmp_path: Path) -> None:
    """The two tests below pass before anything is changed in them."""
    assert problems(tmp_path) == []


@pytest.mark.parametrize(
    "expect",
    [
        "{incident: P1}",
        "{title: shop on eu}",
        "{playbook: fix}",
        "{with: {app: shop, wait: 300s, why: shop on eu}}",
    ],
)
def test_rule_expectations_that_hold(expect: str, tmp_path: Path) -> None:
    """What is named is compared with what the service would do."""
    assert problems(tmp_path, RULE.replace("expect: {}", f"expect: {expect}")) == []


@pytest.mark.parametrize(
    ("old", "new", "place", "fragment"),
    [
        (
            "critical, env",
            "warning, env",
            "12:15",
            "matcher_failed): severity=\"critical\": severity is 'warning'",
        ),
        ("severity: critical, env", "env", "12:15", 'severity="critical": no such label'),
        ("env: prod", "env: dev", "12:15", 'when_false): event.labels.env != "dev"'),
        ("app: shop}", "app: shop, team: db}", "12:15", "earlier_rule_matched): taken by first"),
        ("expect: {}", "expect: {matched: false}", "12:25", "test 't': the rule matches"),
        ("expect: {}", "expect: {incident: P2}", "12:26", "expected priority P2, got P1"),
        ("expect: {}", "expect: {title: x}", "12:23", "expected 'x', got 'shop on eu'"),
        ("expect: {}", "expect: {playbook: other}", "12:26", "expected playbook other, got fix"),
        ("expect: {}", "expect: {with: {app: web}}", "12:28", "expected app to be 'web', got 'shop'"),
        ("expect: {}", "expect: {with: {wait: 1m}}", "12:29", "expected wait to be '1m', got 5m"),
        ("expect: {}", "expect: {with: {why: true}}", "12:28", "expected why to be true, got 'shop on eu'"),
        ("expect: {}", "expect: {with: {x: 1}}", "12:26", "expected x to be 1, and it is not given"),
    ],
)
def test_rule_expectations_that_do_not(old: str, new: str, place: str, fragment: str, tmp_path: Path) -> None:
    """The difference is told at the expectation, with the matcher or value that decided."""
    (found,) = problems(tmp_path, RULE.replace(old, new, 1 if old == "env: prod" else -1))
    assert found.startswith(f"b.yaml:{place}: test 't': ")
    assert fragment in found


def test_a_rule_s_test_may_read_vars(tmp_path: Path) -> None:
    """`${vars.NAME}` in the event and in what is expected is written out, so the test outlives a change of vars."""
    rule = RULE.replace("app: shop}", 'app: "${vars.site}"}')
    assert problems(tmp_path, rule.replace("expect: {}", 'expect: {title: "${vars.site} on eu"}')) == []
    (found,) = problems(tmp_path, rule.replace("expect: {}", 'expect: {with: {app: "not-${vars.site}"}}'))
    assert "expected app to be 'not-eu', got 'eu'" in found


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ('"${vars.sight}"', "sight"),
        ('"${1 + 1}"', "with its vars written out: "),
        ('"${1 +}"', "test 't': "),
    ],
)
def test_a_rule_s_test_that_cannot_be_written_out(text: str, fragment: str, tmp_path: Path) -> None:
    """A var that is not there, or is no text where a label stands, is a failed test."""
    (found,) = problems(tmp_path, RULE.replace("app: shop}", f"app: {text}}}"))
    assert fragment in found


def test_a_run_that_would_be_refused(tmp_path: Path) -> None:
    """A playbook expected is one that would start: inputs that do not fit are a failed test."""
    rule = RULE.replace("app: shop}", "app: A B}").replace("expect: {}", "expect: {playbook: fix}")
    (found,) = problems(tmp_path, rule)
    assert "playbook fix would be refused (bad_input): input 'app' must match" in found


def test_a_rule_that_is_expected_not_to_match(tmp_path: Path) -> None:
    """`matched: false` holds when the rule does not take the event."""
    rule = RULE.replace("env: prod", "env: dev", 1).replace("expect: {}", "expect: {matched: false}")
    assert problems(tmp_path, rule) == []


def test_a_rule_that_runs_nothing(tmp_path: Path) -> None:
    """A playbook is expected of a rule that has none."""
    rule = "- {name: r, priority: P1, when: 'true', tests: [{name: t, event: {}, expect: {playbook: fix}}]}\n"
    (found,) = problems(tmp_path, rule)
    assert "expected playbook fix, and the rule runs none" in found


CALLS = "[kubernetes.rollout_history, kubernetes.rollout_undo, http.check, http.check, http.check, flow.log, flow.log]"


@pytest.mark.parametrize(
    ("given", "expect"),
    [
        ("", f"{{outcome: verified, reason: verified, calls: {CALLS}}}"),
        ("", "{with: {undo_it: {to_revision: 4, deployment: shop}, say: {message: 'token ${secret.t}'}}}"),
        ("verify: false", "{outcome: unverified, reason: not_verified}"),
        ("verify.1: {status: 500}", "{outcome: unverified}"),
        ("steps.each: [{status: 200}, {fails: gone}]", "{outcome: verified}"),
        ("steps.each: {fails: gone}", "{outcome: failed, reason: step_failed}"),
        ("steps.told.say: {fails: mute}", "{outcome: failed}"),
        (
            "steps.undo_it: {fails: no}",
            "{calls: [kubernetes.rollout_history, kubernetes.rollout_undo, flow.log], outcome: failed}",
        ),
        (
            "steps.seen: {changed_ago: 2h, last_good: 4}",
            "{outcome: verified, with: {seen: {deployment: shop}}}",
        ),
    ],
)
def test_playbook_expectations_that_hold(given: str, expect: str, tmp_path: Path) -> None:
    """A playbook is run to its end on canned answers: waits, retries, items, checks, undo and `finally` included."""
    fix = FIX.replace("expect: {}", f"expect: {expect}")
    if given.startswith("steps.seen"):
        fix = fix.replace("steps.seen: {changed_ago: 600s, last_good: 4}", given)
    elif given.startswith("verify.1"):
        fix = fix.replace("verify.1: {status: 200}", given)
    elif given:
        fix = fix.replace("given: {", f"given: {{{given}, ")
    assert problems(tmp_path, fix=fix) == []


def test_an_undo_is_a_call_of_its_own(tmp_path: Path) -> None:
    """What is reversed shows in the calls, after what failed."""
    fix = FIX.replace("given: {", "given: {steps.each: {fails: gone}, ").replace(
        "expect: {}", "expect: {calls: []}"
    )
    (found,) = problems(tmp_path, fix=fix)
    assert (
        "http.check, undo kubernetes.rollout_undo, flow.log; the run ended failed, step_failed (step each: "
        in found
    )


@pytest.mark.parametrize(
    ("old", "new", "place", "fragment"),
    [
        (
            "expect: {}",
            "expect: {outcome: failed}",
            "32:23",
            "expected failed; the run ended verified, verified",
        ),
        ("expect: {}", "expect: {reason: done}", "32:22", "expected done; the run ended verified, verified"),
        (
            "expect: {}",
            "expect: {calls: [flow.log]}",
            "32:21",
            "expected the calls flow.log; got kubernetes.rollout_",
        ),
        ("expect: {}", "expect: {with: {nope: {a: 1}}}", "32:27", "step 'nope' makes no call; the run ended"),
        ("expect: {}", "expect: {with: {undo_it: {to_revision: 5}}}", "32:44", "to be 5, got 4"),
        (
            "expect: {}",
            "expect: {with: {say: {message: x}}}",
            "32:36",
            "expected message to be 'x', got a secret",
        ),
        (
            "steps.seen:",
            "steps.sen:",
            "29:5",
            "`given` names 'steps.sen', which this playbook does not have. ",
        ),
        (
            "last_good: 4",
            "last_god: 4",
            "29:5",
            "the result of kubernetes.rollout_history has no 'last_god'.",
        ),
        (
            "last_good: 4",
            "last_good: four",
            "29:5",
            "'last_good' is not what kubernetes.rollout_history results in",
        ),
        (
            "{changed_ago: 600s, last_good: 4}",
            "3",
            "29:5",
            "must be a map of its result, or {fails: message}",
        ),
        ("inputs: {app: shop}", "inputs: {ap: shop}", "29:5", "there is no input 'ap'"),
        ("inputs: {app: shop}", "inputs: {app: A}", "29:5", "input 'app' must match"),
        ("inputs: {app: shop}", "event: {label: {}}", "29:5", "the test's event: unknown key 'label'"),
    ],
)
def test_playbook_expectations_that_do_not(
    old: str, new: str, place: str, fragment: str, tmp_path: Path
) -> None:
    """What differs is told at the expectation; a test that makes no sense, at the test."""
    (found,) = problems(tmp_path, fix=FIX.replace(old, new))
    assert found.startswith(f"p.yaml:{place}: test 't': ")
    assert fragment in found


def test_required_inputs_a_test_does_not_care_about_are_made_up(tmp_path: Path) -> None:
    """A test names what it is about; other required inputs get a small value of their type."""
    inputs = (
        "inputs: {a: {}, b: {type: integer, minimum: 3}, c: {type: number, minimum: 0.5}, d: {enum: [x]}, "
        "e: {type: duration}, f: {type: boolean}, g: {type: list}, h: {type: map}, i: {type: number}}\n"
    )
    steps = 'steps:\n- {id: s, action: flow.log, with: {message: "${inputs.a} ${inputs.b} ${inputs.c} ${inputs.d}"}}\n'
    fix = "playbook: fix\n" + inputs + steps
    tests = "tests: [{name: t, expect: {with: {s: {message: a 3 0.5 x}}, outcome: succeeded}}]\n"
    rule = "- {name: r, priority: P1, when: 'true'}\n"
    assert problems(tmp_path, rule, fix + tests) == []


def test_results_with_any_fields_take_any_answer(tmp_path: Path) -> None:
    """An action whose result is open is answered with what the test says."""
    fix = (
        "playbook: fix\nsteps:\n- {id: pods, action: kubernetes.list, with: {namespace: a}, assert: result.n > 1}\n"
        "tests: [{name: t, given: {steps.pods: {n: 2}}, expect: {outcome: succeeded}}]\n"
    )
    assert problems(tmp_path, "- {name: r, priority: P1, when: 'true'}\n", fix) == []
