"""`email.send` against a mail server on loopback: what arrives, what is refused, and when there is a doubt."""

from __future__ import annotations

import email
import ssl
from collections.abc import Mapping
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from runbookd.actions.config import Email
from runbookd.actions.email.client import check_loopback
from runbookd.actions.failures import Rejected
from runbookd.model.action import Mode, Outcome, OutcomeState, Repeat
from tests.contract.actions.hands import call, deaf_server, every_action, failed, performing, succeeded
from tests.fakes.smtp import Fault, MailServer, mail_server
from tests.integration.actions.certificates import authority, server_context

PASSWORD = "canary-pass word"
MAIL = {
    "to": ["ada@example.com", "bob@example.org"],
    "subject": "P1: Rollout of backend is stuck",
    "text": "It is stuck.\n.\nNext update in 30 minutes.\n",
    "key": "01JX-opened",
}


def settings(server: MailServer, more: Mapping[str, object] | None = None) -> Mapping[str, Any]:
    """The settings that lead to this server, in the clear unless said otherwise."""
    where = {"host": server.host, "port": server.port, "security": "none"}
    return {"email": where | {"sender": "runbookd <runbookd@ops.example.com>"} | dict(more or {})}


async def send(
    server: MailServer,
    mail: Mapping[str, object] | None = None,
    more: Mapping[str, object] | None = None,
    *,
    within: float = 10.0,
) -> Outcome:
    """One mail, to the default recipients unless said otherwise."""
    async with performing(settings(server, more), mail_password=PASSWORD) as performer:
        return await performer.perform(call("email.send", {**MAIL, **(mail or {})}, timeout=within))


def text_of(mail: EmailMessage, kind: str = "plain") -> str:
    """The mail's plain text, or its HTML."""
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


async def test_a_mail_arrives_as_it_was_written() -> None:
    """Recipients, subject and text arrive; the mail says that a machine wrote it, when, and which mail it is."""
    async with mail_server() as server:
        output = succeeded(await send(server))
    (kept,) = server.mails
    assert (kept.sender, kept.recipients) == ("runbookd@ops.example.com", tuple(MAIL["to"]))
    mail = kept.message
    assert {name: str(value) for name, value in mail.items()} == {
        "From": "runbookd <runbookd@ops.example.com>",
        "To": "ada@example.com, bob@example.org",
        "Subject": MAIL["subject"],
        "Date": "Wed, 04 Mar 2026 05:06:07 +0000",
        "Message-ID": "<01JX-opened@runbookd.ops.example.com>",
        "Auto-Submitted": "auto-generated",
        "Content-Type": 'text/plain; charset="utf-8"',
        "Content-Transfer-Encoding": "7bit",
        "MIME-Version": "1.0",
    }
    assert text_of(mail) == MAIL["text"]
    assert output == {
        "message_id": "<01JX-opened@runbookd.ops.example.com>",
        "accepted": MAIL["to"],
        "refused": [],
        "said": "2.0.0 OK queued as 1",
    }


async def test_html_comes_beside_the_text() -> None:
    """A mail with HTML carries both forms, in UTF-8, and lines no longer than a server takes."""
    html = "<p>Grüße ☃ 😀 " + "long " * 4000 + "</p>"
    async with mail_server() as server:
        succeeded(await send(server, {"html": html, "text": "Grüße ☃ 😀 " + "x" * 5000}))
    mail = server.mails[0].message
    assert mail.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    assert text_of(mail).startswith("Grüße ☃ 😀 xxx")
    assert text_of(mail, "html").strip() == html


async def test_a_repeat_is_the_same_mail() -> None:
    """Sent again under its key, a mail bears the same Message-ID, so that people see it once; it may be repeated."""
    async with mail_server() as server:
        first, second = succeeded(await send(server)), succeeded(await send(server))
    assert first["message_id"] == second["message_id"]
    assert (len(server.mails), len(server.ids)) == (2, 1)
    assert every_action()["email.send"].spec.repeat is Repeat.SAFE


async def test_updates_follow_the_first_mail() -> None:
    """A mail with a thread names the first one as its parent; the first one names none."""
    long = "01JX." + "long-name." * 20 + "ünusual key"
    async with mail_server() as server:
        for key, thread in (("first", "first"), ("second", "first"), (long, long + "?")):
            succeeded(await send(server, {"key": key, "thread": thread}))
    first, second, odd = (kept.message for kept in server.mails)
    assert "In-Reply-To" not in first
    assert "References" not in first
    assert second["In-Reply-To"] == second["References"] == first["Message-ID"]
    assert odd["Message-ID"] != odd["References"]
    for name in ("Message-ID", "References"):
        assert str(odd[name]).endswith("@runbookd.ops.example.com>")
    assert b"=?" not in server.mails[2].raw


async def test_some_recipients_refused_is_told() -> None:
    """A server that takes the mail for some has it; the others are named, with its reason and whether it may pass."""
    async with mail_server() as server:
        server.refuses = {"bob@example.org": "450 4.2.0 Greylisted, come back in 5 minutes"}
        output = succeeded(await send(server))
    assert server.mails[0].recipients == ("ada@example.com",)
    assert output["accepted"] == ["ada@example.com"]
    assert output["refused"] == [
        {
            "address": "bob@example.org",
            "code": 450,
            "message": "4.2.0 Greylisted, come back in 5 minutes",
            "temporary": True,
        }
    ]


@pytest.mark.parametrize(
    ("replies", "kind", "temporary"),
    [
        (("550 5.1.1 No such user", "550 5.1.1 No such user"), "not_found", False),
        (("550 5.7.1 Relaying denied", "550 5.1.1 No such user"), "denied", False),
        (("550 No such user", "553 What"), "not_found", False),
        (("451 4.7.1 Greylisted", "550 5.1.1 No such user"), "unavailable", True),
        (("452 4.2.2 Mailbox full", "450 Later"), "unavailable", True),
    ],
)
async def test_all_recipients_refused_is_a_failure(
    replies: tuple[str, str],
    kind: str,
    temporary: bool,  # noqa: FBT001 - a row
) -> None:
    """A mail nobody would get is not sent; it is worth another attempt if one of the refusals may pass."""
    async with mail_server() as server:
        server.refuses = dict(zip(MAIL["to"], replies, strict=True))
        outcome = await send(server)
        message = failed(outcome, kind)
    assert outcome.failure is not None
    assert outcome.failure.temporary is temporary
    assert f"ada@example.com: {replies[0]}" in message
    assert server.mails == []
    assert "DATA" not in server.verbs


@pytest.mark.parametrize(
    ("verb", "reply", "kind", "temporary"),
    [
        ("greeting", "421 4.3.2 Too busy", "unavailable", True),
        ("greeting", "554 5.7.1 You are blocked", "denied", False),
        ("EHLO", "421 4.3.2 Shutting down", "unavailable", True),
        ("MAIL", "451 4.3.0 Try again", "unavailable", True),
        ("MAIL", "553 5.7.1 Not your sender", "denied", False),
        ("DATA", "451 4.3.5 No", "unavailable", True),
        ("DATA", "554 No valid recipients", "invalid", False),
        (".", "451 4.7.1 Greylisted", "unavailable", True),
        (".", "421 4.7.0 Too many mails", "unavailable", True),
        (".", "452 4.3.1 Insufficient storage", "unavailable", True),
        (".", "552 Message too big", "too_large", False),
        (".", "554 5.7.1 Spam", "denied", False),
        (".", "501 What", "invalid", False),
    ],
)
async def test_a_reply_has_one_meaning(
    verb: str,
    reply: str,
    kind: str,
    temporary: bool,  # noqa: FBT001 - a row
) -> None:
    """A reply of 4yz may pass, one of 5yz will not, wherever it comes; the server's words are told, and no doubt."""
    async with mail_server() as server:
        server.script[verb] = [reply]
        outcome = await send(server)
    assert reply[:3] in failed(outcome, kind)
    assert outcome.failure is not None
    assert outcome.failure.temporary is temporary
    assert server.mails == []


@pytest.mark.parametrize("verb", ["greeting", "EHLO", "MAIL", "RCPT", "DATA", "."])
@pytest.mark.parametrize("fault", list(Fault))
async def test_only_a_break_after_the_text_is_in_doubt(verb: str, fault: Fault) -> None:
    """A connection that breaks or hangs before the mail was handed over has sent nothing; after that, nobody knows."""
    async with mail_server() as server:
        server.script[verb] = [fault]
        outcome = await send(server, within=1.0 if fault is Fault.HANG else 10.0)
        handed_over = verb in {"DATA", "."}
        kind = "timeout" if fault is Fault.HANG else "connection_lost"
        if verb == "greeting" and fault is Fault.DROP:
            kind = "unreachable"
        failed(outcome, kind, OutcomeState.IN_DOUBT if handed_over else OutcomeState.FAILED)
        assert outcome.failure is not None
        assert outcome.failure.temporary
        succeeded(await send(server))
    assert len(server.ids) == 1


@pytest.mark.parametrize(("verb", "state"), [("MAIL", OutcomeState.FAILED), (".", OutcomeState.IN_DOUBT)])
async def test_an_answer_that_is_none_tells_nothing(verb: str, state: OutcomeState) -> None:
    """Words without a reply code say neither yes nor no: in doubt once the mail was handed over."""
    async with mail_server() as server:
        server.script[verb] = ["what was that?"]
        failed(await send(server), "connection_lost", state)


async def test_a_farewell_that_fails_changes_nothing() -> None:
    """Once the mail is taken, a server that answers QUIT with nonsense, or not at all, has taken it."""
    for end in ("451 4.0.0 No", Fault.DROP):
        async with mail_server() as server:
            server.script["QUIT"] = [end]
            succeeded(await send(server))
            assert len(server.mails) == 1


async def test_nobody_listening_was_never_sent(free_port: int) -> None:
    """A refused connection is a temporary failure, and never a doubt."""
    outcome = await send(MailServer(port=free_port))
    assert "no connection" in failed(outcome, "unreachable")


async def test_starttls_and_a_sign_in(tmp_path: Path) -> None:
    """With STARTTLS the mail, and the password before it, go over a connection whose certificate was verified."""
    ca = authority(tmp_path)
    trust = server_context(tmp_path, ["localhost"], signed_by=ca)
    signed_in = {"username": "runbookd", "password_secret": "mail_password", "ca_file": str(ca.file)}
    async with mail_server(starttls=trust, users={"runbookd": PASSWORD}) as server:
        server.host = "localhost"
        succeeded(await send(server, more={"security": "starttls", **signed_in}))
    (kept,) = server.mails
    assert (kept.encrypted, kept.user) == (True, "runbookd")
    assert server.sign_ins == [("PLAIN", "runbookd")]
    assert server.verbs[:3] == ["EHLO", "STARTTLS", "EHLO"]


async def test_tls_from_the_first_byte(tmp_path: Path) -> None:
    """With `tls` the conversation begins encrypted."""
    ca = authority(tmp_path)
    trust = server_context(tmp_path, ["127.0.0.1"], signed_by=ca)
    async with mail_server(tls=trust) as server:
        succeeded(await send(server, more={"security": "tls", "ca_file": str(ca.file)}))
    assert server.mails[0].encrypted
    assert "STARTTLS" not in server.verbs


async def test_without_starttls_nothing_is_sent() -> None:
    """A server, or somebody in between, that does not offer STARTTLS gets no sender, no password and no mail."""
    async with mail_server() as server:
        signed_in = {"username": "runbookd", "password_secret": "mail_password"}
        message = failed(await send(server, more={"security": "starttls", **signed_in}), "tls")
    assert "does not offer STARTTLS" in message
    assert set(server.verbs) == {"EHLO"}


async def test_starttls_that_fails_is_no_reason_to_go_on(tmp_path: Path) -> None:
    """A server that offers STARTTLS and then cannot do it is tried again later, never without it."""
    trust = server_context(tmp_path, ["127.0.0.1"], signed_by=authority(tmp_path))
    async with mail_server(starttls=trust) as server:
        server.script["STARTTLS"] = ["454 4.7.0 TLS not available"]
        outcome = await send(server, more={"security": "starttls"})
        failed(outcome, "unavailable")
    assert server.verbs == ["EHLO", "STARTTLS"]


@pytest.mark.parametrize("security", ["starttls", "tls"])
@pytest.mark.parametrize("wrong", ["unknown authority", "another name", "expired"])
async def test_a_certificate_that_is_not_right_ends_it(tmp_path: Path, security: str, wrong: str) -> None:
    """A certificate of an unknown authority, for another name, or expired: nothing but the greeting is exchanged."""
    ca = authority(tmp_path)
    trust = server_context(
        tmp_path,
        ["mail.example.com" if wrong == "another name" else "127.0.0.1"],
        signed_by=ca,
        days=(-9, -1) if wrong == "expired" else (-1, 9),
    )
    more = {} if wrong == "unknown authority" else {"ca_file": str(ca.file)}
    kind: dict[str, ssl.SSLContext] = {security: trust}
    async with mail_server(**kind) as server:  # type: ignore[arg-type] # starttls or tls
        outcome = await send(server, more={"security": security, **more})
        assert "no trusted TLS connection" in failed(outcome, "tls")
    assert "MAIL" not in server.verbs


async def test_a_wrong_password_is_tried_once_and_never_told(tmp_path: Path) -> None:
    """A refused sign-in is one attempt, so that no account gets locked, and its failure does not show the password."""
    ca = authority(tmp_path)
    trust = server_context(tmp_path, ["127.0.0.1"], signed_by=ca)
    more = {"username": "runbookd", "password_secret": "mail_password", "ca_file": str(ca.file)}
    async with mail_server(tls=trust, users={"runbookd": "another"}) as server:
        echo = "535 5.7.8 No: AHJ1bmJvb2tkAGNhbmFyeS1wYXNzIHdvcmQ= is " + PASSWORD
        message = failed(await send(server, more={"security": "tls", **more}), "denied")
        assert server.sign_ins == [("PLAIN", "runbookd")]
        server.script["AUTH"] = [echo]
        message += failed(await send(server, more={"security": "tls", **more}), "denied")
    assert "canary" not in message
    assert "AHJ1" not in message
    assert "535 5.7.8 No: *** is ***" in message


@pytest.mark.parametrize("mechanism", ["LOGIN", "CRAM-MD5"])
async def test_another_way_to_sign_in_is_taken(mechanism: str, tmp_path: Path) -> None:
    """The one way a server offers is used, and one nobody here knows is told."""
    ca = authority(tmp_path)
    trust = server_context(tmp_path, ["127.0.0.1"], signed_by=ca)
    more = {"username": "runbookd", "password_secret": "mail_password", "ca_file": str(ca.file)}
    async with mail_server(tls=trust, users={"runbookd": PASSWORD}) as server:
        server.extensions = lambda said: [
            f"250-AUTH {mechanism}" if "AUTH" in line else line for line in said
        ]
        outcome = await send(server, more={"security": "tls", **more})
        if mechanism == "LOGIN":
            succeeded(outcome)
        else:  # which aiosmtpd does not know
            assert "504" in failed(outcome, "invalid")
        server.extensions = lambda said: ["250-AUTH GSSAPI" if "AUTH" in line else line for line in said]
        assert "GSSAPI" in failed(await send(server, more={"security": "tls", **more}), "denied")


@pytest.mark.parametrize("peer", ["10.0.0.25", "192.0.2.1", "2001:db8::25", "fe80::1%eth0", "0.0.0.0"])
def test_in_the_clear_only_on_this_machine(peer: str) -> None:
    """`security: none` is refused for a server that turns out to be elsewhere; every loopback address is taken."""
    server = Email(host="mail", security="none", sender="runbookd@example.com")
    with pytest.raises(Rejected, match="is for a server on loopback"):
        check_loopback(peer, server)
    check_loopback("127.0.0.9", server)
    check_loopback("::1", server)


@pytest.mark.parametrize(
    ("more", "kind", "said"),
    [
        ({"sender": "nobody"}, "refused", "actions.email.sender"),
        ({"sender": "a@example.com, b@example.com"}, "refused", "actions.email.sender"),
        ({"username": "runbookd"}, "refused", "password_secret"),
        ({"username": "runbookd", "password_secret": "unknown"}, "secret_missing", "unknown"),
        ({"ca_file": "/nonexistent/ca.pem"}, "tls", "actions.email.ca_file"),
    ],
)
async def test_settings_that_are_not_right_are_named(
    more: Mapping[str, object], kind: str, said: str
) -> None:
    """A setting that makes no mail possible is named, and nothing is sent."""
    async with mail_server() as server:
        assert said in failed(await send(server, more=more), kind)
    assert "MAIL" not in server.verbs


async def test_without_a_server_the_setting_is_named() -> None:
    """Without `actions.email` no mail is sent, and the message says what to set."""
    async with performing() as performer:
        assert "actions.email" in failed(await performer.perform(call("email.send", MAIL)), "refused")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "ada@",
        "@example.com",
        "ada@example.com\r\nBcc: eve@example.com",
        "ada@example.com> NOTIFY=NEVER",
        "ada@example.com,eve@example.com",
        "Ada <ada@example.com>",
        '"a b"@example.com',
        "ada@[127.0.0.1]",
        "ada@exämple.com",
        "äda@example.com",
        "ada@example..com",
        ".ada@example.com",
        "a" * 250 + "@example.com",
        "ada@example.com\n",
        "ada\x00@example.com",
    ],
)
async def test_what_is_no_plain_address_is_refused(address: str) -> None:
    """Only plain ASCII addresses are written to; anything that could say more than an address is refused."""
    async with mail_server() as server:
        assert "`to.0`" in failed(await send(server, {"to": [address]}), "invalid")
    assert server.verbs == []


@pytest.mark.parametrize(
    ("subject", "shown"),
    [
        ("hello\r\nBcc: eve@example.com", "hello Bcc: eve@example.com"),
        ("hello\r\n\r\n<script>", "hello <script>"),
        ("a\x00b\x85c\u2028d\x1b[31m", "a b c d [31m"),
        ("<!channel> </p><script>alert(1)</script>", "<!channel> </p><script>alert(1)</script>"),
        ("😀 half \ud83d surrogate", "😀 half ? surrogate"),
        ("=?utf-8?q?=0D=0ABcc:_eve=40example.com?=", "= ?utf-8?q?=0D=0ABcc:_eve=40example.com?="),
        ("x" * 10_000, "x" * 254 + "…"),
        ("", ""),
    ],
)
async def test_a_hostile_subject_stays_a_subject(subject: str, shown: str) -> None:
    """Whatever a label says, it adds no header and no recipient, and ends no header."""
    async with mail_server() as server:
        succeeded(await send(server, {"subject": subject}))
    (kept,) = server.mails
    assert kept.recipients == tuple(MAIL["to"])
    assert sorted(kept.message.keys()) == sorted(
        [
            *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted"),
            *("Content-Type", "Content-Transfer-Encoding", "MIME-Version"),
        ]
    )
    assert kept.message["Subject"] == shown


async def test_a_hostile_text_stays_a_text() -> None:
    """A text ends neither the mail nor the conversation, whatever it holds."""
    text = "one\r\n.\r\nMAIL FROM:<eve@example.com>\r\n\x00\ud83d\r\rFrom x\n" + "<!channel>" * 1000
    async with mail_server() as server:
        succeeded(await send(server, {"text": text, "html": f"<pre>{text}</pre>"}))
    (kept,) = server.mails
    lines = text_of(kept.message).splitlines()
    assert lines[:3] == ["one", ".", "MAIL FROM:<eve@example.com>"]
    assert "\ud83d" not in text_of(kept.message)
    assert email.message_from_bytes(kept.raw).defects == []


async def test_a_hostile_key_stays_an_id() -> None:
    """A key with spaces, brackets or line breaks becomes a hash, the same each time."""
    async with mail_server() as server:
        for key in ("a b", "x>\r\nBcc: eve@example.com", "k" * 900, "é", "a b"):
            succeeded(await send(server, {"key": key}))
    ids = [str(kept.message["Message-ID"]).strip() for kept in server.mails]
    assert ids[0] == ids[4]
    assert len(set(ids)) == 4
    assert all(len(one) == len("<@runbookd.ops.example.com>") + 32 for one in ids)


async def test_observe_mode_sends_nothing() -> None:
    """In observe mode no mail leaves."""
    async with mail_server() as server, performing(settings(server)) as performer:
        outcome = await performer.perform(call("email.send", MAIL, mode=Mode.OBSERVE))
        assert outcome.state is OutcomeState.SKIPPED
    assert server.verbs == []


async def test_a_server_that_hangs_before_tls_was_told_nothing() -> None:
    """A server that never answers the handshake is left in time, and has seen nothing."""
    async with deaf_server() as port:
        outcome = await send(MailServer(port=port), more={"security": "tls"}, within=0.3)
        failed(outcome, "timeout")
