"""The demo's temporary folder: settings, secrets and a copy of the shipped rules, all made anew each time."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import orjson

from runbookd.demo.processes import free_port
from runbookd.settings import shipped

VARS = "00-vars.yaml"
"""The one shipped file that names the systems looked after; the demo's copy names the demo's shop."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where everything of one demonstration is, and its addresses. Nothing outside the folder is written."""

    folder: Path
    shop_port: int
    service_port: int
    shop_token: str
    hook_token: str

    @classmethod
    def made(cls) -> Self:
        """Make the folder with random secrets and free ports."""
        folder = Path(tempfile.mkdtemp(prefix="runbookd-demo-"))
        it = cls(folder, free_port(), free_port(), secrets.token_urlsafe(24), secrets.token_urlsafe(24))
        it._write()
        return it

    def remove(self) -> None:
        """Remove the folder and all in it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def shop_url(self) -> str:
        """Where the shop is."""
        return f"http://127.0.0.1:{self.shop_port}"

    @property
    def service_url(self) -> str:
        """Where runbookd is."""
        return f"http://127.0.0.1:{self.service_port}"

    @property
    def hook_url(self) -> str:
        """Where an Alertmanager posts to."""
        return f"{self.service_url}/v1/hooks/alertmanager"

    @property
    def config(self) -> Path:
        """The service's settings."""
        return self.folder / "runbookd.toml"

    @property
    def database(self) -> Path:
        """The service's database."""
        return self.folder / "runbookd.db"

    @property
    def vault(self) -> Path:
        """The folder of secrets, one file each, as Kubernetes mounts them."""
        return self.folder / "secrets"

    def _write(self) -> None:
        self.vault.mkdir(mode=0o700)
        (self.vault / "shop_token").write_text(self.shop_token, encoding="utf-8")
        (self.vault / "hook_token").write_text(self.hook_token, encoding="utf-8")
        shutil.copytree(shipped("rules"), self.folder / "rules")
        (self.folder / "rules" / VARS).write_text(
            f"# The copy of {shipped('rules') / VARS} for this demonstration.\n"
            f"vars:\n  shop_url: {self.shop_url}\n",
            encoding="utf-8",
        )
        self.config.write_text(self._settings(), encoding="utf-8")

    def _settings(self) -> str:
        return (
            "# What `runbookd --config THIS serve` is started with.\n"
            f"database = {_text(self.database)}\n"
            f"rules = [{_text(self.folder / 'rules')}]\n"
            f"playbooks = [{_text(shipped('playbooks'))}]\n"
            f"secrets_folder = {_text(self.vault)} # ${{secret.NAME}} is the file NAME in it\n"
            "\n"
            "[web]\n"
            f"port = {self.service_port}\n"
            "\n"
            "[web.hooks.alertmanager]\n"
            f"bearer_files = [{_text(self.vault / 'hook_token')}]\n"
        )


def _text(path: Path) -> str:
    """Write a path as a TOML string; JSON strings are TOML strings."""
    return orjson.dumps(str(path)).decode()
