"""Where settings come from: the file's own folder, the environment, and what is said of mistakes in either."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbookd.errors import SettingsError
from runbookd.settings import load_settings
from tests.integration.cli.conftest import Runbookd

TOML = """
database = "data/runbookd.db"
rules = ["rules", "/etc/rules"]
playbooks = ["playbooks"]
secrets_folder = "vault"
[ledger]
key_file = "key.pem"
[web.tls]
cert = "cert.pem"
key = "key.pem"
[web.hooks.alertmanager]
bearer_files = ["token"]
basic = [{username = "u", password_file = "password"}]
header = [{name = "X-Token", file = "header"}]
"""


def test_paths_in_the_file_are_taken_from_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every path in the file, however deep; those of the environment stay with the working directory."""
    file = tmp_path / "runbookd.toml"
    file.write_text(TOML)
    settings = load_settings(file)
    assert settings.database == tmp_path / "data" / "runbookd.db"
    assert settings.rules == [tmp_path / "rules", Path("/etc/rules")]
    assert settings.secrets_folder == tmp_path / "vault"
    assert settings.ledger.key_file == tmp_path / "key.pem"
    assert settings.web.tls is not None
    assert settings.web.tls.cert == tmp_path / "cert.pem"
    hook = settings.web.hooks["alertmanager"]
    assert hook.bearer_files == [tmp_path / "token"]
    assert hook.basic[0].password_file == tmp_path / "password"
    assert hook.header[0].file == tmp_path / "header"
    monkeypatch.setenv("RUNBOOKD_DATABASE", "here.db")
    assert load_settings(file).database == Path("here.db")


def test_a_wrong_type_in_the_file_is_told(tmp_path: Path) -> None:
    """A section that is no table, or a list that is none, is a mistake with its place."""
    file = tmp_path / "runbookd.toml"
    for text, place in (
        ("web = 1", "'web'"),
        ("rules = 'x'", "'rules'"),
        ("[web]\nhooks = [1]", "'web.hooks'"),
    ):
        file.write_text(text)
        with pytest.raises(SettingsError, match=place):
            load_settings(file)


@pytest.mark.parametrize("name", ["RUNBOOKD_WEB__HOOKS", "RUNBOOKD_RULES", "RUNBOOKD_WEB__TLS"])
def test_broken_json_is_told_by_its_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable and the place are named, and the value, which may hold a secret, is not."""
    monkeypatch.setenv(name, '{"hunter2')
    with pytest.raises(SettingsError, match=f"variable {name} is not JSON at character 2;") as told:
        load_settings(None)
    assert "hunter2" not in str(told.value)


def test_a_misspelt_variable_is_bad_usage(runbookd: Runbookd) -> None:
    """It is exit code 2, for every command that reads the settings."""
    done = runbookd.having({"RUNBOOKD_MOED": "observe"})("check", code=2)
    assert "Did you mean 'RUNBOOKD_MODE'?" in done.stderr


def test_files_of_secrets_are_read_before_anything_is_made(runbookd: Runbookd) -> None:
    """A token file that is missing is told at once: no database, no log, exit code 2."""
    (runbookd.folder / "runbookd.toml").write_text(
        'database = "made.db"\n[web.hooks.alertmanager]\nbearer_files = ["nowhere"]\n'
    )
    done = runbookd("--config", "runbookd.toml", "serve", code=2)
    assert (
        done.stderr
        == "error: cannot read the secret file nowhere: No such file or directory; check the mounted Secret\n"
    )
    (runbookd.folder / "runbookd.toml").write_text(
        'database = "made.db"\n[web.hooks.alertmanger]\nbearer = ["x"]\n'
    )
    assert "no source alertmanger" in runbookd("--config", "runbookd.toml", "serve", code=2).stderr
    assert not (runbookd.folder / "made.db").exists()
