"""Doing something by hand: running, cancelling, pausing; and serving."""

from __future__ import annotations

import getpass
import json
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from typing import Any

import pytest

from runbookd.language.names import person
from tests.integration.cli.conftest import Runbookd

ME = f"cli:{getpass.getuser()}"


@pytest.mark.usefixtures("database")
def test_a_playbook_is_run_by_hand(runbookd: Runbookd) -> None:
    """Its steps are told as they end; the journal, the evidence and the ledger hold it with the name of who asked."""
    done = runbookd("run", "note", "--input", "host=db-1", "--input", "times=2")
    assert "steps/say  succeeded  looked at db-1" in done.stdout
    assert "succeeded in" in done.stdout
    (run,) = runbookd.json("runs")
    assert (run["state"], run["mode"], run["rule"], run["target"]) == ("succeeded", "act", None, "hosts/db-1")
    assert run["inputs"] == {"host": "db-1", "times": 2}
    (go,) = runbookd.json("audit", "show", "--stage", "plan")
    assert (go["what"], go["actor"], go["run_id"]) == ("go", ME, run["id"])
    runbookd("audit", "verify")


@pytest.mark.usefixtures("database")
def test_a_run_as_json_is_one_value(runbookd: Runbookd) -> None:
    """The machine form is the run as `runs show` gives it."""
    run = runbookd.json("run", "note", "--input", "host=db-1", "--observe")
    assert run["mode"] == "observe"
    assert run["state"] == "observed"
    assert run == runbookd.json("runs", "show", run["id"])


@pytest.mark.usefixtures("database")
def test_a_run_that_fails_is_exit_code_1(runbookd: Runbookd) -> None:
    """A run that did not end well is told with what failed."""
    done = runbookd("run", "give-up", code=1)
    assert "steps/fail  failed  nothing helps" in done.stdout
    assert "failed in" in done.stdout


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["ntoe"], 3, "there is no playbook 'ntoe'. Did you mean 'note'?"),
        (["note"], 2, "input 'host' is required"),
        (["note", "--input", "hots=a"], 2, "there is no input 'hots'"),
        (["note", "--input", "host=A B"], 2, "must match"),
        (["note", "--input", "host=a", "--input", "times=two"], 2, "must be an integer"),
        (["note", "--input", "host"], 2, "is not NAME=VALUE"),
        (["note", "--input", "host=${event.labels.host}"], 2, "host"),
    ],
)
def test_a_run_that_cannot_be_is_refused(runbookd: Runbookd, args: list[str], code: int, said: str) -> None:
    """A mistake in the playbook's name or its inputs starts nothing and says which."""
    assert said in runbookd("run", *args, code=code).stderr
    if runbookd.database.exists():
        assert runbookd.json("runs") == []


@pytest.mark.usefixtures("database")
def test_a_run_sees_the_event_it_is_given(runbookd: Runbookd) -> None:
    """Inputs may read an event given as a file, as a rule's do."""
    (runbookd.folder / "event.json").write_text(json.dumps({"labels": {"alertname": "X", "host": "db-7"}}))
    run = runbookd.json("run", "note", "--event", "event.json", "--input", "host=${event.labels.host}")
    assert run["inputs"]["host"] == "db-7"


@pytest.mark.usefixtures("database")
def test_protected_targets_bind_people_as_well(runbookd: Runbookd) -> None:
    """A protected target is refused with its reason, exit code 1, and the ledger keeps it."""
    config = runbookd.folder / "runbookd.toml"
    config.write_text('[reach]\nprotected = ["hosts/db-*"]\n')
    args = ["run", "note", "--input", "host=db-1", "--config", "runbookd.toml"]
    assert "refused: protected_target" in runbookd(*args, code=1).stdout
    assert runbookd.json(*args, code=1)["reason"] == "protected_target"
    assert {entry["what"] for entry in runbookd.json("audit", "show")} == {"protected_target"}
    assert runbookd.json(*args, "--observe")["state"] == "observed"


def begun(runbookd: Runbookd) -> tuple[subprocess.Popen[str], str]:
    """Start the slow playbook, and wait until it waits; returns the process and the run's id."""
    process = runbookd.begin("run", "slow", "--input", "host=db-1")
    assert process.stdout is not None
    identity = process.stdout.readline().split()[0]
    for line in process.stdout:
        if "steps/rest" in line:
            return process, identity
    raise AssertionError(process.communicate())


@pytest.mark.usefixtures("database")
def test_interrupted_once_a_run_is_cancelled(runbookd: Runbookd) -> None:
    """Ctrl-C asks the run to stop at its next step border, and it does."""
    process, identity = begun(runbookd)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "asked to stop" in err
    assert "cancelled (interrupted)" in out
    (run,) = runbookd.json("runs")
    assert (run["id"], run["state"]) == (identity, "cancelled")
    assert runbookd.json("audit", "show", "--what", "cancel_requested")[0]["actor"] == ME


@pytest.mark.usefixtures("database")
def test_interrupted_twice_a_run_is_left_to_the_service(runbookd: Runbookd) -> None:
    """A second Ctrl-C leaves a run whose call does not come back: exit code 130, and how it goes on."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        playbook = f"""
playbook: hang
steps:
  - {{id: say, action: flow.log, with: {{message: begun}}}}
  - {{id: call, action: http.request, with: {{url: "http://127.0.0.1:{deaf.getsockname()[1]}/"}}}}
"""
        (runbookd.folder / "playbooks" / "hang.yaml").write_text(playbook)
        process = runbookd.begin("run", "hang")
        connection, _ = deaf.accept()
        with connection:
            process.send_signal(signal.SIGINT)
            assert process.stderr is not None
            assert "once more" in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "A service on this database carries it on" in err
    (run,) = runbookd.json("runs")
    assert (run["state"], run["cancel_reason"]) == ("running", "interrupted")


@pytest.mark.usefixtures("database")
def test_another_terminal_can_cancel_and_the_lock_is_honoured(runbookd: Runbookd) -> None:
    """While a run holds a target another is refused; `runs cancel` stops it, once."""
    process, identity = begun(runbookd)
    locked = runbookd("run", "note", "--input", "host=db-1", code=1)
    assert f"target_locked: run {identity} is at work on target hosts/db-1" in locked.stdout
    assert identity in runbookd("runs", "cancel", identity[-6:], "--reason", "wrong host").stdout
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "cancelled (wrong host)" in out
    assert "has ended" in runbookd("runs", "cancel", identity, "--reason", "again", code=2).stderr
    runbookd("run", "note", "--input", "host=db-1")


@pytest.mark.usefixtures("database")
def test_a_pause_stops_runs_and_makes_new_ones_observe(runbookd: Runbookd) -> None:
    """`pause` stops what runs at its step border, new runs only observe, `resume` ends it; the ledger has both."""
    process, _ = begun(runbookd)
    done = runbookd("pause", "--reason", "maintenance")
    assert "nothing is changed from now on" in done.stdout
    assert "1 run under way" in done.stdout
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "cancelled (paused)" in out
    paused = runbookd.json("status")["paused"]
    assert (paused["by"], paused["reason"]) == (ME, "maintenance")
    assert f"by {person(ME)}: maintenance" in runbookd("status").stdout
    observed = runbookd("run", "note", "--input", "host=db-2")
    assert "nothing will be changed" in observed.stderr
    assert "observed in" in observed.stdout
    assert "runs act again" in runbookd("resume", "--reason", "done").stdout
    assert "nothing was paused" in runbookd("resume", "--reason", "done").stdout
    words = [entry["what"] for entry in runbookd.json("audit", "show", "--stage", "execute")]
    assert [word for word in words if word in {"paused", "resumed"}] == ["paused", "resumed"]
    assert runbookd.json("run", "note", "--input", "host=db-2")["state"] == "succeeded"


HOOKS = {"alertmanager": {"bearer": ["letmein"]}}


def serving(runbookd: Runbookd, **environment: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """Start the service, and wait until it says where it listens."""
    started = runbookd.having(
        {"RUNBOOKD_WEB__PORT": "0", "RUNBOOKD_WEB__HOOKS": json.dumps(HOOKS), **environment},
    )
    process = started.begin("serve")
    assert process.stderr is not None
    for line in process.stderr:
        entry: dict[str, Any] = json.loads(line)
        if entry["event"] == "started":
            return process, entry
    raise AssertionError(process.communicate())


def post(address: str, token: str) -> int:
    """Send one alert; returns the status."""
    body = json.dumps({"version": "4", "alerts": [{"status": "firing", "labels": {"alertname": "Broken"}}]})
    request = urllib.request.Request(
        f"{address}/v1/hooks/alertmanager", body.encode(), {"Authorization": f"Bearer {token}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_service_serves_until_it_is_told_to_stop(runbookd: Runbookd, number: signal.Signals) -> None:
    """It logs JSON to standard error, nothing to standard output, takes known senders in, and stops with 0."""
    process, started = serving(runbookd)
    assert post(started["address"], "letmein") == 202
    assert post(started["address"], "guess") == 401
    process.send_signal(number)
    out, err = process.communicate(timeout=40)
    assert process.returncode == 0
    assert out == ""
    assert [json.loads(line)["event"] for line in err.splitlines()][-1] == "stopped"
    taken_in = len(runbookd.json("events")) + runbookd.json("status")["queue"]["deliveries"]
    assert taken_in == 1
    assert runbookd.json("status")["services"][0]["stopped_at"]
    runbookd("audit", "verify")


def test_a_service_nobody_may_send_to_does_not_start(runbookd: Runbookd) -> None:
    """Without credentials for any hook it refuses, with the very variable and table to set: exit code 2."""
    done = runbookd("serve", code=2)
    assert "RUNBOOKD_WEB__HOOKS='{" in done.stderr
    assert "[web.hooks.alertmanager]" in done.stderr
    assert not runbookd.database.exists()


def test_a_port_that_is_taken_is_named(runbookd: Runbookd) -> None:
    """Two services on one port: the second says which port: exit code 2."""
    process, started = serving(runbookd)
    port = started["address"].rpartition(":")[2]
    second = runbookd.having(
        {"RUNBOOKD_WEB__PORT": port, "RUNBOOKD_WEB__HOOKS": json.dumps(HOOKS)},
    )
    done = second("--database", "second.db", "serve", code=2)
    assert f"cannot listen at 127.0.0.1:{port}" in done.stderr
    process.terminate()
    process.communicate(timeout=40)


def test_wrong_settings_are_named(runbookd: Runbookd) -> None:
    """An unknown setting or a wrong value is exit code 2, and says where."""
    (runbookd.folder / "runbookd.toml").write_text("databse = 'x'\n")
    done = runbookd("serve", "--config", "runbookd.toml", code=2)
    assert "unknown setting 'databse'" in done.stderr


@pytest.mark.usefixtures("database")
def test_a_held_target_is_listed_and_released_by_a_person(runbookd: Runbookd) -> None:
    """What a playbook holds is shown with who holds it; a release needs a reason, and lets others act again."""
    note = (runbookd.folder / "playbooks" / "note.yaml").read_text(encoding="utf-8")
    stop = note.replace("playbook: note", "playbook: stop\nholds_target: true", 1)
    (runbookd.folder / "playbooks" / "stop.yaml").write_text(stop, encoding="utf-8")
    assert "no target is held" in runbookd("holds").stderr
    runbookd("run", "stop", "--input", "host=db-1")
    assert "hosts/db-1" in runbookd("holds").stdout
    assert "hosts/db-1: `runbookd holds`" in runbookd("status").stdout
    refused = runbookd("run", "note", "--input", "host=db-1", code=1).stdout
    assert "target_on_hold: target hosts/db-1 is as stop left it" in refused
    assert "runbookd holds release hosts/db-1 --reason TEXT" in refused
    assert (
        "held are: hosts/db-1 (by stop)"
        in runbookd("holds", "release", "db-1", "--reason", "x", code=3).stderr
    )
    other = stop.replace("playbook: stop", "playbook: shut", 1)
    (runbookd.folder / "playbooks" / "shut.yaml").write_text(other, encoding="utf-8")
    runbookd("run", "shut", "--input", "host=db-1")
    unclear = runbookd("holds", "release", "hosts/db-1", "--reason", "clear", code=2)
    assert "held by stop, shut; say which with --playbook" in unclear.stderr
    left = runbookd("holds", "release", "hosts/db-1", "--playbook", "shut", "--reason", "open again")
    assert "hosts/db-1 is still held by stop" in left.stdout
    assert "released" in runbookd("holds", "release", "hosts/db-1", "--reason", "clear").stdout
    assert runbookd.json("holds") == []
    runbookd("run", "note", "--input", "host=db-1")
    assert runbookd.json("audit", "show", "--what", "target_released")[0]["actor"] == ME


@pytest.mark.usefixtures("database")
def test_a_run_that_was_refused_its_change_holds_nothing(runbookd: Runbookd) -> None:
    """It says that nothing was changed, at once and later; its target is free, and does not rest."""
    stop = "playbook: stop\ntarget: hosts/db-1\nholds_target: true\n"
    stop += "steps: [{id: stop, action: command.run, with: {command: unlisted}}]\n"
    (runbookd.folder / "playbooks" / "stop.yaml").write_text(stop, encoding="utf-8")
    done = runbookd("run", "stop", code=1).stdout
    assert "steps/stop  failed" in done
    assert done.rstrip().endswith(": nothing was changed")
    assert runbookd.json("holds") == []
    (released,) = runbookd.json("audit", "show", "--what", "target_released")
    assert released["actor"] == "runbookd"
    assert ": nothing was changed" in runbookd("runs", "show", released["run_id"]).stdout
    runbookd("run", "note", "--input", "host=db-1")


@pytest.mark.usefixtures("database")
def test_what_a_person_shuts_goes_before_what_is_at_work_there(runbookd: Runbookd) -> None:
    """The run at work on the target is asked to stop, and the person's begins as soon as it has; both hold it then."""
    text = (runbookd.folder / "playbooks" / "note.yaml").read_text(encoding="utf-8")
    shut = text.replace("playbook: note", "playbook: shut\nholds_target: true", 1)
    (runbookd.folder / "playbooks" / "shut.yaml").write_text(shut, encoding="utf-8")
    process, identity = begun(runbookd)
    done = runbookd("run", "shut", "--input", "host=db-1")
    assert f"run {identity} is at work there and asked to stop; this one begins when it has" in done.stderr
    assert "gives way to shut, started by hand" in process.communicate(timeout=40)[0]
    assert process.returncode == 1
    assert [hold["playbook"] for hold in runbookd.json("holds")] == ["shut"]
