"""What a person does about an incident is a command, and is done whatever state the files are in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from tests.acceptance.people import house, ladder, mailed
from tests.integration.cli.conftest import Runbookd, alert

Tell = Callable[..., Awaitable[None]]
LADDER = """
escalations:
  ladder: [{on_breach: resolve, page: ["webhook:chat"]}]
"""


@pytest.fixture
async def incident(runbookd: Runbookd, told: Tell) -> str:
    """The id of an open incident."""
    await told(alert("Broken"))
    (one,) = runbookd.json("incidents")
    return str(one["id"])


def acts(runbookd: Runbookd) -> list[tuple[str, str]]:
    """What people did, and what they said, by the ledger; the first first."""
    entries = runbookd.json("audit", "show")
    return [
        (one["what"], one["detail"].get("text", "")) for one in entries if one["what"].startswith("person_")
    ]


def test_each_command_does_its_act_once(runbookd: Runbookd, incident: str) -> None:
    """Taken, handed on, written about and ended: each is in the ledger with who did it and why."""
    short = incident[-8:]
    assert "levels that wait for that stop" in runbookd("ack", short).stdout
    assert "has it already" in "".join(runbookd("ack", short).stderr)
    assert f"anna leads incident {incident}" in runbookd("assign", short, "anna").stdout
    assert runbookd("note", short, "the vendor is on it").stdout.startswith("noted")
    assert "is resolved" in runbookd("resolve", short, "--reason", "restarted by hand").stdout
    assert "is over already" in runbookd("resolve", short, "--reason", "again").stderr
    for late in (("ack",), ("assign", "bert"), ("escalate", "--reason", "help")):
        refused = runbookd(late[0], short, *late[1:], code=2)
        assert "is over already: nothing was done" in refused.stderr
    done = acts(runbookd)
    assert sorted(done) == sorted(
        [
            ("person_acknowledge", ""),
            ("person_assign", "anna"),
            ("person_note", "the vendor is on it"),
            ("person_resolve", "restarted by hand"),
        ]
    )
    (shown,) = runbookd.json("incidents")
    assert shown["state"] == "resolved"


@pytest.mark.parametrize(
    "args",
    [
        ("note", "ID", " "),
        ("resolve", "ID", "--reason", ""),
        ("escalate", "ID", "--reason", "\t"),
        ("pause", "--reason", ""),
    ],
    ids=lambda args: args[0],
)
def test_nothing_is_said_with_nothing(runbookd: Runbookd, incident: str, args: tuple[str, ...]) -> None:
    """A blank text or reason is bad usage, and nothing is done."""
    refused = runbookd(*(incident if one == "ID" else one for one in args), code=2)
    assert "it is empty; say something" in refused.stderr
    assert acts(runbookd) == []


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("assign", ""), "it is empty"),
        (("assign", "anna\nbert"), "a name is one line"),
        (("assign", "\u202eanna"), "without characters that cannot be seen"),
        (("assign", "x" * 101), "it has 101 characters; at most 100 are taken"),
        (("note", "x" * 10_001), "it has 10001 characters; at most 10000 are taken"),
    ],
    ids=["empty", "lines", "unseen", "long", "note"],
)
def test_what_the_api_does_not_take_is_not_taken_here(
    runbookd: Runbookd, incident: str, args: tuple[str, str], says: str
) -> None:
    """A name is one line that can be seen, a note as long as at any door: else it is bad usage and nothing is done."""
    assert says in runbookd(args[0], incident, args[1], code=2).stderr
    assert acts(runbookd) == []


def test_an_incident_that_is_not_there(runbookd: Runbookd, incident: str) -> None:
    """Its id is told, and where the others are listed."""
    assert "runbookd incidents" in runbookd("ack", "nosuchid", code=3).stderr
    assert (
        "no priority 'P9'"
        in runbookd("escalate", incident, "--priority", "P9", "--reason", "x", code=3).stderr
    )


def test_a_priority_is_only_raised(runbookd: Runbookd, incident: str) -> None:
    """The refusal begins with the priority's own name."""
    rules = runbookd.folder / "rules" / "rules.yaml"
    rules.write_text(rules.read_text().replace("rules:\n", "  P3: {name: Low}\nrules:\n", 1))
    refused = runbookd("escalate", incident, "--priority", "P3", "--reason", "calmer", code=2).stderr
    assert refused.startswith("error: P3 is lower than P1")


def test_a_file_that_somebody_has_broken_stops_nobody(runbookd: Runbookd, incident: str) -> None:
    """The incident is ended all the same, and the mistake is told with its place."""
    (runbookd.folder / "rules" / "edited.yaml").write_text("rules: [\n")
    done = runbookd("resolve", incident, "--reason", "mended by hand")
    assert "is resolved" in done.stdout
    assert "edited.yaml" in done.stderr
    assert "done without that file" in done.stderr


def test_a_priority_when_no_file_stands_is_told_with_none(runbookd: Runbookd, incident: str) -> None:
    """Whoever asks for one where none can be read is told so, and nothing is left out at the end of the sentence."""
    (runbookd.folder / "rules" / "rules.yaml").write_text("rules: [\n")
    refused = runbookd("escalate", incident, "--priority", "P0", "--reason", "x", code=3)
    assert refused.stderr.endswith("there is no priority 'P0'; there are: none\n")


async def test_a_level_shows_when_it_was_told_and_who_called(runbookd: Runbookd, told: Tell) -> None:
    """The first time and the last, though its row knows the last only; a call by hand is no time of its own."""
    rules = runbookd.folder / "rules" / "rules.yaml"
    known = {"P1: {name: High,": "P1: {name: High, escalation: ladder,", "rules:\n": f"{LADDER}rules:\n"}
    for before, after in known.items():
        rules.write_text(rules.read_text().replace(before, after, 1))
    await told(alert("Broken"))
    (incident,) = runbookd.json("incidents")
    runbookd("escalate", incident["id"], "--reason", "needs a DBA")
    await told()
    text = runbookd("incidents", "show", incident["id"]).stdout
    (level,) = [line for line in text.splitlines() if "page webhook:chat" in line]
    story = runbookd.json("incidents", "show", incident["id"])["timeline"]
    (at,) = [one["at"] for one in story if one["what"] == "level_fired"]
    assert f"{at[:19].replace('T', ' ')} by hand" in level


async def test_a_level_of_which_only_the_notice_got_through_says_so(runbookd: Runbookd) -> None:
    """Its page reached nobody: whom its notice told stands there alone."""
    levels = [{"after": "0m", "page": ["l1"], "notify": ["boss"]}]
    async with house(runbookd.folder, ladder(levels, mailed("l1", "boss"))) as home:
        home.voices.deaf = {"l1@example.com"}
        incident = await home.breaks()
    text = runbookd("incidents", "show", incident.id).stdout
    (level,) = [line for line in text.splitlines() if "page l1, boss" in line]
    assert "boss alone, called at 2026-01-05 12:00:00" in level
