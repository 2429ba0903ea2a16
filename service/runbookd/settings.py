"""The service's own settings: a TOML file, then `RUNBOOKD_*` variables over it.

Nested names are joined by two underscores: `RUNBOOKD_WEB__PORT=8080`,
`RUNBOOKD_WEB__HOOKS='{"alertmanager": {"bearer": ["..."]}}'`. Each field says its effect, its unit, what None
means, and why its default is what it is.

A path in the file that does not begin with `/` is taken from the folder of the file; one in a variable, on the command
line or by default from the working directory. A variable that begins with `RUNBOOKD_` and is no setting is a mistake,
but for `RUNBOOKD_CONFIG`, the secrets `RUNBOOKD_SECRET_*`, and what Kubernetes sets for a Service named runbookd.
"""

import json
import socket
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from runbookd.actions.aws.config import S3, AwsConfig
from runbookd.actions.config import ActionsConfig
from runbookd.errors import SettingsError
from runbookd.model.action import Mode
from runbookd.model.base import Duration
from runbookd.model.retention import Ages, Kept
from runbookd.model.watchdog import Watchdog
from runbookd.runtime.config import HeartbeatConfig, LedgerConfig
from runbookd.stages.plan import Reach
from runbookd.store.postgres_url import fault_of
from runbookd.web.config import WebConfig

_PACKAGE = Path(__file__).resolve().parent


def shipped(kind: Literal["rules", "playbooks"]) -> Path:
    """Return the folder of the rules or playbooks that come with runbookd: in the wheel, or in the checkout."""
    packed = _PACKAGE / "library" / kind
    return packed if packed.is_dir() else _PACKAGE.parents[1] / kind


class ReachSettings(BaseModel):
    """Bounds on what all rules may do together; shared by everything on the same database."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    budget: int = Field(
        default=30,
        ge=0,
        description=(
            "Runs that act, over all rules, per `budget_window`; one that ended and changed nothing does not count. "
            "0 lets nothing act."
        ),
    )
    budget_window: Duration = Field(
        default=timedelta(hours=1), description="The sliding window of the budget."
    )
    brake: int = Field(
        default=20,
        ge=0,
        description=(
            "The storm brake: one more run that acts within `brake_window`, over all rules, and the service pauses; "
            "only a person resumes it. 0: no brake."
        ),
    )
    brake_window: Duration = Field(
        default=timedelta(minutes=1), description="The sliding window of the storm brake."
    )
    target_cooldown: Duration = Field(
        default=timedelta(minutes=5),
        description="How long a target rests after a run acted upon it, before another rule may.",
    )
    protected: list[str] = Field(
        default_factory=lambda: ["*/kube-system/*"],
        description="Targets never acted upon; `*` and `?` as in file names, over the whole target.",
    )

    def bounds(self) -> Reach:
        """Return the bounds as the guards weigh them."""
        return Reach(
            budget=self.budget,
            budget_window=self.budget_window,
            brake=self.brake,
            brake_window=self.brake_window,
            target_cooldown=self.target_cooldown,
            protected=tuple(self.protected),
        )


class ReconcileSettings(BaseModel):
    """Asking Alertmanager what is firing, so that a lost or truncated notification is noticed."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    alertmanagers: list[str] = Field(
        default_factory=list,
        description="Base addresses of the members of one Alertmanager cluster, tried in order. Empty: never asked.",
    )
    bearer_secret: str | None = Field(
        default=None, description="Name of the secret sent as a bearer token. None: not sent."
    )
    every: Duration = Field(
        default=timedelta(minutes=2), description="How often. Each time is one small request to one member."
    )
    forget_after: Duration = Field(
        default=timedelta(minutes=10),
        description="An open alert not listed for this long has resolved; longer than Alertmanager's restart.",
    )


Age = Literal["forever"] | Duration
"""How old something may become."""


class RetentionSettings(BaseModel):
    """How long what is kept, once it is over; pruned daily. `forever` keeps it. What something open refers to stays."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    deliveries: Age = Field(
        default=timedelta(days=30),
        description="What senders sent, byte for byte. Most of the size; of use while a delivery may be disputed.",
    )
    events: Age = Field(
        default=timedelta(days=90), description="Events with what became of them, for `runbookd explain`."
    )
    runs: Age = Field(
        default=timedelta(days=400),
        description="Ended runs with journal and evidence: a year and a bit. Never less than rules look back.",
    )
    alerts: Age = Field(
        default=timedelta(days=400), description="Resolved alerts, once no run of theirs is left."
    )
    incidents: Age = Field(
        default=timedelta(days=400),
        description="Resolved incidents, once no alert and run of theirs is left.",
    )
    acts: Age = Field(
        default=timedelta(days=90),
        description="The keys of what people did, so that the same press told again is not done again.",
    )
    messages: Age = Field(
        default=timedelta(days=90), description="Messages of no incident. Those of one go with it."
    )
    ledger: Age = Field(
        default=timedelta(days=2557),
        description="Entries of the ledger: seven years. Archived, signed, before they go (`ledger.archives`).",
    )

    def ages(self) -> Ages:
        """Return the ages by kind."""
        rows = {kind: _limit(getattr(self, kind.value)) for kind in Kept}
        return Ages(rows=rows, ledger=_limit(self.ledger))


def _limit(age: Age) -> timedelta | None:
    return None if age == "forever" else age


class _Variables(EnvSettingsSource):
    """The environment; a value that should be JSON and is not is told by the variable's name, and is not shown."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """Read JSON. Raises SettingsError."""
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError as error:
            name = next((name for name, text in self.env_vars.items() if text is value), field_name).upper()
            place = f" at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else ""
            raise SettingsError(
                f"variable {name} is not JSON{place}; lists and maps are given as JSON, "
                'such as \'["a", "b"]\' and \'{"a": 1}\''
            ) from None


class Settings(BaseSettings):
    """Everything the service is told at start. Rules and playbooks are content, not settings."""

    model_config = SettingsConfigDict(
        env_prefix="RUNBOOKD_", env_nested_delimiter="__", extra="forbid", frozen=True, validate_default=True
    )

    database: Path = Field(
        default=Path("runbookd.db"),
        description="SQLite file, unless there is a `database_url`. Made when missing. Holds everything: back it up.",
    )
    database_url: SecretStr | None = Field(
        default=None,
        description=(
            "Postgres, for several replicas: postgresql://USER:PASSWORD@HOST/DATABASE, user and password "
            "percent-encoded (`@` is %40, `/` is %2F), several hosts with commas between. None: the SQLite file. "
            "Needs the extra `postgres`; a pooler in between must keep sessions whole."
        ),
    )
    database_queue: int = Field(
        default=16_384,
        ge=64,
        description="Transactions that may wait for the disk before senders hear 503; each holds one delivery.",
    )
    rules: list[Path] = Field(
        default_factory=lambda: [shipped("rules")],
        description="Folders of rules, tried in this order. Default: those that come with runbookd.",
    )
    playbooks: list[Path] = Field(
        default_factory=lambda: [shipped("playbooks")],
        description="Folders of playbooks. Default: those that come with runbookd.",
    )
    reload: bool = Field(default=True, description="Watch the folders, and take good changes at once.")
    mode: Mode = Field(
        default=Mode.ACT,
        description="`observe` overrides every rule: nothing is changed, everything recorded.",
    )
    lease: Duration = Field(
        default=timedelta(seconds=30),
        description="How long a worker's claim holds without being extended; how soon a dead one's work goes on.",
    )
    stop_within: Duration = Field(
        default=timedelta(seconds=25),
        description="How long a stop waits for calls under way. Kubernetes kills after 30 s by default.",
    )
    slots: int = Field(default=64, ge=1, le=1000, description="Runs and clocks worked on at once.")
    queue_limit: Duration = Field(
        default=timedelta(minutes=1),
        description="Not ready when the oldest delivery has waited longer than this to be admitted.",
    )
    secrets_folder: Path | None = Field(
        default=None,
        description="One file per secret, such as a mounted Kubernetes Secret. None: environment only.",
    )
    name: str = Field(
        default_factory=socket.gethostname,
        description="This replica's name in leases, logs and its ledger chain; no two of one database share it.",
    )
    log_format: Literal["json", "console"] = Field(default="json", description="`console` is for people.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Least level logged."
    )
    web: WebConfig = Field(default_factory=WebConfig, description="The HTTP door.")
    actions: ActionsConfig = Field(
        default_factory=ActionsConfig, description="Servers, hosts and commands that actions may reach."
    )
    aws: AwsConfig = Field(default_factory=AwsConfig, description="How AWS is reached.")
    reach: ReachSettings = Field(default_factory=ReachSettings, description="Bounds over all rules.")
    reconcile: ReconcileSettings = Field(
        default_factory=ReconcileSettings, description="Asking Alertmanager what fires."
    )
    heartbeat: HeartbeatConfig = Field(
        default_factory=HeartbeatConfig, description="A sign of life to a service elsewhere."
    )
    watchdogs: list[Watchdog] = Field(
        default_factory=list,
        description="Alerts that always fire. When one is silent, nothing is heard from its sender: an event.",
    )
    ledger: LedgerConfig = Field(
        default_factory=LedgerConfig, description="Signed checkpoints and archives of the ledger."
    )
    retention: RetentionSettings = Field(
        default_factory=RetentionSettings, description="How long what is kept."
    )

    @field_validator("watchdogs")
    @classmethod
    def _each_once(cls, watchdogs: list[Watchdog]) -> list[Watchdog]:
        names = [each.name for each in watchdogs]
        if len(set(names)) < len(names):
            raise ValueError("an alert of a source is named twice")
        return watchdogs

    @field_validator("database_url")
    @classmethod
    def _is_postgres(cls, url: SecretStr | None) -> SecretStr | None:
        fault = None if url is None else fault_of(url.get_secret_value())
        if fault is not None:
            raise ValueError(fault)
        return url

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment outranks the file, which arrives as init values."""
        del env_settings, dotenv_settings, file_secret_settings
        return _Variables(settings_cls), init_settings


def load_settings(file: Path | None, **overrides: Any) -> Settings:
    """Read the file (None: there is none), then the environment. Raises SettingsError naming every mistake.

    `overrides` are named on the command line and outrank both.
    """
    values: dict[str, Any] = {}
    if file is not None:
        try:
            values = tomllib.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            message = f"{file}: {error.strerror}; give --config the path of a TOML file"
            raise SettingsError(message) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            message = f"{file}: not TOML: {error}"
            raise SettingsError(message) from None
        values = _placed(Settings, values, file.parent)
    try:
        settings = Settings(**values)
    except ValidationError as error:
        lines = [_readable(str(file or "environment"), problem) for problem in error.errors()]
        raise SettingsError("\n".join(lines)) from None
    except ValueError as error:
        raise SettingsError(str(error)) from None
    return settings.model_copy(update=overrides)


def _placed(kind: Any, value: Any, folder: Path) -> Any:
    """Return a value from the file with every path in it taken from the folder, as the setting's type tells."""
    if kind is Path and isinstance(value, str) and not value.startswith(S3):
        return folder / value
    if isinstance(kind, type) and issubclass(kind, BaseModel) and isinstance(value, dict):
        fields = kind.model_fields
        return {
            name: _placed(fields[name].annotation, each, folder) if name in fields else each
            for name, each in value.items()
        }
    args = get_args(kind)
    if get_origin(kind) is list and isinstance(value, list):
        return [_placed(args[0], each, folder) for each in value]
    if get_origin(kind) is dict and isinstance(value, dict):
        return {name: _placed(args[1], each, folder) for name, each in value.items()}
    if get_origin(kind) in {list, dict}:
        return value
    for each in args:  # of a union, or beside an annotation
        value = _placed(each, value, folder)
    return value


def _readable(where: str, problem: Any) -> str:
    """Say which setting is wrong and how; the value is not shown, it may be a secret."""
    path = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"{where}: unknown setting {path!r}; `runbookd schema settings` lists them all"
    return f"{where}: setting {path!r}: {problem['msg']}"
