"""Secrets of one call: put in at the last moment, and wiped from everything that comes back."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

from runbookd.actions.failures import Rejected
from runbookd.errors import NotFound
from runbookd.language.values import SecretRef, SecretText
from runbookd.model.action import SECRET_MISSING

if TYPE_CHECKING:
    from runbookd.ports import Secrets

MASK = "***"


class Disclosed:
    """The secrets one call has been given.

    `fill` resolves them; `wipe` and `wipe_bytes` replace each, however it is usually quoted, by `***`.
    """

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._shown: set[str] = set()

    def get(self, name: str) -> str:
        """Return a secret and remember to wipe it; raises Rejected (`secret_missing`) when it is not set."""
        try:
            value = self._secrets.get(name)
        except NotFound as error:
            raise Rejected(str(error), kind=SECRET_MISSING) from error
        self.hide(value)
        return value

    def hide(self, text: str) -> None:
        """Wipe this text too: something made from a secret (an Authorization header, say)."""
        if not text:
            return
        encoded = base64.b64encode(text.encode()).decode()
        self._shown |= {
            text,
            quote(text, safe=""),
            quote_plus(text),
            encoded,
            json.dumps(text)[1:-1],
            repr(text)[1:-1],
        }

    def fill(self, tree: object) -> Any:
        """The tree with every SecretRef and SecretText resolved."""
        if isinstance(tree, SecretRef):
            return self.get(tree.name)
        if isinstance(tree, SecretText):
            return "".join(part if isinstance(part, str) else self.get(part.name) for part in tree.parts)
        if isinstance(tree, Mapping):
            return {key: self.fill(item) for key, item in tree.items()}
        if isinstance(tree, list | tuple):
            return [self.fill(item) for item in tree]
        return tree

    def wipe(self, tree: object) -> Any:
        """The tree with every text, keys of maps too, free of the secrets."""
        if not self._shown:
            return tree
        if isinstance(tree, str):
            return self._wipe_text(tree)
        if isinstance(tree, Mapping):
            return {self.wipe(key): self.wipe(item) for key, item in tree.items()}
        if isinstance(tree, list | tuple):
            return [self.wipe(item) for item in tree]
        return tree

    def wipe_bytes(self, content: bytes) -> bytes:
        """The content with the secrets' UTF-8 bytes replaced."""
        for shown in self._longest_first():
            content = content.replace(shown.encode("utf-8", "surrogatepass"), MASK.encode())
        return content

    def _wipe_text(self, text: str) -> str:
        for shown in self._longest_first():
            text = text.replace(shown, MASK)
        return text

    def _longest_first(self) -> list[str]:
        """A secret that contains another goes first, or its rest would stay readable."""
        return sorted(self._shown, key=len, reverse=True)
