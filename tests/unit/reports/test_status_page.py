"""The public status page: it says what is public, to everybody, and nothing anybody wrote can make it say more."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from runbookd.reports.status_page import (
    CONTENT_SECURITY_POLICY,
    PublicIncident,
    PublicState,
    PublicUpdate,
    StatusPage,
    as_html,
    as_json,
    as_rss,
)

NOW = datetime(2026, 3, 4, 15, 6, 7, tzinfo=UTC)
HOSTILE = (
    "</p></title></style><script>alert(1)</script><!channel> \"'&amp; \u202eevil\x00 \ud83d\ufffe 😀\x1b "
)
VOID = {"meta", "link", "br"}


def update(minutes: int, state: PublicState, text: str) -> PublicUpdate:
    """What was said so many minutes before now."""
    return PublicUpdate(at=NOW - timedelta(minutes=minutes), state=state, text=text)


def incident(number: int = 1, *, resolved: bool = False, **changed: object) -> PublicIncident:
    """An incident that began so many hours ago."""
    begun = 60 * number
    updates = [
        update(begun - 2, PublicState.INVESTIGATING, "Orders are slow.\nNext update in 30 minutes."),
        update(begun - 30, PublicState.IDENTIFIED, "The cause is found."),
    ]
    if resolved:
        updates.append(update(begun - 50, PublicState.RESOLVED, "It is over."))
    made = PublicIncident(
        slug=f"incident-{number}",
        title=f"Orders are slow ({number})",
        state=updates[-1].state,
        priority="Critical",
        opened_at=NOW - timedelta(minutes=begun),
        updated_at=updates[-1].at,
        resolved_at=updates[-1].at if resolved else None,
        updates=tuple(updates),
    )
    return replace(made, **changed)  # type: ignore[arg-type] # any field


def page(*incidents: PublicIncident) -> StatusPage:
    """A page with these incidents."""
    return StatusPage(
        title="Example Shop", url="https://ops.example.com/status", incidents=incidents, made_at=NOW
    )


HOSTILE_PAGE = replace(
    page(
        incident(
            title=HOSTILE + "x" * 10_000,
            slug='a" onload="x\n',
            priority="<i>High</i>",
            updates=(update(5, PublicState.MONITORING, HOSTILE + "\n" + "y" * 30_000),),
        ),
        incident(2, title="שלום <b>", updates=()),
    ),
    title=HOSTILE,
)
PAGES = {
    "none": page(),
    "one": page(incident()),
    "five": page(
        incident(4, resolved=True), incident(), incident(5, resolved=True), incident(2), incident(3)
    ),
    "hostile": HOSTILE_PAGE,
}
each_page = pytest.mark.parametrize("shown", PAGES.values(), ids=list(PAGES))


class Reader(HTMLParser):
    """Reads a page: its elements, that each is closed, its text, and what a browser would load or run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, Mapping[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """It ends, and was the last to begin."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Text people see."""
        if not {"style", "title"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        """All of it on one line."""
        return " ".join(" ".join(self.words).split())

    def named(self, tag: str) -> list[Mapping[str, str | None]]:
        """The attributes of each element of this name."""
        return [attributes for name, attributes in self.elements if name == tag]


@each_page
def test_the_html_is_whole_and_alone(shown: StatusPage) -> None:
    """Every element is closed; there is no script, no handler, no style of an element, and nothing to load."""
    text = as_html(shown)
    read = Reader(text)
    assert text.startswith("<!doctype html>")
    assert read.open == []
    allowed = {
        *("html", "head", "meta", "title", "link", "style", "body", "header", "h1", "bdi", "p", "main"),
        *("section", "h2", "article", "span", "h3", "time", "ol", "li", "footer", "a"),
    }
    assert {name for name, _ in read.elements} <= allowed
    for name, attributes in read.elements:
        assert not [each for each in attributes if each.startswith("on") or each in {"style", "src"}]
        assert "http-equiv" not in attributes
        if name == "link":
            assert attributes["rel"] == "alternate"
        if "href" in attributes:
            assert str(attributes["href"]).startswith("https://ops.example.com/status.")
    assert "@import" not in text
    assert "url(" not in text


@each_page
def test_the_html_can_be_read_by_everybody(shown: StatusPage) -> None:
    """It has a language, a title, landmarks, one first heading and no gap below it, and each id once."""
    read = Reader(as_html(shown))
    assert read.named("html") == [{"lang": "en"}]
    assert [len(read.named(name)) for name in ("title", "header", "main", "footer", "h1")] == [1] * 5
    levels = [int(name[1]) for name, _ in read.elements if re.fullmatch(r"h[1-6]", name)]
    assert all(after - before <= 1 for before, after in pairwise(levels))
    ids = [str(attributes["id"]) for _, attributes in read.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", each) for each in ids)
    labels = {
        str(attributes["aria-labelledby"])
        for _, attributes in read.elements
        if "aria-labelledby" in attributes
    }
    assert labels <= set(ids)


def test_the_policy_lets_a_browser_use_the_style_and_nothing_else() -> None:
    """The hash in the policy is the one of the page's own style, whatever the page shows."""
    for shown in PAGES.values():
        (style,) = re.findall(r"<style>(.*?)</style>", as_html(shown), flags=re.DOTALL)
        hashed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        assert f"style-src 'sha256-{hashed}'" in CONTENT_SECURITY_POLICY
    assert CONTENT_SECURITY_POLICY.startswith("default-src 'none';")


def colours(dark: bool) -> Mapping[str, str]:  # noqa: FBT001 - light or dark
    """The page's colours by name."""
    style = as_html(page())
    light_ones, dark_ones = (
        dict(re.findall(r"--(\w+): #(\w{6});", block))
        for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    )
    return dict(dark_ones if dark else light_ones)


def luminance(colour: str) -> float:
    """Relative luminance, as https://www.w3.org/TR/WCAG22/#dfn-relative-luminance defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["text", "quiet", "link", "clear", "open", "moving"])
@pytest.mark.parametrize("behind", ["page", "card"])
def test_every_colour_can_be_read(dark: bool, name: str, behind: str) -> None:  # noqa: FBT001 - a row
    """Text has a contrast of 4.5 to 1 at least (WCAG 2.2 AA, 1.4.3), by day and by night."""
    palette = colours(dark)
    darker, lighter = sorted((luminance(palette[name]), luminance(palette[behind])))
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


@pytest.mark.parametrize(
    ("shown", "headline"),
    [
        ("none", "No incident is open"),
        ("one", "One incident is open"),
        ("five", "3 incidents are open"),
    ],
)
def test_the_headline_counts_what_is_open(shown: str, headline: str) -> None:
    """The page says how many incidents are open, and never that all is well."""
    assert headline in Reader(as_html(PAGES[shown])).text
    assert json.loads(as_json(PAGES[shown]))["headline"] == headline


def test_open_incidents_come_first_and_new_ones_before_old() -> None:
    """Open incidents come before past ones, the newest first, and so do an incident's updates."""
    read = Reader(as_html(PAGES["five"]))
    assert [one["id"] for one in read.named("article")] == [
        f"incident-{number}" for number in (1, 2, 3, 4, 5)
    ]
    told = json.loads(as_json(PAGES["five"]))["incidents"]
    assert [one["id"] for one in told] == [f"incident-{number}" for number in (1, 2, 3, 4, 5)]
    assert [each["state"] for each in told[3]["updates"]] == ["resolved", "identified", "investigating"]
    before, _, after = read.text.partition("Past incidents")
    assert "Orders are slow (3)" in before
    assert "Orders are slow (4)" in after


def test_an_incident_says_what_is_public() -> None:
    """Title, state, priority, times in UTC and the updates are shown; times are given to machines too."""
    abroad = timezone(timedelta(hours=-5))
    shown = incident(resolved=True)
    read = Reader(as_html(page(replace(shown, opened_at=shown.opened_at.astimezone(abroad)))))
    assert (
        "Resolved · Critical Orders are slow (1) "
        "Since 2026-03-04 14:06 UTC , resolved 2026-03-04 14:56 UTC "
        "Resolved · 2026-03-04 14:56 UTC It is over. "
        "Identified · 2026-03-04 14:36 UTC The cause is found. "
        "Investigating · 2026-03-04 14:08 UTC Orders are slow. Next update in 30 minutes."
    ) in read.text
    assert {"datetime": "2026-03-04T14:06:07+00:00"} in read.named("time")
    assert "last update 2026-03-04 14:36 UTC" in Reader(as_html(PAGES["one"])).text


def test_the_json_has_the_public_facts_and_no_others() -> None:
    """The JSON has the facts of the page; a new field of an incident is not public by being there."""
    told = json.loads(as_json(PAGES["one"]))
    assert told.keys() == {"title", "url", "made_at", "headline", "open", "incidents"}
    assert told["incidents"] == [
        {
            "id": "incident-1",
            "url": "https://ops.example.com/status#incident-1",
            "title": "Orders are slow (1)",
            "state": "identified",
            "priority": "Critical",
            "opened_at": "2026-03-04T14:06:07+00:00",
            "updated_at": "2026-03-04T14:36:07+00:00",
            "resolved_at": None,
            "updates": [
                {"at": "2026-03-04T14:36:07+00:00", "state": "identified", "text": "The cause is found."},
                {
                    "at": "2026-03-04T14:08:07+00:00",
                    "state": "investigating",
                    "text": "Orders are slow.\nNext update in 30 minutes.",
                },
            ],
        }
    ]
    names = {each.name for each in fields(PublicIncident)}
    assert names == {"slug", *told["incidents"][0]} - {"id", "url"}


def channel_of(shown: StatusPage) -> ET.Element:
    """The feed's channel, parsed."""
    root = ET.fromstring(as_rss(shown))  # noqa: S314 - our own
    assert (root.tag, root.get("version")) == ("rss", "2.0")
    (channel,) = root
    return channel


@each_page
def test_the_feed_is_rss(shown: StatusPage) -> None:
    """The feed has what RSS 2.0 asks of a channel and of items, dates of RFC 822, and ids that are there once."""
    channel = channel_of(shown)
    for name in ("title", "link", "description", "lastBuildDate"):
        assert channel.findtext(name)
    own = channel.find("{http://www.w3.org/2005/Atom}link")
    assert own is not None
    assert own.get("href") == "https://ops.example.com/status.rss"
    items = channel.findall("item")
    guids = [item.findtext("guid") for item in items]
    assert len(set(guids)) == len(guids)
    for item in items:
        assert item.findtext("title")
        assert str(item.findtext("link")).startswith("https://ops.example.com/status#")
        assert parsedate_to_datetime(str(item.findtext("pubDate"))).tzinfo is not None
        guid = item.find("guid")
        assert guid is not None
        assert guid.get("isPermaLink") == "false"


def test_each_update_is_an_item_that_stays_itself() -> None:
    """Every update is one item, newest first, whose id does not change when another follows."""
    before = channel_of(page(incident())).findall("item")
    after = channel_of(page(incident(resolved=True))).findall("item")
    assert [item.findtext("title") for item in after] == [
        "Resolved: Orders are slow (1)",
        "Identified: Orders are slow (1)",
        "Investigating: Orders are slow (1)",
    ]
    assert [item.findtext("guid") for item in after[1:]] == [item.findtext("guid") for item in before]
    assert after[2].findtext("description") == "Orders are slow.<br>Next update in 30 minutes."


def test_the_feed_is_bounded_and_leaves_no_incident_out() -> None:
    """A feed has the fifty latest items; an incident nothing was said of is one."""
    assert len(channel_of(page(*(incident(number) for number in range(1, 41)))).findall("item")) == 50
    (item,) = channel_of(page(incident(updates=()))).findall("item")
    assert item.findtext("description") == "Critical: Orders are slow (1)"


def test_hostile_texts_stay_texts() -> None:
    """Markup is shown as it was written, and signs nobody can read, or that turn a text round, are left out."""
    written = "</p></title></style><script>alert(1)</script><!channel> \"'&amp; evil ? 😀"
    read = Reader(as_html(HOSTILE_PAGE))
    assert written in read.text
    assert "<i>High</i>" in read.text
    told = json.loads(as_json(HOSTILE_PAGE))
    assert told["incidents"][0]["title"].startswith(written)
    assert len(told["incidents"][0]["title"]) == 255
    assert len(told["incidents"][0]["updates"][0]["text"]) == 25_000
    assert told["incidents"][0]["id"] == "a-onload-x-"
    channel = channel_of(HOSTILE_PAGE)
    assert channel.findtext("title") == written
    (item,) = (one for one in channel.findall("item") if "Monitoring" in str(one.findtext("title")))
    description = str(item.findtext("description"))
    assert "<script" not in description
    assert unescape(description).startswith(written)
    for text in (as_html(HOSTILE_PAGE), as_rss(HOSTILE_PAGE)):
        assert not {"\x00", "\x1b", "\u202e", "\ufffe", "\ud83d"} & set(text)
