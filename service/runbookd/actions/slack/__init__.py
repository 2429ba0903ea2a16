"""Provider `slack`: messages, and a channel for each incident. Its app stands under `actions.slack` in the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbookd.actions.slack import create_channel, post_ephemeral, post_message, update_message

if TYPE_CHECKING:
    from runbookd.actions.base import AnyAction

ACTIONS: tuple[AnyAction, ...] = (
    create_channel.ACTION,
    post_ephemeral.ACTION,
    post_message.ACTION,
    update_message.ACTION,
)
