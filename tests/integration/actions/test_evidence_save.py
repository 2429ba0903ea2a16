"""`evidence.save`: what is attached, as which type, and that no secret gets in."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest

from runbookd.language.values import SecretRef
from tests.contract.actions.hands import call, failed, perform, performing, succeeded


@pytest.mark.parametrize(
    ("content", "media_type", "kept"),
    [
        ("as it is\n", "text/plain", "as it is\n"),
        ({"b": [1, None]}, "application/json", {"b": [1, None]}),
        (None, "application/json", None),
        (
            {"for": timedelta(minutes=90), "at": datetime(2026, 1, 2, tzinfo=UTC)},
            "application/json",
            {"for": "1h30m", "at": "2026-01-02T00:00:00Z"},
        ),
    ],
)
async def test_a_value_is_kept(content: object, media_type: str, kept: object) -> None:
    """A text is kept as it is, anything else as JSON; size and hash are those of what is kept."""
    outcome = await perform("evidence.save", {"name": "it", "content": content})
    (piece,) = outcome.evidence
    assert (piece.name, piece.media_type) == ("it", media_type)
    text = piece.content.decode()
    assert (text if media_type == "text/plain" else json.loads(text)) == kept
    digest = hashlib.sha256(piece.content).hexdigest()
    assert succeeded(outcome) == {"name": "it", "size": len(piece.content), "sha256": digest}


async def test_the_media_type_may_be_named() -> None:
    """A step may say what its text is; what is no media type is refused."""
    given = {"name": "it", "content": "<p>", "media_type": "text/html"}
    assert (await perform("evidence.save", given)).evidence[0].media_type == "text/html"
    failed(await perform("evidence.save", {**given, "media_type": "text"}), "invalid")


async def test_a_secret_is_wiped_before_it_is_measured() -> None:
    """Evidence holds stars where a secret was, and its hash is that of the stars."""
    async with performing(pw="canary") as performer:
        outcome = await performer.perform(call("evidence.save", {"name": "it", "content": [SecretRef("pw")]}))
    assert json.loads(outcome.evidence[0].content) == ["***"]
    assert outcome.output["sha256"] == hashlib.sha256(outcome.evidence[0].content).hexdigest()
