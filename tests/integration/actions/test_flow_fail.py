"""`flow.fail`: the message is the failure."""

from __future__ import annotations

from tests.contract.actions.hands import failed, perform


async def test_the_message_is_the_failure() -> None:
    """The step fails for good, with the playbook's own words."""
    outcome = await perform("flow.fail", {"message": "nothing to go back to"})
    assert failed(outcome, "failed") == "nothing to go back to"
    assert outcome.failure is not None
    assert outcome.failure.temporary is False
