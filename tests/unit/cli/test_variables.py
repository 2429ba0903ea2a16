"""A misspelt variable is refused; what Kubernetes and the secrets set is not."""

from __future__ import annotations

import pytest

from runbookd.cli.variables import refuse_unknown
from runbookd.errors import SettingsError


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RUNBOOKD_CONFIG", "x.toml"),
        ("RUNBOOKD_SECRET_SHOP_TOKEN", "x"),
        ("RUNBOOKD_DATABASE_URL", "postgresql://h/d"),
        ("RUNBOOKD_WEB__PROT", "found when the section is read"),
        ("runbookd_mode", "act"),
        ("RUNBOOKD_SERVICE_HOST", "10.0.0.1"),
        ("RUNBOOKD_SERVICE_PORT_HTTP", "8080"),
        ("RUNBOOKD_METRICS_SERVICE_HOST", "10.0.0.1"),
        ("RUNBOOKD_PORT", "tcp://10.0.0.1:8080"),
        ("RUNBOOKD_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("_RUNBOOKD_COMPLETE", "bash_complete"),
        ("PATH", "/bin"),
    ],
)
def test_known_variables_are_left_alone(name: str, value: str) -> None:
    """Settings, secrets, what other software sets, and what is not ours."""
    refuse_unknown({name: value})


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("RUNBOOKD_MOED", "RUNBOOKD_MODE"),
        ("RUNBOOKD_WEB_PORT", "RUNBOOKD_WEB__PORT"),
        ("RUNBOOKD_PORT", "RUNBOOKD_WEB__PORT"),
        ("RUNBOOKD_DATABSE", "RUNBOOKD_DATABASE"),
    ],
)
def test_a_misspelt_variable_is_refused(name: str, meant: str) -> None:
    """It is named, with what was probably meant, and its value is not shown."""
    with pytest.raises(SettingsError, match=f"variable {name} is no setting. Did you mean '{meant}'") as told:
        refuse_unknown({name: "hunter2", "RUNBOOKD_ZZZZZZ": ""})
    assert "RUNBOOKD_ZZZZZZ is no setting. `runbookd schema" in str(told.value)
    assert "hunter2" not in str(told.value)
