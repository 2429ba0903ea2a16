"""The pages of `docs/reference/` and the schemas in `schemas/`, made from the code they describe.

`make docs` writes them. `pages` is every file by its path from the root of the repository; it reads no clock and no
environment, so the same code gives the same files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from tools.docs import actions, cli, errors, http, language, metrics, reasons, schemas, settings

REFERENCE: Final[Mapping[str, Callable[[], str]]] = {
    "actions": actions.page,
    "cli": cli.page,
    "errors": errors.page,
    "http": http.page,
    "language": language.page,
    "metrics": metrics.page,
    "reasons": reasons.page,
    "settings": settings.page,
}
"""Every page of the reference by its name."""


def pages() -> dict[str, str]:
    """Make every generated file: its text by its path."""
    made = {f"docs/reference/{name}.md": make() for name, make in REFERENCE.items()}
    return made | {f"schemas/{name}": text for name, text in schemas.files().items()}
