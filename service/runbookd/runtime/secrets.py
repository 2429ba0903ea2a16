"""Where `${secret.NAME}` comes from: files in a folder (a mounted Kubernetes Secret), then the environment."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from runbookd.errors import NotFound

if TYPE_CHECKING:
    from pathlib import Path

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
ENVIRONMENT_PREFIX = "RUNBOOKD_SECRET_"


class FilesAndEnvironment:
    """Reads each time it is asked, so that a rotated secret is used at once. Nothing is kept."""

    def __init__(self, folder: Path | None) -> None:
        """`folder` holds one file per secret; None when there are no files."""
        self._folder = folder

    def get(self, name: str) -> str:
        """Return the secret, without the newline a file may end in. Raises NotFound, naming where it was looked for."""
        if _NAME.fullmatch(name) is None:
            message = f"{name!r} is not the name of a secret: letters, digits and underscores"
            raise NotFound(message)
        if self._folder is not None:
            try:
                return (self._folder / name).read_text(encoding="utf-8").rstrip("\r\n")
            except (FileNotFoundError, NotADirectoryError):
                pass
            except (OSError, UnicodeDecodeError) as error:
                message = f"secret {name!r} cannot be read from its file: {type(error).__name__}"
                raise NotFound(message) from None
        value = os.environ.get(ENVIRONMENT_PREFIX + name.upper())
        if value is None:
            where = f"a file {name} in the secrets folder or " if self._folder is not None else ""
            message = (
                f"secret {name!r} is not set; give {where}the variable {ENVIRONMENT_PREFIX}{name.upper()}"
            )
            raise NotFound(message)
        return value
