"""Where the ledger is kept beside the database, and with which key it is signed, as the settings say."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from runbookd.errors import SettingsError
from runbookd.runtime.places import place_at
from runbookd.runtime.retention import Archiving
from runbookd.stages.checkpoint import signer_of
from runbookd.units.watch import Watch

if TYPE_CHECKING:
    from pathlib import Path

    from runbookd.actions.aws.config import AwsConfig
    from runbookd.ports import Clock, Place, Secrets, Store
    from runbookd.runtime.checkpoints import Checkpoints
    from runbookd.runtime.config import LedgerConfig
    from runbookd.runtime.metrics import Metrics
    from runbookd.stages.checkpoint import Signer


class Safekeeping:
    """The places of archives and checkpoints; each is opened at its first use, and closed with all others."""

    def __init__(
        self, config: LedgerConfig, aws: AwsConfig, secrets: Secrets, watch: Watch | None = None
    ) -> None:
        """Nothing is read yet. `watch` is told when archives cannot be written."""
        self._config, self._aws, self._secrets = config, aws, secrets
        self._watch = watch or Watch()
        self._open = AsyncExitStack()
        self._archives = None if config.archives is None else self._place(config.archives)

    def signer(self) -> Signer | None:
        """Return who signs; None when there is no key, and nothing that needs one. Raises SettingsError, NotFound.

        What S3 needs is looked for as well, so that a mistake is told at the start.
        """
        config = self._config
        signer = self._read()
        in_s3 = {"archives": isinstance(config.archives, str), "checkpoints_s3": bool(config.checkpoints_s3)}
        wanted = [name for name, value in in_s3.items() if value]
        if wanted:
            from runbookd.actions.aws.client import MISSING, is_installed  # noqa: PLC0415 - only where S3 is used

            if not is_installed():
                message = f"ledger.{wanted[0]}: a place in S3 {MISSING}"
                raise SettingsError(message)
        if signer is None and (config.archives or config.checkpoints_s3):
            name = "archives" if config.archives else "checkpoints_s3"
            message = f"ledger.{name} needs a key to sign with: set ledger.key_file or ledger.key_secret"
            raise SettingsError(message)
        return signer

    def archiving(self) -> Archiving | None:
        """Return what archives need; None when there are to be none. Raises as `signer`."""
        signer = None if self._archives is None else self.signer()
        if self._archives is None or signer is None:
            return None
        return Archiving(place=self._archives, signer=signer, watch=self._watch)

    def checkpoints(self, store: Store, clock: Clock, metrics: Metrics) -> Checkpoints | None:
        """Return what signs the ledger; None when there is no key, or nowhere to write to. Raises as `signer`."""
        # The CLI's other commands do not sign.
        from runbookd.runtime.checkpoint_keepers import FileKeeper, Keeper, LogKeeper, PlaceKeeper  # noqa: PLC0415
        from runbookd.runtime.checkpoints import Checkpoints  # noqa: PLC0415

        signer, config = self.signer(), self._config
        if signer is None:
            return None
        keepers: list[Keeper] = []
        if config.checkpoints_file is not None:
            keepers.append(FileKeeper(config.checkpoints_file, signer))
        if config.checkpoints_log:
            keepers.append(LogKeeper())
        if config.checkpoints_s3 is not None:  # the last: it may take its time
            keepers.append(PlaceKeeper(self._place(config.checkpoints_s3), signer))
        return Checkpoints(store, clock, signer, keepers, metrics) if keepers else None

    async def close(self) -> None:
        """Let go of all connections."""
        await self._open.aclose()

    def _read(self) -> Signer | None:
        """Read the key from its file or secret; None when there is none. Raises SettingsError, NotFound."""
        config = self._config
        if config.key_file is not None:
            try:
                return signer_of(config.key_file.read_bytes())
            except OSError as error:
                message = (
                    f"ledger.key_file {config.key_file}: {error.strerror}; `runbookd audit key` makes one"
                )
                raise SettingsError(message) from None
        return None if config.key_secret is None else signer_of(self._secrets.get(config.key_secret).encode())

    def _place(self, location: Path | str) -> Place:
        place = place_at(location, self._aws)
        self._open.push_async_callback(place.close)
        return place
