"""The catalogue: what it finds, what it refuses, and what it does not import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from runbookd.actions.catalogue import ActionCatalogue, collect
from runbookd.errors import NotFound, SettingsError
from runbookd.model.action import OutcomeState, Probed, Repeat
from runbookd.ports import Catalogue, Performer
from tests.contract.actions.hands import call, performing

PLUGIN = """
from datetime import timedelta
from runbookd.actions.base import Action, Params, Result
from runbookd.model.action import Repeat, Spec

async def run(params, context):
    return Result()

def act(name):
    spec = Spec(name=name, summary="Act.", mutates=True, repeat=Repeat.NEVER, undo="by hand only",
                timeout=timedelta(seconds=1), example={})
    return Action(spec=spec, params=Params, result=Result, run=run)

ONE, MORE, TWIN = act("acme.one"), (act("acme.two"), act("acme.three")), act("flow.log")
"""


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, *entries: str) -> None:
    """Install a package with these entry points of the group, for this test."""
    (folder / "acme_actions.py").write_text(PLUGIN, encoding="utf-8")
    info = folder / "acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("\n".join(["[runbookd.actions]", *entries]), encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "acme_actions", raising=False)


def test_packages_register_actions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entry points of the group add one action or several, found like the shipped ones."""
    install(tmp_path, monkeypatch, "one = acme_actions:ONE", "more = acme_actions:MORE")
    catalogue = ActionCatalogue()
    assert [name for name in catalogue.names() if name.startswith("acme.")] == [
        "acme.one",
        "acme.three",
        "acme.two",
    ]
    assert list(catalogue.names()) == sorted(catalogue.names())


def test_two_actions_of_one_name_stop_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package cannot replace a shipped action: the service does not start, and both places are named."""
    install(tmp_path, monkeypatch, "twin = acme_actions:TWIN")
    with pytest.raises(
        SettingsError, match=r"two actions are named 'flow\.log' \(in acme_actions and runbookd"
    ):
        ActionCatalogue().names()


@pytest.mark.parametrize("entry", ["bad = acme_actions:NOT_THERE", "bad = acme_missing:ONE"])
def test_a_package_that_does_not_import_stops_the_start(
    entry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken entry point is named, not skipped: a playbook may need it at night."""
    install(tmp_path, monkeypatch, entry)
    with pytest.raises(SettingsError, match="entry point 'bad'"):
        ActionCatalogue().names()


def test_nothing_is_imported_before_it_is_asked() -> None:
    """Making a catalogue imports no provider, and asking it imports no SDK."""
    script = (
        "import sys; from runbookd.actions.catalogue import ActionCatalogue; c = ActionCatalogue();"
        "assert not [m for m in sys.modules if m.startswith('runbookd.actions.http')]; c.describe();"
        "print([m for m in ('kubernetes_asyncio', 'aioboto3', 'boto3', 'slack_sdk', 'pagerduty') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_an_unknown_action_is_told_what_was_meant() -> None:
    """A misspelled name has no spec and no model, and the nearest name is offered."""
    catalogue = ActionCatalogue()
    assert catalogue.spec("http.requests") is None
    for ask in (catalogue.params, catalogue.result):
        with pytest.raises(NotFound, match=r"Did you mean 'http\.request'\?"):
            ask("http.requests")
    assert catalogue.mutates("http.requests", {})
    assert catalogue.repeat("http.requests", {}) is Repeat.NEVER


def test_the_models_are_there_for_those_who_check() -> None:
    """The catalogue gives the spec and the models of an action."""
    catalogue = ActionCatalogue()
    spec = catalogue.spec("flow.log")
    assert spec is not None
    assert spec.name == "flow.log"
    assert "message" in catalogue.params("flow.log").model_fields
    assert "message" in catalogue.result("flow.log").model_fields


def test_the_description_is_complete() -> None:
    """The reference page's data has every action with its text, its schemas and whether its parameters decide."""
    shown = {one.name: one for one in ActionCatalogue().describe()}
    assert list(shown) == list(ActionCatalogue().names())
    request = shown["http.request"]
    assert (request.mutates, request.repeat, request.undoable) == ("depends", "depends", True)
    assert (shown["flow.log"].mutates, shown["alertmanager.silence"].mutates) == ("no", "yes")
    assert request.about.startswith("`http.request`")
    assert "json" in request.params["properties"]
    assert "json" in request.result["properties"]


async def test_the_ports_are_kept() -> None:
    """The catalogue and the performer are what the inside asks for, by name and type."""
    catalogue: Catalogue = ActionCatalogue()
    async with performing() as made:
        performer: Performer = made
        assert performer.spec("flow.log") == catalogue.spec("flow.log")


async def test_the_performer_knows_no_more_than_the_catalogue() -> None:
    """A call of an action that is not there fails, is not probed and not undone, with the nearest name offered."""
    assert collect([]) == {}
    async with performing() as performer:
        unknown = call("flow.logs")
        assert performer.spec("flow.logs") is None
        assert performer.mutates("flow.logs", {})
        assert performer.repeat("flow.logs", {}) is Repeat.NEVER
        answer, probed = await performer.probe(unknown)
        assert answer is Probed.UNKNOWN
        for outcome in (await performer.perform(unknown), await performer.undo(unknown, {}), probed):
            assert outcome is not None
            assert outcome.failure is not None
            assert (outcome.state, outcome.failure.kind) == (OutcomeState.FAILED, "unknown_action")
            assert "'flow.log'" in outcome.failure.message
