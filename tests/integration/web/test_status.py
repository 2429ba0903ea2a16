"""The public status page shows public facts of the incidents that were told to it, to everybody, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from runbookd.errors import StoreUnavailable
from runbookd.reports.public_incidents import PublicPages
from runbookd.store.sqlite import open_sqlite
from tests.acceptance.engine import SetClock
from tests.integration.web.doors import running_door
from tests.integration.web.house import House, house


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    """Everything, running."""
    async with house(tmp_path) as running:
        yield running


async def test_nothing_is_wrong(home: House) -> None:
    """Without incidents the page says so in every form, with the headers a public page needs."""
    page = await home.wire.ask("GET", "/status")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"No incident is open" in page.body
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert page.headers["cache-control"] == "public, max-age=10"
    told = await home.wire.ask("GET", "/status.json")
    assert (told.json["title"], told.json["url"], told.json["incidents"]) == (
        "Shop",
        "https://status.example.com/status",
        [],
    )
    feed = await home.wire.ask("GET", "/status.rss")
    assert feed.headers["content-type"] == "application/rss+xml; charset=utf-8"
    assert ET.fromstring(feed.body).findtext("channel/title") == "Shop"  # noqa: S314 - our own feed


async def test_an_incident_is_shown_in_public_words(home: House) -> None:
    """Its words are those of the public messages; title, rule, labels, people and ids of ours stay inside."""
    incident = await home.trouble("Down", namespace="internal-payments")
    await home.trouble("Quiet")
    await home.api("POST", f"/v1/incidents/{incident.id}/note", b'{"text": "Ask anna", "public": true}')
    await home.work()
    await home.engine.move(timedelta(minutes=1))
    told = await home.wire.ask("GET", "/status.json")
    (shown,) = told.json["incidents"]
    assert (shown["state"], shown["priority"], shown["id"]) == ("investigating", "High", incident.id[-8:])
    assert len(shown["updates"]) == 2
    for form in ("", ".json", ".rss"):
        text = (await home.wire.ask("GET", f"/status{form}")).body.decode()
        inside = (incident.id, "The shop is down", "internal-payments", "anna", "api:console", "ops")
        assert not [word for word in inside if word in text]
    await home.api("POST", f"/v1/incidents/{incident.id}/resolve")
    await home.work()
    await home.engine.move(timedelta(minutes=1))
    (shown,) = (await home.wire.ask("GET", "/status.json")).json["incidents"]
    assert (shown["state"], shown["updates"][0]["state"]) == ("resolved", "resolved")
    await home.engine.move(timedelta(days=15))
    assert (await home.wire.ask("GET", "/status.json")).json["incidents"] == []


async def test_the_page_is_made_now_and_then(home: House) -> None:
    """Everybody may ask, so the database is asked once in ten seconds."""
    before = (await home.wire.ask("GET", "/status.json")).json["made_at"]
    home.engine.clock.at += timedelta(seconds=9)
    assert (await home.wire.ask("GET", "/status.json")).json["made_at"] == before
    home.engine.clock.at += timedelta(seconds=1)
    assert (await home.wire.ask("GET", "/status.json")).json["made_at"] != before


async def test_the_last_page_stays_while_the_database_cannot_be_read(tmp_path: Path) -> None:
    """It says how old it is; before the first one there is nothing to show."""
    async with house(tmp_path) as home:
        clock = SetClock()
        store = await open_sqlite(tmp_path / "other.db")
        pages = PublicPages(store, clock, lambda: home.engine.pipeline.desk, "http://localhost/status")
        first = await pages.page("json")
        await store.close()
        clock.at += timedelta(hours=1)
        assert await pages.page("json") == first
        never = PublicPages(store, clock, lambda: home.engine.pipeline.desk, "http://localhost/status")
        with pytest.raises(StoreUnavailable):
            await never.page("html")


async def test_it_is_there_only_when_it_is_wanted() -> None:
    """A service whose settings do not say so has no public page."""
    async with running_door() as door:
        for form in ("", ".json", ".rss"):
            assert (await door.ask("GET", f"/status{form}")).status == 404
