"""The shipped roles, ladders and words are the operations runbook's, and leave nobody out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from runbookd.actions.catalogue import ActionCatalogue
from runbookd.content.load import examine, load
from runbookd.language.facts import FACTS, PUBLIC, PUBLIC_FACTS, WORDS, example
from runbookd.language.media import Medium
from runbookd.language.messages import render
from runbookd.model.library import Library
from runbookd.settings import shipped

HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "tell-people.md"

MEDIA: tuple[Medium, ...] = ("text", "html", "slack")

ROTATION = {
    "l1-support": ("on-call-l1@yourdomain.com", "backup-l1@yourdomain.com", "always"),
    "l2-engineering": ("on-call-l2@yourdomain.com", "backup-l2@yourdomain.com", "always"),
    "l3-senior": ("on-call-l3@yourdomain.com", "backup-l3@yourdomain.com", "office"),
}
"""The on-call rotation: primary, secondary, hours."""

CONTACTS = {
    "l1-support": ("#l1-support", "on-call-l1@yourdomain.com"),
    "l2-engineering": ("#l2-engineering", "on-call-l2@yourdomain.com"),
    "security-team": ("#security-incident", "security@yourdomain.com"),
    "engineering-manager": (None, "eng-manager@yourdomain.com"),
    "product": (None, "product@yourdomain.com"),
    "cto": (None, "cto@yourdomain.com"),
}
"""The contact information: Slack and mail."""

LADDERS = {
    "system-down": [
        (0, "", "slack:#critical-alerts"),
        (2, "resolved", "page l2-engineering"),
        (5, "", "engineering-manager"),
        (10, "resolved", "page l3-senior"),
    ],
    "security-breach": [
        (0, "", "page ciso"),
        (0, "", "page security-team"),
        (5, "", "legal-compliance"),
        (15, "", "legal-compliance"),
    ],
}
"""What the emergency procedures say: after how many minutes, unless what, and who."""


@pytest.fixture(scope="module")
def library() -> Library:
    """The shipped content."""
    return load(shipped("rules"), shipped("playbooks"), ActionCatalogue())


def test_the_samples_of_the_howto_can_be_copied(tmp_path: Path) -> None:
    """Each YAML on the page is content that passes `check` by itself, without a warning."""
    samples = re.findall(r"^```yaml\n(.*?)^```", HOWTO.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert samples
    for number, sample in enumerate(samples):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "people.yaml").write_text(sample)
        report = examine(folder, [], ActionCatalogue())
        assert (report.problems, report.warnings) == ((), ())


def rungs(library: Library, name: str) -> Iterator[tuple[int | str, str, str]]:
    """Each reach of a ladder, with when it comes and what keeps it from coming."""
    for level in library.escalations[name].root:
        when = str(level.on_breach) if level.after is None else level.after // timedelta(minutes=1)
        for reach in [*(f"page {each}" for each in level.page), *level.notify]:
            yield when, level.unless or "", reach


def test_the_rotation(library: Library) -> None:
    """The on-call rotation is the runbook's table."""
    for name, (primary, secondary, hours) in ROTATION.items():
        role = library.roles[name]
        assert role.secondary is not None
        assert (role.primary.email, role.secondary.email, role.hours) == (primary, secondary, hours)


def test_the_contacts(library: Library) -> None:
    """Teams and management are reached where the runbook says."""
    for name, (slack, email) in CONTACTS.items():
        primary = library.roles[name].primary
        assert (primary.slack, primary.email) == (slack, email)


@pytest.mark.parametrize("name", LADDERS)
def test_the_ladders(library: Library, name: str) -> None:
    """Every step of an emergency procedure's escalation is in the ladder, when and unless what it says."""
    assert set(LADDERS[name]) <= set(rungs(library, name))
    rule = next(rule for rule in library.rules if rule.name == name)
    assert (rule.escalation, rule.priority) == (name, "P0")


def test_the_matrix(library: Library) -> None:
    """Each automatic trigger of the escalation matrix pages somebody, in every ladder of its priority."""
    p0, p1 = library.priorities["P0"], library.priorities["P1"]
    assert (p0.acknowledge_within, p0.resolve_within) == (timedelta(minutes=5), timedelta(minutes=30))
    assert p1.resolve_within == timedelta(hours=2)
    of_p0 = {rule.escalation or p0.escalation for rule in library.rules if rule.priority == "P0"}
    of_p1 = {rule.escalation or p1.escalation for rule in library.rules if rule.priority == "P1"}
    assert {"system-down", "security-breach", "data-loss"} < of_p0
    for name in of_p0:
        paged = {when for when, _, reach in rungs(library, str(name)) if reach.startswith("page ")}
        assert {"acknowledge", "resolve"} <= paged
    for name in of_p1:
        assert "resolve" in {
            when for when, _, reach in rungs(library, str(name)) if reach.startswith("page ")
        }
    many = library.priorities["P2"].many
    assert many is not None
    assert (many.of, many.within, many.escalation) == (2, timedelta(hours=24), "p2-many")


def test_every_priority_reaches_somebody_at_once(library: Library) -> None:
    """No incident waits in silence: each priority's own ladder begins when it opens."""
    for priority in library.priorities.values():
        assert library.escalations[str(priority.escalation)].root[0].after == timedelta()


def test_there_are_words_for_everything(library: Library) -> None:
    """Every message that is sent has its words."""
    assert library.messages.keys() == WORDS.keys()


@pytest.mark.parametrize("medium", MEDIA)
@pytest.mark.parametrize("known", [True, False])
def test_the_words_are_whole(library: Library, medium: Medium, known: bool) -> None:  # noqa: FBT001 - a column of the table
    """Each message can be rendered with everything known and with as little as can be, and leaves no ends loose."""
    for name, words in library.messages.items():
        if not known and name in {"checklist-report", "post-incident-review"}:
            continue  # both are about what is known by then
        made = render(words, example(known=known), medium)
        lines = made.body.replace("<br>", "").replace("<p>", "").replace("</p>", "").split("\n")
        assert made.subject
        assert not [line for line in lines if line.endswith(": ") and line != "Service: "]
        assert "None" not in made.subject + made.body
        assert not known or "not known" not in made.body


def test_public_words_tell_nothing_internal(library: Library) -> None:
    """What everybody reads holds none of the values that are not for everybody."""
    private = {str(fact.example) for name, fact in FACTS.items() if name not in PUBLIC_FACTS}
    private -= {"", "[]", "0", "2", "False", "done"}
    for name, words in library.messages.items():
        assert words.public == name.startswith(PUBLIC)
        if words.public:
            made = render(words, example(), "text")
            assert not [value for value in private if value in made.subject + made.body]


INITIAL = """\
Service: Shop
Impact: Nobody can buy.
Start Time: 2026-01-05T12:00:00Z
Current Status: Mitigating

Incident Commander: @anna
Communication Channel: #incident-20260105-1200

Next Update: In 15 minutes
Status Page: https://status.example.com"""


def test_the_initial_notification_is_the_runbooks(library: Library) -> None:
    """The first message has the runbook's lines in the runbook's order, and promises the stored deadline."""
    made = render(
        library.messages["incident-opened"], {**example(), "why": "", "note": "", "lateness": None}, "text"
    )
    assert made.subject.startswith("🚨 INCIDENT ALERT - P0")
    assert made.body == INITIAL


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        (
            "incident-update",
            ["Service: ", "Duration: ", "Status: ", "Progress:", "- ", "Impact: ", "Next Update: In "],
        ),
        (
            "incident-resolved",
            [
                "Service: ",
                "Total Duration: ",
                "Resolution Time: ",
                "Resolution:",
                "Impact Summary:",
                "Next Steps:",
                "- Post-incident review",
                "- Prevention measures to be implemented",
                "Thank you for your patience during this incident.",
            ],
        ),
    ],
)
def test_later_messages_have_the_runbooks_lines(library: Library, name: str, lines: list[str]) -> None:
    """Updates and resolutions have the runbook's lines in the runbook's order."""
    rest = iter(render(library.messages[name], example(), "text").body.split("\n"))
    for line in lines:
        assert any(each.startswith(line) for each in rest), line
