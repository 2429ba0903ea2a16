"""`flow.log`: the message is the result."""

from __future__ import annotations

from tests.contract.actions.hands import perform, succeeded


async def test_the_message_is_the_result() -> None:
    """What the step says is kept as its output."""
    assert succeeded(await perform("flow.log", {"message": "leaving it alone"})) == {
        "message": "leaving it alone"
    }
