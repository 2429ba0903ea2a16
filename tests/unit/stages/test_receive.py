"""A delivery is made of any bytes, keeps no secret, and its JSON is read or refused with the place of the fault."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbookd.errors import PayloadError
from runbookd.model.event import DeliveryState
from runbookd.stages.receive import (
    HEADER_LENGTH,
    KEPT_HEADERS,
    Receipt,
    dead_letter,
    keep_headers,
    read_json,
    take_delivery,
)

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def test_delivery_is_the_body_as_it_came() -> None:
    """The body is unchanged, its SHA-256 is beside it, and it waits to be taken apart."""
    delivery = take_delivery(
        "d-1", "alertmanager", b"\xff{", headers={"User-Agent": "Alertmanager/0.34.0"}, remote=None, now=NOW
    )
    assert delivery.body == b"\xff{"
    assert delivery.sha256 == hashlib.sha256(b"\xff{").hexdigest()
    assert delivery.headers == {"user-agent": "Alertmanager/0.34.0"}
    assert (delivery.id, delivery.received_at, delivery.remote) == ("d-1", NOW, None)
    assert delivery.state is DeliveryState.PENDING


def test_receipt_of_a_dead_letter_tells_why() -> None:
    """Only a dead letter is a refusal, and its reason is the answer."""
    delivery = take_delivery("d-1", "alertmanager", b"", headers={}, remote="127.0.0.1", now=NOW)
    assert Receipt(delivery=delivery, alerts=3).refusal is None
    assert Receipt(delivery=dead_letter(delivery, "the body is empty")).refusal == "the body is empty"


@given(st.dictionaries(st.text(), st.text()))
def test_only_listed_headers_are_kept(headers: dict[str, str]) -> None:
    """Whatever comes, nothing but the listed headers is stored."""
    secret = {
        "Authorization": "Bearer s",
        "COOKIE": "s",
        "X-Amz-Security-Token": "s",
        "X-Runbookd-Token": "s",
    }
    assert keep_headers(headers | secret).keys() <= KEPT_HEADERS


def test_kept_headers_are_short_valid_text() -> None:
    """A long value is cut, and bytes that were not UTF-8 are shown as escapes."""
    kept = keep_headers({"User-Agent": "x" * 9000, "Content-Type": "json\udcff"})
    assert kept == {"user-agent": "x" * HEADER_LENGTH, "content-type": "json\\udcff"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is empty: expected JSON"),
        (b" \r\n\t", "the body is empty: expected JSON"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'{"a":"b\xff"}', "the body is not UTF-8: byte 0xff at offset 7"),
        (b'{"a":"\xed\xa0\x80"}', "the body is not UTF-8: byte 0xed at offset 6"),
        ('{"a":1}'.encode("utf-16"), "the body is not UTF-8: byte 0xff at offset 0"),
        (b'{"a":1,}', "trailing comma is not allowed at line 1, column 7"),
        (b'{\n"a":tru', "unexpected end of data at line 2"),
        (b"{'a':1}", "at line 1, column 2"),
        (b'{"a":NaN}', "at line 1, column 6"),
        (b'{"a":1e999}', "number is infinity"),
        (b'{"a":"\\ud800"}', "surrogate"),
        (b'{"a":1}{"a":2}', "unexpected content after document at line 1, column 8"),
        (b"[" * 2000 + b"]" * 2000, "depth limit exceeded"),
        (b"[" * 100_000, "depth limit exceeded"),
        (b"[" * 33 + b"]" * 33, "nests deeper than 32 levels"),
        (b'{"a":' * 33 + b"1" + b"}" * 33, "nests deeper than 32 levels"),
        (b"[" + b"[]," * 64 + b"[" * 32 + b"]" * 32 + b"]", "nests deeper than 32 levels"),
    ],
)
def test_json_that_cannot_be_read_names_the_fault(body: bytes, message: str) -> None:
    """The message says what is wrong, and where if that can be known."""
    with pytest.raises(PayloadError) as refused:
        read_json(body, max_depth=32)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"1", 1),
        (b"null", None),
        (b'{"a":1,"a":2}', {"a": 2}),
        (b'{"a":"\\ud83d\\ude00"}', {"a": "😀"}),
        (b"[" + b"{}," * 100 + b"{}]", [{}] * 101),
        (b'["' + b"[" * 100 + b'"]', ["[" * 100]),
    ],
)
def test_json_is_read(body: bytes, value: object) -> None:
    """Width is no depth, and brackets in text are text."""
    assert read_json(body, max_depth=32) == value


def test_exactly_the_allowed_depth_is_read() -> None:
    """The limit itself is allowed."""
    assert read_json(b"[" * 32 + b"]" * 32, max_depth=32)


@given(st.binary())
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """No body raises anything but PayloadError."""
    with suppress(PayloadError):
        read_json(body, max_depth=32)
