"""A run is verified when the world has been as it should be for long enough, and not before."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.stages.run_of import BEGIN, Canned, RunOf, fails, ok

CHECK = "verify: [{{action: read, every: 10s, within: 60s, {keys}}}]"
RESOLVED = "verify: [{check: alert_resolved, within: 15m}]"


def checked(keys: str = "timeout: 1s", **looks: Canned) -> RunOf:
    """A run of one check; looks by `look_N`, counted from 1, each a success unless given."""
    answers = {f"verify/0@{name.removeprefix('look_')}": answer for name, answer in looks.items()}
    return RunOf(CHECK.format(keys=keys), answers)


def bad(*numbers: int) -> dict[str, Any]:
    """Looks that see trouble."""
    return {f"look_{number}": fails("down") for number in numbers}


def test_one_good_look_verifies() -> None:
    """Without `for` a single good look is enough."""
    run = checked()
    assert run.to_the_end().state == "verified"
    assert run.calls == ["verify/0@1"]
    assert run.state("verify") == run.state("verify/0") == "succeeded"


def test_looks_come_every_so_often() -> None:
    """After a bad look the next comes `every` later, counted from the beginning of the last."""
    run = checked(**bad(1, 2))
    run.look()
    run.at(4)
    moves = run.answer()
    assert moves.due == run.at(10).now
    assert [start.record.path for start in run.look().starts] == ["verify/0@2"]
    assert run.to_the_end().state == "verified"
    assert run.seconds() == 20


def test_for_needs_an_unbroken_run_of_good_looks() -> None:
    """One bad look in between begins the count anew."""
    run = checked("for: 20s", **bad(3))
    assert run.to_the_end().state == "verified"
    assert run.seconds() == 50


def test_within_is_the_end() -> None:
    """A check that has not held when its time is up is not verified, with what the last look said."""
    run = checked(**bad(1, 2, 3, 4, 5, 6, 7))
    finish = run.to_the_end()
    assert (finish.state, finish.reason) == ("unverified", "not_verified")
    assert finish.message == "read did not hold within 1m: down"
    assert run.seconds() == 60
    assert len(run.calls) == 6


def test_a_good_look_that_comes_late_counts() -> None:
    """A look begun in time and answered after it still tells that the trouble is gone."""
    run = checked(**bad(1))
    run.look()
    run.answer()
    run.at(59).look()
    run.at(65)
    assert run.answer().finish is not None
    assert run.state("verify") == "succeeded"


def test_a_check_says_what_is_missing_in_its_own_words() -> None:
    """A check's `message` stands where the assertion would, in the look and in what the run ends with."""
    told = 'assert: result.n == 2, message: "${result.n} of 2 are there"'
    run = checked(told, **{f"look_{number}": ok(n=1) for number in range(1, 8)})
    finish = run.to_the_end()
    assert run.row("verify/0@1").message == "1 of 2 are there"
    assert finish.message == "read did not hold within 1m: 1 of 2 are there"


def test_an_assertion_judges_a_look() -> None:
    """A check's `assert` is held against what its look found."""
    run = checked("assert: result.n == 2", look_1=ok(n=1), look_2=ok(n=2))
    run.to_the_end()
    assert run.calls == ["verify/0@1", "verify/0@2"]
    assert run.state("verify/0@1") == "failed:assert_false"


def test_a_look_that_cannot_be_made_is_a_bad_look() -> None:
    """A check whose parameters cannot be computed never holds, and says why when its time is up."""
    run = checked('with: {n: "${inputs.gone}"}')
    finish = run.to_the_end()
    assert finish.state == "unverified"
    assert "gone" in finish.message
    assert run.seconds() == 60


def test_a_check_that_was_never_looked_at_says_only_that_it_was_late() -> None:
    """A service that was away for the whole time has nothing to say of what it did not see."""
    run = RunOf("verify: [{check: alert_resolved, within: 1h}, {action: read, within: 10s}]")
    run.look()
    run.rows = {key: row for key, row in run.rows.items() if key[0] == "verify"}
    finish = run.at(30).crash().to_the_end()
    assert finish.message == "read did not hold within 10s"


def test_a_look_cut_off_is_made_again() -> None:
    """Looking changes nothing, so a crash in the middle of a look costs only time."""
    run = checked()
    run.look()
    run.crash()
    assert run.to_the_end().state == "verified"
    assert run.calls == ["verify/0@1", "verify/0@1"]


def test_checks_see_the_steps() -> None:
    """What a check asks may depend on what the steps found."""
    text = "steps: [{id: a, action: read}]\nverify: [{action: read, with: {n: '${steps.a.n}'}}]"
    run = RunOf(text, {"steps/a": ok(n=3)})
    run.to_the_end()
    assert run.row("verify/0@1").params == {"n": 3}


def test_all_checks_must_hold_and_one_that_is_late_ends_it() -> None:
    """Checks go on side by side; the first whose time is up decides, without waiting for the others."""
    text = "verify: [{action: read, within: 10m}, {action: read, within: 20s, every: 10s}]"
    run = RunOf(text, {"verify/1@1": fails("down"), "verify/1@2": fails("down")})
    finish = run.to_the_end()
    assert (finish.state, run.seconds()) == ("unverified", 20)
    good = RunOf(text, {"verify/1@1": fails("down")})
    assert good.to_the_end().state == "verified"
    assert good.calls == ["verify/0@1", "verify/1@1", "verify/1@2"]


def test_a_check_under_way_does_not_hold_up_the_verdict_of_another() -> None:
    """A look that hangs does not keep a check that is late from ending the run."""
    run = RunOf("verify: [{action: read, within: 10m}, {check: alert_resolved, within: 20s}]")
    assert run.look().due == run.at(20).now
    assert run.look().finish is not None


# the alert itself --------------------------------------------------------------------------------------------


def test_the_alerts_resolve_verifies() -> None:
    """Nobody is asked: the run waits, and the resolve that wakes it verifies it."""
    run = RunOf(RESOLVED)
    assert run.look().due == run.at(900).now
    run.at(30)
    run.alert = "resolved"
    finish = run.look().finish
    assert finish is not None
    assert finish.state == "verified"
    assert run.calls == []


def test_an_alert_that_goes_on_firing_is_not_verified() -> None:
    """When the time is up and the alert still fires, the remedy did not help."""
    finish = RunOf(RESOLVED).to_the_end()
    assert (finish.state, finish.message) == (
        "unverified",
        "alert_resolved did not hold within 15m: the alert still fires",
    )


def test_a_run_without_an_alert_has_none_to_wait_for() -> None:
    """A run started by hand skips the check, and says so."""
    run = RunOf(RESOLVED, alert="")
    assert run.to_the_end().state == "verified"
    assert run.state("verify/0") == "skipped:no_alert"


# stopping ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["verify: [{action: read}]", "verify: [{action: read, every: 5m, within: 50m}]", RESOLVED]
)
def test_a_cancel_stops_the_checks(text: str) -> None:
    """No look begins once the run is to stop; one under way is waited for."""
    run = RunOf(text, {"verify/0@1": fails()})
    run.look()
    run.cancel = "stop"
    assert run.to_the_end().state == "cancelled"
    assert run.calls == (["verify/0@1"] if "read" in text else [])


def test_a_cancel_before_the_checks_begin() -> None:
    """Checks do not begin in a run that is to stop."""
    run = RunOf("steps: [{action: read}]\nverify: [{action: read}]")
    run.look()
    run.cancel = "stop"
    assert run.to_the_end().state == "cancelled"
    assert "verify" not in {path for path, _ in run.rows}


def test_the_deadline_ends_the_checks() -> None:
    """A run whose checks outlast its deadline has failed by it."""
    run = RunOf("deadline: 1m\n" + RESOLVED)
    assert run.to_the_end().reason == "deadline"
    assert run.now == BEGIN.replace(minute=1)
