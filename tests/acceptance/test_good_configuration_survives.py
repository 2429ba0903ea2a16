"""G12: a bad edit is refused with its place while the rules in force go on; a good one is taken whole, at once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.broken_shop import BEGAN, Sender, told
from tests.acceptance.nursery import Mortal, nursery
from tests.acceptance.one_service import one_service
from tests.servers import eventually
from tests.unit.content.mistakes import MEANINGS, SHAPES, YAML

MARK = "‸"
BASE = """
rules:
  - name: RULE
    match: [alertname="Noise"]
    priority: P1
    run: [{playbook: fix, with: {name: x}}]
priorities:
  P1: {name: High}
calendars:
  office: {timezone: UTC, days: [mon], from: "09:00", to: "17:00"}
vars:
  url: http://a
"""
PLAYBOOKS = {
    "fix": """
playbook: fix
inputs:
  name: {pattern: "^[a-z]+$"}
  count: {type: integer, default: 3, maximum: 10}
  wait: {type: duration, default: 5m}
steps:
  - {action: flow.log, with: {message: "${inputs.name}"}}
""",
    "look": """
playbook: look
steps:
  - {id: looked, action: http.check, with: {url: "${vars.url}"}}
""",
}
SETTINGS = {"reload": True, "reach": {"budget": 1_000_000, "brake": 0, "target_cooldown": "0s"}}


def rules(name: str) -> str:
    """The good content, its one rule under this name."""
    return BASE.replace("RULE", name)


@pytest.fixture
async def service() -> AsyncIterator[Mortal]:
    """The service with the good content, running."""
    async with (
        nursery() as born_by,
        one_service(born_by, rules=rules("first"), playbooks=PLAYBOOKS, settings=SETTINGS) as it,
    ):
        yield await it.start()


def reloads(service: Mortal, what: str) -> list[dict[str, Any]]:
    """The ledger's details of reloads refused, or taken, oldest first."""
    rows = service.rows("SELECT text FROM ledger WHERE what = ? ORDER BY seq", what)
    return [json.loads(row["text"])["detail"] for row in rows]


async def refused(service: Mortal, before: int) -> list[str]:
    """The problems of the next refusal after so many."""
    found = await eventually(
        lambda: reloads(service, "reload_refused")[before:], within=20, what="the reload is refused"
    )
    problems: list[str] = found[-1]["problems"]
    return problems


def apart(text: str, number: int) -> str:
    """Give what a file defines names of its own, so that files which are wrong one by one can stand side by side."""
    for plain in (
        "playbook: p\n",
        f"playbook: {MARK}p\n",
        "- name: r\n",
        "calendars:\n  c",
        "priorities:\n  P5",
        "escalations:\n  e",
        "roles:\n  r",
        "{name: s",
        f"{{name: {MARK}s",
        "- name: s\n",
    ):
        text = text.replace(plain, f"{plain.rstrip()}{number}{plain[len(plain.rstrip()) :]}")
    return text


def place_of_mark(text: str) -> str:
    """`line:column` of the mark, from 1."""
    before = text[: text.index(MARK)]
    return f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


@contextlib.asynccontextmanager
async def load(service: Mortal) -> AsyncIterator[Sender]:
    """Alerts come in all the while; each is acknowledged, and in the end an event of the rule in force."""
    sender, over = Sender(service), asyncio.Event()

    async def pour() -> None:
        number = 0
        while not over.is_set():
            number += 1
            await sender.send(told({"alertname": "Noise", "number": str(number)}, began=BEGAN))
            await asyncio.sleep(0.01)

    pouring = asyncio.create_task(pour())
    try:
        yield sender
    finally:
        over.set()
        await pouring


def matched(service: Mortal) -> dict[str, int]:
    """How many events each rule took."""
    rows = service.rows("SELECT rule, count(*) AS n FROM events GROUP BY rule")
    return {row["rule"]: row["n"] for row in rows}


@pytest.mark.parametrize("kind", ["yaml", "shapes", "meanings"])
async def test_every_kind_of_broken_file_is_refused_with_its_place_under_load(
    service: Mortal, kind: str
) -> None:
    """Each mistake is told as file:line:column, and not one alert goes another way meanwhile."""
    mistakes = {"yaml": YAML, "shapes": SHAPES, "meanings": MEANINGS}[kind]
    folder, prepared = service.folder / "rules" / kind, service.folder / kind
    prepared.mkdir()
    expected = []
    for number, (mistake, _) in enumerate(mistakes.values()):
        # A parameter that the real `http.check` does not have; messages, whose names are given, so that two clash.
        if "probe:" in mistake or mistake.startswith("messages:"):
            continue
        name = f"{number:03d}.yaml"
        text = apart(mistake, number)
        (prepared / name).write_text(text.replace(MARK, ""), encoding="utf-8")
        expected.append(f"{folder / name}:{place_of_mark(text)}: ")
    async with load(service) as sender:
        prepared.rename(folder)
        problems = await refused(service, 0)
        missing = [place for place in expected if not any(problem.startswith(place) for problem in problems)]
        assert missing == [], "\n".join(problems)
        shutil.rmtree(folder)
        taken = len(sender.acknowledged)
        await eventually(lambda: matched(service).get("first", 0) > taken, within=20)
    await eventually(lambda: sum(matched(service).values()) >= len(sender.acknowledged), within=20)
    assert matched(service) == {"first": len(sender.acknowledged)}
    assert not reloads(service, "reloaded")


async def test_a_good_edit_is_taken_whole_under_load(service: Mortal) -> None:
    """From the reload on the new rule takes every alert; none falls between; it is in the ledger."""
    file = service.folder / "rules" / "content.yaml"
    async with load(service) as sender:
        await eventually(lambda: matched(service).get("first"), within=20)
        file.write_text(rules("second"), encoding="utf-8")
        await eventually(lambda: matched(service).get("second"), within=20)
    await eventually(lambda: sum(matched(service).values()) >= len(sender.acknowledged), within=20)
    assert matched(service).keys() == {"first", "second"}
    order = [row["rule"] for row in service.rows("SELECT rule FROM events ORDER BY received_at, id")]
    assert order == sorted(order)
    (reloaded,) = reloads(service, "reloaded")
    assert reloaded["rules"] == 1


async def test_a_file_that_is_cut_to_nothing_is_refused(service: Mortal) -> None:
    """An empty file, as it is while it is rewritten or when the disk is full, does not pass for "no rules"."""
    file = service.folder / "rules" / "content.yaml"
    file.write_text("", encoding="utf-8")
    assert f"{file}: the file is empty; write it, or remove it" in await refused(service, 0)
    await Sender(service).send(told({"alertname": "Noise", "number": "1"}, began=BEGAN))
    await eventually(lambda: matched(service) == {"first": 1}, within=20)


async def test_a_file_written_in_two_halves_is_taken_once_it_is_whole(service: Mortal) -> None:
    """An editor that writes slowly: the half is refused and changes nothing, the whole is taken."""
    file = service.folder / "rules" / "content.yaml"
    text = rules("second")
    middle = text.index("match:") + len("match: [")
    file.write_text(text[:middle], encoding="utf-8")
    problems = await refused(service, 0)
    assert problems[0].startswith(f"{file}:")
    sender = Sender(service)
    await sender.send(told({"alertname": "Noise", "number": "1"}, began=BEGAN))
    await eventually(lambda: matched(service) == {"first": 1}, within=20)
    file.write_text(text, encoding="utf-8")
    await eventually(lambda: reloads(service, "reloaded"), within=20)
    await sender.send(told({"alertname": "Noise", "number": "2"}, began=BEGAN + timedelta(hours=1)))
    await eventually(lambda: matched(service) == {"first": 1, "second": 1}, within=20)


async def test_folders_that_go_and_come_back_do_not_end_the_service(service: Mortal) -> None:
    """A checkout replaces the folder: gone, it is refused and the old rules go on; back with news, it is taken."""
    folder = service.folder / "rules"
    folder.rename(service.folder / "old")
    problems = await refused(service, 0)
    assert problems[0].startswith(f"{folder}: ")
    sender = Sender(service)
    await sender.send(told({"alertname": "Noise", "number": "1"}, began=BEGAN))
    await eventually(lambda: matched(service) == {"first": 1}, within=20)
    (service.folder / "new").mkdir()
    (service.folder / "new" / "content.yaml").write_text(rules("second"), encoding="utf-8")
    (service.folder / "new").rename(folder)
    await eventually(lambda: reloads(service, "reloaded"), within=20)
    (folder / "content.yaml").write_text(rules("third"), encoding="utf-8")
    await eventually(lambda: len(reloads(service, "reloaded")) == 2, within=20)


async def test_a_link_to_the_folder_is_swapped_as_git_sync_does_it() -> None:
    """The folder itself is a link to a checkout, and is renamed over: the new checkout is taken, and watched."""
    async with (
        nursery() as born_by,
        one_service(born_by, rules=rules("first"), playbooks=PLAYBOOKS, settings=SETTINGS) as service,
    ):
        folder, one, two = (service.folder / name for name in ("rules", "one", "two"))
        folder.rename(one)
        folder.symlink_to(one)
        await service.start()
        shutil.copytree(one, two)
        (two / "content.yaml").write_text(rules("second"), encoding="utf-8")
        link = service.folder / "next"
        link.symlink_to(two)
        link.replace(folder)
        await eventually(lambda: reloads(service, "reloaded"), within=20)
        (two / "content.yaml").write_text(rules("third"), encoding="utf-8")
        await eventually(lambda: len(reloads(service, "reloaded")) == 2, within=20)


async def test_a_failed_embedded_test_refuses_the_reload(service: Mortal) -> None:
    """A rule that no longer does what its own test says is refused, at the test's place."""
    text = rules("second").replace(
        "priority: P1\n",
        "priority: P1\n"
        "    tests: [{name: noise, event: {labels: {alertname: Noise}}, expect: {matched: false}}]\n",
        1,
    )
    file = service.folder / "rules" / "content.yaml"
    file.write_text(text, encoding="utf-8")
    problems = await refused(service, 0)
    assert len(problems) == 1
    assert problems[0].startswith(f"{file}:6:")
    assert "test 'noise'" in problems[0]


async def test_a_configmap_is_swapped_as_kubernetes_does_it() -> None:
    """The mounted files are links through `..data`, which is renamed over: the swap is seen, good or bad."""
    async with (
        nursery() as born_by,
        one_service(born_by, rules=rules("first"), playbooks=PLAYBOOKS, settings=SETTINGS) as service,
    ):
        mounted = service.folder / "rules"
        (mounted / "content.yaml").unlink()
        _publish(mounted, "..2026_01", rules("first"))
        (mounted / "content.yaml").symlink_to("..data/content.yaml")
        await service.start()
        _publish(mounted, "..2026_02", rules("second"))
        await eventually(lambda: reloads(service, "reloaded"), within=20)
        _publish(mounted, "..2026_03", "rules: [\n")
        problems = await refused(service, 0)
        assert problems[0].startswith(f"{mounted / 'content.yaml'}:2:1: ")
        sender = Sender(service)
        await sender.send(told({"alertname": "Noise", "number": "1"}, began=BEGAN))
        await eventually(lambda: matched(service) == {"second": 1}, within=20)


def _publish(mounted: Path, version: str, text: str) -> None:
    """Write a version of the volume and rename the link to it into place (kubelet's atomic writer)."""
    folder = mounted / version
    folder.mkdir()
    (folder / "content.yaml").write_text(text, encoding="utf-8")
    link = mounted / "..data_tmp"
    link.symlink_to(version)
    link.replace(mounted / "..data")
