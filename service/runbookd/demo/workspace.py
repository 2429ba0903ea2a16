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
from runbookd.demo.rules_copy import copy_rules, not_installed, pager_secrets
from runbookd.settings import shipped

VARS = "00-vars.yaml"
"""The one shipped file that names the systems looked after; the demo's copy names the demo's shop."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where everything of one demonstration is, and its addresses. Nothing outside the folder is written."""

    folder: Path
    shop_port: int
    service_port: int
    people_port: int
    mail_port: int
    shop_token: str
    hook_token: str
    people_token: str
    left_out: frozenset[str]
    """The ways by which people are not told, because an extra is not installed: `slack`, `pagerduty`."""

    @classmethod
    def made(cls) -> Self:
        """Make the folder with random secrets and free ports."""
        folder = Path(tempfile.mkdtemp(prefix="runbookd-demo-"))
        it = cls(
            folder,
            shop_port=free_port(),
            service_port=free_port(),
            people_port=free_port(),
            mail_port=free_port(),
            shop_token=secrets.token_urlsafe(24),
            hook_token=secrets.token_urlsafe(24),
            people_token=secrets.token_urlsafe(24),
            left_out=not_installed(),
        )
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
    def people_url(self) -> str:
        """Where the people are: their Slack, and what they were told."""
        return f"http://127.0.0.1:{self.people_port}"

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
        (self.vault / "slack_bot_token").write_text(self.people_token, encoding="utf-8")
        names = {
            "shop_url": self.shop_url,
            "service_name": "The demo's shop",
            "status_page_url": f"{self.service_url}/status",
        }
        copy_rules(self.folder / "rules", names, self.left_out)
        for name in pager_secrets(self.folder / "rules"):
            (self.vault / name).write_text(secrets.token_hex(16), encoding="utf-8")
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
            "status_page = true # what everybody may know, at /status\n"
            "\n"
            "[web.hooks.alertmanager]\n"
            f"bearer_files = [{_text(self.vault / 'hook_token')}]\n"
            "\n"
            "[actions.slack] # its token is the secret slack_bot_token\n"
            f'url = "{self.people_url}/api/"\n'
            "\n"
            "[actions.pagerduty]\n"
            f'events_url = "{self.people_url}"\n'
            "\n"
            "[actions.email]\n"
            'host = "127.0.0.1"\n'
            f"port = {self.mail_port}\n"
            'security = "none" # on loopback only\n'
            'sender = "runbookd <runbookd@yourdomain.com>"\n'
        )


def _text(path: Path) -> str:
    """Write a path as a TOML string; JSON strings are TOML strings."""
    return orjson.dumps(str(path)).decode()
