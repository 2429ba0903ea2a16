"""`check` says what the content means and the settings, or this machine, do not have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runbookd.actions.catalogue import ActionCatalogue
from runbookd.cli import check_settings
from runbookd.cli.check_settings import missing_extras
from runbookd.content.load import load
from tests.integration.cli.conftest import Runbookd

SHIPPED = Path(__file__).parents[3]
PEOPLE = """
roles:
  anna: {primary: {webhook: pagr}}
escalations:
  ladder:
    - {after: 0m, page: [anna], notify: ["webhook:other"]}
"""

PODS = """
playbook: look
steps:
  - {id: pods, action: kubernetes.get_pods}
"""


def test_a_webhook_that_is_not_set_is_told_where_it_is_named(runbookd: Runbookd) -> None:
    """A page to it would fail at night: `check` says so by day, and what was probably meant."""
    (runbookd.folder / "rules" / "people.yaml").write_text(PEOPLE)
    pager = {"pager": {"url": "https://example.com/", "signing_secret": "pager_key"}}
    set_ = runbookd.having({"RUNBOOKD_ACTIONS": json.dumps({"webhooks": pager})})
    first, second = set_.json("check", code=1)["problems"]
    assert (Path(first["file"]).name, first["line"]) == ("people.yaml", 3)
    assert first["message"] == (
        "there is no webhook 'pagr' in `actions.webhooks` of the settings. Did you mean 'pager'?"
    )
    assert (second["line"], "'other'" in second["message"]) == (5, True)


def test_a_kubeconfig_that_the_environment_names_has_to_be_there(runbookd: Runbookd) -> None:
    """Where a call of the content would sign in by it; content that asks no cluster does not mind."""
    set_ = runbookd.having({"KUBECONFIG": "/nowhere/config"})
    assert set_.json("check")["ok"]
    (runbookd.folder / "playbooks" / "pods.yaml").write_text(PODS)
    (found,) = set_.json("check", code=1)["problems"]
    assert Path(found["file"]).name == "pods.yaml"
    assert "$KUBECONFIG: there is no such file (/nowhere/config); put it there" in found["message"]


def test_an_extra_that_is_not_installed_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each extra once, with the first that needs it and the command; the content may be run elsewhere."""
    library = load(SHIPPED / "rules", SHIPPED / "playbooks", ActionCatalogue())
    assert missing_extras(library) == []
    monkeypatch.setattr(check_settings, "find_spec", lambda _package: None)
    told = [str(problem) for problem in missing_extras(library)]
    assert [one.rpartition("pip install ")[2] for one in told] == [
        "'runbookd[kubernetes]'",
        "'runbookd[pagerduty]'",
        "'runbookd[slack]'",
    ]
    assert all("which is not installed here" in one and ".yaml:" in one for one in told)


def test_what_messages_want_is_a_warning_where_settings_are_given(runbookd: Runbookd) -> None:
    """Content alone, as it is checked where it is written, is not told what a service would need for it."""
    people = "roles:\n  anna: {primary: {email: anna@example.com}}\n"
    (runbookd.folder / "rules" / "people.yaml").write_text(people)
    assert "mail server" not in json.dumps(runbookd.json("check"))
    set_ = runbookd.having({"RUNBOOKD_ACTIONS": json.dumps({"http": {}})})
    (told,) = [one for one in set_.json("check")["warnings"] if "mail" in one["message"]]
    assert told["message"] == (
        "a message to role anna would be refused: the settings have no mail server; set `actions.email`"
    )
    assert (Path(told["file"]).name, told["line"]) == ("people.yaml", 2)
