"""Where the ledger is kept, as the settings say: what is made of them, and what is missing told at the start."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from runbookd.actions.aws import client
from runbookd.actions.aws.config import AwsConfig
from runbookd.errors import SettingsError
from runbookd.runtime.config import LedgerConfig
from runbookd.runtime.metrics import Metrics
from runbookd.runtime.safekeeping import Safekeeping
from runbookd.runtime.secrets import FilesAndEnvironment
from runbookd.settings import load_settings
from runbookd.stages.checkpoint import new_key
from runbookd.store.sqlite import open_sqlite
from tests.acceptance.engine import SetClock


def keeping(folder: Path, **ledger: object) -> Safekeeping:
    """What these settings make."""
    return Safekeeping(LedgerConfig.model_validate(ledger), AwsConfig(), FilesAndEnvironment(folder))


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A key that signs, also a secret of the name `ledger_key`."""
    path = tmp_path / "ledger_key"
    path.write_bytes(new_key())
    return path


async def test_every_place_of_the_settings_keeps_checkpoints(tmp_path: Path, key: Path) -> None:
    """File, log and S3; none of them without a key, and none where none is named."""
    places = {"checkpoints_file": tmp_path / "c", "checkpoints_s3": "s3://bucket", "checkpoints_log": True}
    store, metrics = await open_sqlite(tmp_path / "store.db"), Metrics(CollectorRegistry())
    made = keeping(tmp_path, key_file=key, **places).checkpoints(store, SetClock(), metrics)
    assert made is not None
    assert keeping(tmp_path, checkpoints_log=True).checkpoints(store, SetClock(), metrics) is None
    nowhere = keeping(tmp_path, key_secret="ledger_key", checkpoints_log=False)
    assert nowhere.checkpoints(store, SetClock(), metrics) is None
    await store.close()


@pytest.mark.parametrize(
    ("archives", "where"), [("s3://bucket/a/", "s3://bucket/a"), (Path("/x/archives"), "/x/archives")]
)
def test_archives_go_where_settings_say(tmp_path: Path, key: Path, archives: object, where: str) -> None:
    """Into a folder or a bucket, signed with the key; none is made without a place."""
    made = keeping(tmp_path, key_secret="ledger_key", archives=archives).archiving()
    assert made is not None
    assert made.place.where() == where
    assert keeping(tmp_path, key_file=key).archiving() is None


@pytest.mark.parametrize("setting", ["archives", "checkpoints_s3"])
def test_what_a_bucket_needs_is_told(
    tmp_path: Path, key: Path, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key, and the SDK."""
    with pytest.raises(SettingsError, match=f"ledger.{setting} needs a key"):
        keeping(tmp_path, **{setting: "s3://bucket"}).signer()
    monkeypatch.setattr(client, "is_installed", lambda: False)
    with pytest.raises(SettingsError, match=rf"ledger.{setting}: .* pip install 'runbookd\[aws\]'"):
        keeping(tmp_path, **{setting: "s3://bucket"}, key_file=key).signer()


def test_a_file_of_settings_may_name_a_bucket_or_a_folder(tmp_path: Path) -> None:
    """A folder is taken from the folder of the file; an address in S3 stays as it is, and a wrong one is told."""
    file = tmp_path / "runbookd.toml"
    for written, meant in (("s3://bucket/x", "s3://bucket/x"), ("archives", tmp_path / "archives")):
        file.write_text(f'[ledger]\narchives = "{written}"\n')
        assert load_settings(file).ledger.archives == meant
    file.write_text('[ledger]\narchives = "s3://Wrong"\ncheckpoints_s3 = "archives"\n')
    with pytest.raises(SettingsError) as caught:
        load_settings(file)
    assert "setting 'ledger.archives': Value error, 's3://Wrong' is not an address in S3" in str(caught.value)
    assert "setting 'ledger.checkpoints_s3': Value error, 'archives' is not an address" in str(caught.value)
