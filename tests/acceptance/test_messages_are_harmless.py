"""Promise G13: label text is data wherever it arrives, words that fail become plain ones, and no secret is told."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from runbookd.model.escalation import MessageKind, MessageState
from runbookd.model.people import Template
from tests.acceptance.engine import alert, engine
from tests.acceptance.people import MINUTE, house, ladder, library, mailed
from tests.fakes.pagerduty import SERVICE_KEY, Fault, pagerduty

PAGE = [{"after": "0m", "page": ["l1"]}]
ROLES = mailed("l1")
PAGER = {"l1": {"primary": {"pagerduty": {"service_key": "${secret.pd_l1}"}}}}

BROKEN = [
    Template(subject="{{ incident.title | duration }}", body="x"),
    Template(subject="x", body="{{ nothing.there }}"),
    Template(subject="x", body="{% for each in did %}"),
]


@pytest.mark.parametrize("template", BROKEN, ids=["type", "name", "syntax"])
async def test_a_message_whose_words_fail_goes_out_in_plain_ones(tmp_path: Path, template: Template) -> None:
    """A mistake in a template, which the check did not see, keeps nobody from being paged."""
    content = replace(ladder(PAGE, ROLES), messages={"page": template})
    async with house(tmp_path, content) as home:
        await home.breaks()
        ((_, call),) = home.voices.sent
        assert call.params["subject"] == "P0 Down"
        assert call.params["text"] == "Investigating"


async def test_without_any_words_people_are_told_all_the_same(tmp_path: Path) -> None:
    """A library that has no messages at all pages, tells and resolves; the public page hears nothing of the inside."""
    levels = [{"after": "0m", "page": ["l1"], "notify": ["statuspage"]}]
    async with house(tmp_path, replace(ladder(levels, ROLES), messages={})) as home:
        await home.breaks()
        await home.mended()
        await home.lab.move(MINUTE)
        public = [call.params for _, call in home.voices.sent if call.action.startswith("statuspage")]
        assert len(public) == 2
        assert "Down" not in json.dumps(public, default=str)
        assert [call.params["subject"] for _, call in home.voices.sent if call.action == "email.send"] == [
            "P0 Down"
        ] * 2


HOSTILE = {
    "mention": "<!channel> @here <@U1> <https://evil.example|click>",
    "script": "</p><script>alert(1)</script>",
    "lines": "one\r\nBcc: everybody@example.com\x1b[31m",
    "long": "x" * 10_000,
    "emoji": "\U0001f525 \u202etxt.exe",
    "template": "{{ incident.id }} {% raw %} ${secret.pd_l1} %s {0}",
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_label_text_is_data_wherever_it_arrives(tmp_path: Path, name: str) -> None:
    """In no channel is it markup, a mention, a header, a template or a secret; everybody is told all the same."""
    reached = {"pagerduty": {"service_key": "${secret.pd_l1}"}, "slack": "#l1", "email": "l1@example.com"}
    levels = [{"after": "0m", "page": ["l1"], "notify": ["statuspage"]}]
    titled = library({"incident": {"title": "${event.labels.app}"}}).rules
    content = replace(ladder(levels, {"l1": {"primary": reached}}, channel=True), rules=titled)
    async with house(tmp_path, content) as home:
        told = alert(began=home.lab.clock.now(), labels={"app": HOSTILE[name]}) | {"fingerprint": "f1"}
        await home.lab.hear(told)
        await home.lab.move(MINUTE)
        calls = {call.action: call.params for _, call in home.voices.sent}
        assert {*calls} == {
            "slack.create_channel",
            "slack.post_message",
            "slack.update_message",
            "email.send",
            "pagerduty.send_event",
            "statuspage.open_incident",
        }
        subjects = [calls["email.send"]["subject"], calls["slack.post_message"]["title"]]
        topic = calls["slack.create_channel"]["topic"]
        for subject in [*subjects, topic, calls["pagerduty.send_event"]["summary"]]:
            assert len(str(subject)) <= 255
            assert not {"\n", "\r", "\x00", "\x1b", "\u202e"} & {*str(subject)}
        slack = f"{topic} {calls['slack.post_message']['title']} {calls['slack.post_message']['text']}"
        assert "<" not in slack.replace("\u200b", "")
        assert "@here" not in slack
        assert "<script" not in str(calls["email.send"]["html"])
        assert "inc-" not in str(subjects[0])
        public = f"{calls['statuspage.open_incident']['name']} {calls['statuspage.open_incident']['body']}"
        assert not any(part in public for part in ("script", "xxxx", "here", "txt", "incident.id"))


# secrets -----------------------------------------------------------------------------------------------------


def on_disk(folder: Path) -> str:
    """All that the database's files hold."""
    return b"".join(path.read_bytes() for path in folder.glob("runbookd.db*")).decode("latin-1")


CANARY = "c0ffeec0ffeec0ffeec0ffeec0ffee42"


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        (SERVICE_KEY, None),
        (CANARY, None),
        (CANARY, Fault(status=400, body=f"invalid routing key {CANARY}")),
        (CANARY, Fault(status=503, body=f"try {CANARY} later", headers={"Retry-After": "1"})),
        (CANARY, Fault(drop=True)),
    ],
    ids=["taken", "refused", "echoed", "busy", "dropped"],
)
async def test_no_secret_is_written_anywhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, key: str, fault: Fault | None
) -> None:
    """A key goes to its channel, and to no message, ledger entry, log line or file, whatever the channel answers."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "pd_l1").write_text(f"{key}\n", encoding="utf-8")
    caplog.set_level(logging.DEBUG)
    async with pagerduty() as server:
        if fault is not None:
            server.fail("/v2/", *[fault] * 9)
        settings = {"actions": server.config(), "secrets_folder": secrets}
        async with engine(tmp_path, library=ladder(PAGE, PAGER), settings=settings) as lab:
            await lab.hear(alert())
            await lab.move(MINUTE)
            page = next(one for one in await lab.messages() if one.kind is MessageKind.PAGE)
            assert (page.state is MessageState.SENT) == (key == SERVICE_KEY)
            assert (page.error is None) == (key == SERVICE_KEY)
            said = f"{await lab.messages()!r} {[entry.text for entry in await lab.ledger()]!r}"
        assert any(key in asked.body for asked in server.asked)
    written = on_disk(tmp_path)
    assert "pd_l1" in written
    for place in (said, caplog.text, written):
        assert key not in place
