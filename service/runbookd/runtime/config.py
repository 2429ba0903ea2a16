"""What the service's own sweeps are configured with."""

from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from runbookd.actions.aws.config import Location, S3Address
from runbookd.model.base import Duration


class HeartbeatConfig(BaseModel):
    """A sign of life to a service elsewhere that tells people when it stays away: a dead man's switch.

    It is sent while the worker turns, the database takes writes and nothing due is left lying. Replicas share it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    url: SecretStr | None = Field(
        default=None,
        description=(
            "Called (GET) as long as all is well; may hold `${secret.NAME}`, and its host must be among "
            "`actions.http.allowed_hosts` if those are set. None: nobody is told."
        ),
    )
    fail_url: SecretStr | None = Field(
        default=None,
        description=(
            "Called instead while something is wrong and the database can still be written: healthchecks.io has "
            "`URL/fail`. None: silence."
        ),
    )
    every: Duration = Field(default=timedelta(minutes=1), description="How often.")
    overdue: Duration = Field(
        default=timedelta(minutes=1),
        description="How long something due, or a delivery, may wait until that is not well.",
    )


class LedgerConfig(BaseModel):
    """Signed checkpoints and archives of the ledger. Without a key there are neither, and the ledger is kept whole.

    Where a setting takes `s3://BUCKET/PREFIX`, the extra `aws` must be installed; how S3 is reached is `aws`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    key_file: Path | None = Field(
        default=None,
        description="The private Ed25519 key that signs, PEM; `runbookd audit key FILE` makes it. None: `key_secret`.",
    )
    key_secret: str | None = Field(
        default=None,
        description="Name of the secret that holds the key, instead of a file. None, and no file: not signed.",
    )
    checkpoint_every: Duration = Field(
        default=timedelta(minutes=5),
        description="How often the ends of the chains are signed; what an intruder rewrites sooner is not found.",
    )
    checkpoints_file: Path | None = Field(
        default=None,
        description="Checkpoints are added to this file; best on another machine's disk. None: not to a file.",
    )
    checkpoints_s3: S3Address | None = Field(
        default=None,
        description=(
            "Each checkpoint becomes an object `s3://BUCKET/PREFIX/checkpoint-...`; replicas share it. None: not in S3."
        ),
    )
    checkpoints_log: bool = Field(
        default=True, description="Checkpoints go to the log, where a log collector keeps them elsewhere."
    )
    archives: Location | None = Field(
        default=None,
        description=(
            "Folder, or `s3://BUCKET/PREFIX`, for entries older than `retention.ledger`; replicas share it. None: the "
            "ledger is kept whole."
        ),
    )
