"""The public status page: what everybody may know of the incidents, as HTML, JSON and RSS 2.0.

It knows nothing but the facts of `PublicIncident`, so nothing else can get out. The HTML is one file without scripts
and without anything loaded from elsewhere; `CONTENT_SECURITY_POLICY` holds a browser to that. Texts may hold anything.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from enum import StrEnum
from html import escape
from importlib.resources import files
from xml.etree import ElementTree as ET

from jinja2 import Environment, PackageLoader, StrictUndefined

_STYLE = files("runbookd.reports").joinpath("status_page.css").read_text(encoding="utf-8")
_PAGES = Environment(
    loader=PackageLoader("runbookd", "reports"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ATOM = "http://www.w3.org/2005/Atom"
_MAX_NEWS = 50
"""Items of the feed; readers keep older ones themselves."""
_LONGEST_LINE, _LONGEST_TEXT = 255, 25_000
_UNREADABLE = frozenset("\ufffe\uffff\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""What XML 1.0 does not allow, and the signs that turn the direction of the text after them."""
_NO_SLUG = re.compile(r"[^A-Za-z0-9_-]+")

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    + "'"
)
"""The header to answer with beside the HTML: its own style, and nothing else.

https://www.w3.org/TR/CSP3/
"""
ET.register_namespace("atom", _ATOM)


class PublicState(StrEnum):
    """How far an incident is, in the words people know from status pages."""

    INVESTIGATING = "investigating"
    IDENTIFIED = "identified"
    MONITORING = "monitoring"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicUpdate:
    """What was said of an incident at one time, from which the times in the text count; line breaks are kept."""

    at: datetime
    state: PublicState
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicIncident:
    """All that the public may know of an incident.

    `slug` names it in links (letters, digits, `_`, `-`), `priority` is the priority's name (`Critical`). `resolved_at`
    is None while it is open. Times are aware.
    """

    slug: str
    title: str
    state: PublicState
    priority: str
    opened_at: datetime
    updated_at: datetime
    resolved_at: datetime | None = None
    updates: tuple[PublicUpdate, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusPage:
    """The page: whose it is, the incidents, and the time it shows.

    `url` is where the public finds it, absolute and without a slash at its end; the feed is at `url` + `.rss`.
    """

    title: str
    url: str
    incidents: tuple[PublicIncident, ...]
    made_at: datetime


def as_html(page: StatusPage) -> str:
    """Render one file: open incidents first, then past ones, newest first."""
    shown = _shown(page)
    current = [each for each in shown.incidents if each.resolved_at is None]
    past = [each for each in shown.incidents if each.resolved_at is not None]
    return _PAGES.get_template("status_page.html").render(
        page=shown,
        current=current,
        past=past,
        headline=_headline(len(current)),
        style=_STYLE,
    )


def as_json(page: StatusPage) -> str:
    """Render the same facts as JSON, times as RFC 3339."""
    shown = _shown(page)
    current = sum(each.resolved_at is None for each in shown.incidents)
    content = {
        "title": shown.title,
        "url": shown.url,
        "made_at": shown.made_at.isoformat(),
        "headline": _headline(current),
        "open": current,
        "incidents": [_plain(each, shown) for each in shown.incidents],
    }
    return json.dumps(content, indent=2) + "\n"


def as_rss(page: StatusPage) -> str:
    """Render what was said as RSS 2.0, one item for each update, newest first.

    https://www.rssboard.org/rss-specification; a description is HTML by custom, so its text is escaped twice.
    """
    shown = _shown(page)
    rss = ET.Element("rss", version="2.0")
    channel = ET.SubElement(rss, "channel")
    _add(channel, "title", shown.title)
    _add(channel, "link", shown.url)
    _add(channel, "description", f"Incidents of {shown.title}")
    _add(channel, "language", "en")
    _add(channel, "lastBuildDate", format_datetime(shown.made_at))
    own = {"href": f"{shown.url}.rss", "rel": "self", "type": "application/rss+xml"}
    ET.SubElement(channel, f"{{{_ATOM}}}link", own)
    news = sorted(_news(shown), key=lambda each: each.at, reverse=True)
    for each in news[:_MAX_NEWS]:
        item = ET.SubElement(channel, "item")
        _add(item, "title", f"{each.state.capitalize()}: {each.incident.title}")
        _add(item, "link", _link(each.incident, shown))
        _add(item, "description", escape(each.text).replace("\n", "<br>"))
        _add(item, "pubDate", format_datetime(each.at))
        _add(item, "guid", f"{_link(each.incident, shown)}/{each.number}").set("isPermaLink", "false")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(rss, encoding="unicode") + "\n"


@dataclass(frozen=True, slots=True)
class _News:
    """One item of the feed; `number` counts an incident's updates from its first."""

    incident: PublicIncident
    number: int
    at: datetime
    state: PublicState
    text: str


def _news(page: StatusPage) -> Iterator[_News]:
    """Every update; for an incident nothing was said of, that it is there."""
    for incident in page.incidents:
        if not incident.updates:
            text = f"{incident.priority}: {incident.title}"
            yield _News(incident, 0, incident.updated_at, incident.state, text)
        for number, update in enumerate(reversed(incident.updates), start=1):
            yield _News(incident, number, update.at, update.state, update.text)


def _headline(current: int) -> str:
    """The page in one sentence. It does not say that all is well, which nobody can know."""
    if current == 0:
        return "No incident is open"
    return "One incident is open" if current == 1 else f"{current} incidents are open"


def _plain(incident: PublicIncident, page: StatusPage) -> Mapping[str, object]:
    """One incident as JSON has it; field for field, so that a new one is not public by being there."""
    return {
        "id": incident.slug,
        "url": _link(incident, page),
        "title": incident.title,
        "state": incident.state.value,
        "priority": incident.priority,
        "opened_at": incident.opened_at.isoformat(),
        "updated_at": incident.updated_at.isoformat(),
        "resolved_at": None if incident.resolved_at is None else incident.resolved_at.isoformat(),
        "updates": [
            {"at": each.at.isoformat(), "state": each.state.value, "text": each.text}
            for each in incident.updates
        ],
    }


def _link(incident: PublicIncident, page: StatusPage) -> str:
    return f"{page.url}#{incident.slug}"


def _add(parent: ET.Element, name: str, text: str) -> ET.Element:
    child = ET.SubElement(parent, name)
    child.text = text
    return child


def _shown(page: StatusPage) -> StatusPage:
    """The page with readable texts, times in UTC, and everything in the order it is shown: newest first."""
    incidents = sorted(page.incidents, key=lambda each: each.resolved_at or each.opened_at, reverse=True)
    incidents.sort(key=lambda each: each.resolved_at is not None)
    return replace(
        page,
        title=_line(page.title),
        incidents=tuple(_shown_incident(each) for each in incidents),
        made_at=page.made_at.astimezone(UTC),
    )


def _shown_incident(incident: PublicIncident) -> PublicIncident:
    updates = sorted(incident.updates, key=lambda each: each.at, reverse=True)
    return replace(
        incident,
        slug=_NO_SLUG.sub("-", incident.slug),
        title=_line(incident.title),
        priority=_line(incident.priority),
        opened_at=incident.opened_at.astimezone(UTC),
        updated_at=incident.updated_at.astimezone(UTC),
        resolved_at=None if incident.resolved_at is None else incident.resolved_at.astimezone(UTC),
        updates=tuple(replace(each, at=each.at.astimezone(UTC), text=_text(each.text)) for each in updates),
    )


def _line(text: str) -> str:
    """The text on one line, not too long."""
    return _cut(_text(" ".join(text.split())), _LONGEST_LINE)


def _text(text: str) -> str:
    """The text without what XML or people cannot read, or would read otherwise than it is; line breaks stay."""
    valid = text.encode("utf-8", "replace").decode("utf-8")
    readable = "".join(sign for sign in valid if sign == "\n" or _is_readable(sign))
    return _cut(readable, _LONGEST_TEXT)


def _is_readable(sign: str) -> bool:
    return unicodedata.category(sign) != "Cc" and sign not in _UNREADABLE


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
