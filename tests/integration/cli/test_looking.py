"""Looking at what happened."""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing

import pytest

from runbookd.wiring import wire
from tests.integration.cli.conftest import Runbookd, alert

Tell = Callable[..., Awaitable[None]]
HOSTILE = "a\x1b[2Jb\nc"


async def test_an_incident_is_shown_with_its_story(runbookd: Runbookd, told: Tell) -> None:
    """List, show and the machine form agree; an id may be cut at either end."""
    await told(alert("DiskFull", host="db-1", severity="critical"), alert("Broken", note=HOSTILE))
    found = runbookd.json("incidents", "--rule", "disk-full")
    assert [incident["title"] for incident in found] == ["Disk of db-1 is full"]
    identity = found[0]["id"]
    assert identity in runbookd("incidents", "list", "--state", "open").stdout
    text = runbookd("incidents", "show", identity[-6:]).stdout
    for part in (
        "acknowledge",
        "running",
        "left",
        "DiskFull  host=db-1",
        "note",
        "incident_opened",
        "matched",
    ):
        assert part in text
    whole = runbookd.json("incidents", "show", identity)
    assert [run["playbook"] for run in whole["runs"]] == ["note"]
    assert {clock["kind"] for clock in whole["clocks"]} == {"acknowledge", "respond"}
    assert whole["opened_at"].endswith("Z")
    assert [entry["what"] for entry in whole["timeline"]][:2] == ["matched", "incident_opened"]


async def test_a_run_is_shown_step_by_step(runbookd: Runbookd, told: Tell) -> None:
    """Steps with their messages, evidence with its content byte by byte."""
    await told(alert("DiskFull", host="db-1", severity="critical"), alert("Broken"))
    (run,) = runbookd.json("runs", "--state", "succeeded")
    text = runbookd("runs", "show", run["id"]).stdout
    assert "looked at db-1" in text
    assert "listing" in text
    shown = runbookd.json("runs", "show", run["id"])
    assert [step["path"] for step in shown["steps"]] == ["steps/say", "steps/keep"]
    assert shown["inputs"] == {"host": "db-1", "times": 1}
    assert "host=db-1  times=1" in text
    assert runbookd("runs", "evidence", run["id"], "listing").stdout == "a\nb\n"
    assert "it kept: listing" in runbookd("runs", "evidence", run["id"], "lsting", code=3).stderr
    (failed,) = runbookd.json("runs", "--playbook", "give-up")
    assert "nothing helps" in runbookd("runs", "show", failed["id"]).stdout


@pytest.mark.usefixtures("database")
def test_long_inputs_are_cut_for_people(runbookd: Runbookd) -> None:
    """A whole program that was given as an input is shown by its beginning; JSON has all of it."""
    runbookd("run", "note", "--input", f"host=db-1{'x' * 200}")
    (run,) = runbookd.json("runs")
    assert f"host=db-1{'x' * 76}…" in runbookd("runs", "show", run["id"]).stdout.replace("\n", "")
    assert runbookd.json("runs", "show", run["id"])["inputs"]["host"] == f"db-1{'x' * 200}"


async def test_events_are_shown_with_every_rules_reason(runbookd: Runbookd, told: Tell) -> None:
    """What a sender told, what became of it, and why each rule took it or not."""
    await told(alert("DiskFull", host="db-1", severity="critical"), alert("Nobody", note=HOSTILE))
    events = runbookd.json("events")
    assert {event["event"]["name"]: event["outcome"] for event in events} == {
        "DiskFull": "new_alert",
        "Nobody": "unmatched",
    }
    listed = runbookd("events", "--outcome", "unmatched").stdout
    assert "Nobody" in listed
    assert "DiskFull" not in listed
    text = runbookd("events", "show", events[0]["id"]).stdout
    assert "unmatched" in text


async def test_senders_text_is_printed_harmless(runbookd: Runbookd, told: Tell) -> None:
    """No control character of a label reaches the terminal, and no label makes a line of its own."""
    await told(alert("Broken", note=HOSTILE))
    (incident,) = runbookd.json("incidents")
    text = runbookd("incidents", "show", incident["id"]).stdout
    assert "note=a\\x1b[2Jb c" in text
    assert "\x1b" not in text


async def test_what_is_not_there_is_exit_code_3(runbookd: Runbookd, told: Tell) -> None:
    """An unknown id is not found; too short a part is bad usage; a part of several ids lists them."""
    await told(alert("DiskFull", host="db-1", severity="critical"), alert("Broken"))
    for kind in ("runs", "incidents", "events"):
        assert "begins or ends with" in runbookd(kind, "show", "zzzzzzzz", code=3).stderr
        assert "give at least 4" in runbookd(kind, "show", "abc", code=2).stderr
        ids = [one["id"] for one in runbookd.json(kind)]
        ambiguous = runbookd(kind, "show", ids[0][:9], code=2).stderr
        assert all(identity in ambiguous for identity in ids)


async def test_nothing_found_is_said(runbookd: Runbookd, told: Tell) -> None:
    """An empty list prints nothing on standard output, and says so beside it."""
    await told(alert("Nobody"))
    for command in (
        ["runs"],
        ["incidents"],
        ["events", "--name", "x"],
        ["audit", "show", "--what", "paused"],
    ):
        done = runbookd(*command)
        assert done.stdout == ""
        assert done.stderr.startswith("no ")
    assert runbookd.json("runs") == []


async def test_status_says_how_things_stand(runbookd: Runbookd, told: Tell) -> None:
    """One screen, and the same as JSON."""
    await told(alert("DiskFull", host="db-1", severity="critical"))
    text = runbookd("status").stdout
    assert "ok, not paused" in text
    assert "1 open (1 P1)" in text
    found = runbookd.json("status")
    assert found["open_incidents"] == {"P1": 1}
    assert found["firing_alerts"] == 1
    assert found["queue"] == {"deliveries": 0, "oldest": None}
    assert found["head"]["seq"] == len(runbookd.json("audit", "show"))


async def test_the_ledger_is_shown_by_what_it_is_about(runbookd: Runbookd, told: Tell) -> None:
    """Entries are filtered by incident, run, event, stage and kind, and the newest come last."""
    await told(alert("DiskFull", host="db-1", severity="critical"), alert("Broken"))
    entries = runbookd.json("audit", "show")
    assert [entry["seq"] for entry in entries] == list(range(1, len(entries) + 1))
    assert runbookd.json("audit", "show", "--limit", "2") == entries[-2:]
    run = runbookd.json("runs", "--playbook", "note")[0]["id"]
    about = runbookd.json("audit", "show", "--run", run[-6:])
    assert {entry["run_id"] for entry in about} == {run}
    assert {entry["stage"] for entry in runbookd.json("audit", "show", "--stage", "plan")} == {"plan"}
    assert "run_succeeded" in runbookd("audit", "show", "--run", run).stdout


async def test_a_whole_ledger_verifies_and_a_changed_one_does_not(runbookd: Runbookd, told: Tell) -> None:
    """The database and its export verify; one changed word in either is found, with its number: exit code 1."""
    await told(alert("DiskFull", host="db-1", severity="critical"), alert("Broken"))
    text = runbookd("audit", "verify").stdout
    assert "the ledger is whole" in text
    assert "a second" not in text
    for name in ("ledger.jsonl", "ledger.jsonl.gz"):
        runbookd("audit", "export", "--to", name)
        assert runbookd.json("audit", "verify", "--file", name)["ok"] is True
        assert "is there already" in runbookd("audit", "export", "--to", name, code=2).stderr
    lines = gzip.decompress((runbookd.folder / "ledger.jsonl.gz").read_bytes())
    assert lines.decode() == runbookd("audit", "export", "--to", "-").stdout
    changed = lines.decode().replace("nothing helps", "nothing hurts")
    (runbookd.folder / "changed.jsonl").write_text(changed)
    fault = runbookd.json("audit", "verify", "--file", "changed.jsonl", code=1)["fault"]
    assert "its text was changed" in fault
    with closing(sqlite3.connect(runbookd.database)) as database, database:
        database.execute("DROP TRIGGER IF EXISTS ledger_is_append_only_update")
        _allow_changes(database)
        database.execute("UPDATE ledger SET text = replace(text, 'db-1', 'db-2')")
    assert "its text was changed" in runbookd("audit", "verify", code=1).stdout


def _allow_changes(database: sqlite3.Connection) -> None:
    """Take away what keeps the ledger from being changed, as somebody with the file could."""
    triggers = database.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall()
    for (name,) in triggers:
        database.execute(f'DROP TRIGGER "{name}"')


async def test_a_tail_cut_off_is_found_by_a_noted_head(runbookd: Runbookd, told: Tell) -> None:
    """A chain that is shorter than it was is whole by itself, and found out by the head noted before."""
    await told(alert("DiskFull", host="db-1", severity="critical"))
    head = runbookd.json("audit", "verify")["head"]
    noted = f"{head['seq']}:{head['hash']}"
    runbookd("audit", "verify", "--head", noted)
    lines = runbookd("audit", "export", "--to", "-").stdout.splitlines(keepends=True)
    (runbookd.folder / "cut.jsonl").write_text("".join(lines[:-1]))
    runbookd("audit", "verify", "--file", "cut.jsonl")
    found = runbookd("audit", "verify", "--file", "cut.jsonl", "--head", noted, code=1)
    assert "cut off" in found.stdout
    assert "as `audit verify` printed it" in runbookd("audit", "verify", "--head", "x", code=2).stderr
    (runbookd.folder / "junk.jsonl").write_text(json.dumps({"seq": 1}))
    assert "junk.jsonl:1: not a line" in runbookd("audit", "verify", "--file", "junk.jsonl", code=2).stderr


async def test_explain_asks_the_guards(runbookd: Runbookd, told: Tell) -> None:
    """With a database, what the guards would answer now is told, and that a repeat is no news."""
    given = alert("DiskFull", host="db-1", severity="critical")
    await told(given)
    (runbookd.folder / "event.json").write_text(json.dumps(given))
    (found,) = runbookd.json("explain", "event.json")
    assert found["episode"].startswith("repeat")
    assert found["taken"][0]["now"]["reason"] == "looked_lately"
    assert (
        "looked_lately: the last run for this key changed nothing" in runbookd("explain", "event.json").stdout
    )
    runbookd("pause", "--reason", "x")
    (runbookd.folder / "event.json").write_text(
        json.dumps(alert("DiskFull", host="db-2", severity="critical"))
    )
    (found,) = runbookd.json("explain", "event.json")
    assert found["episode"] is None
    assert found["taken"][0]["now"] == {
        "reason": "go",
        "detail": "but the service is paused: it would only observe",
    }


async def test_dead_letters_can_be_looked_at(runbookd: Runbookd) -> None:
    """They are counted, listed and shown with their reason; the body comes out byte by byte."""
    body = b'{"alerts": nope'
    async with wire(runbookd.settings()) as parts:
        receipt = await parts.pipeline.receive(
            "alertmanager", body, {"user-agent": "Alertmanager/0.28"}, None
        )
    identity = receipt.delivery.id
    assert runbookd.json("status")["dead_letters"]["deliveries"] == 1
    assert "1 dead letter, the last" in runbookd("status").stdout
    (listed,) = runbookd.json("events", "--dead-letters")
    assert (listed["id"], listed["bytes"], listed["state"]) == (identity, len(body), "dead")
    assert listed["reason"]
    assert identity in runbookd("events", "--dead-letters").stdout
    assert "are of no rule" in runbookd("events", "--dead-letters", "--rule", "x", code=2).stderr
    text = runbookd("events", "show", identity).stdout
    assert listed["reason"] in text
    assert "user-agent  Alertmanager/0.28" in text
    done = runbookd("events", "show", identity, "--body")
    assert done.stdout.encode() == body
    assert "there is no delivery" in runbookd("events", "show", "dlv-nowhere", code=3).stderr


async def test_a_delivery_names_its_events(runbookd: Runbookd, told: Tell) -> None:
    """A delivery that was understood is shown with the events taken from it, and its entries in the ledger."""
    await told(alert("DiskFull", host="db-1", severity="critical"), alert("Nobody"))
    events = runbookd.json("events")
    delivery = runbookd.json("events", "show", events[0]["delivery_id"])
    assert [event["event"]["name"] for event in delivery["events"]] == ["DiskFull", "Nobody"]
    assert delivery["timeline"]
    assert "Nobody" in runbookd("events", "show", events[0]["delivery_id"]).stdout
    assert "--body is of a delivery" in runbookd("events", "show", events[0]["id"], "--body", code=2).stderr
