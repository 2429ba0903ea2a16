"""The URL of a Postgres database: what is wrong with one, and what of it may be shown.

It is read by asyncpg as https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS has it,
several hosts included. Whatever is wrong, no part of a URL that cannot be read is ever shown: it may be a password.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

SCHEMES = ("postgresql://", "postgres://")
_HOST = re.compile(r"(?:\[[^\[\]]+\]|[^:\[\]]*)(?::(?P<port>\d*))?")
_HIGHEST_PORT = 65_535
_ENCODE = (
    "percent-encode user and password of database_url: write `@` as %40, `/` as %2F, `?` as %3F, `#` as %23, "
    "`[` as %5B, `]` as %5D"
)
_HOSTS = "a host or port of database_url cannot be read; several are written HOST1:5432,HOST2:5432"
_PARAMETERS = "the parameters of database_url cannot be read; they are written ?NAME=VALUE&NAME=VALUE"


def fault_of(url: str) -> str | None:
    """Say what is wrong with a URL, showing nothing of it; None when a server may be asked."""
    scheme, _, rest = url.partition("://")
    if f"{scheme}://" not in SCHEMES:
        return "it must begin with postgresql://"
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    user, at, hosts = authority.rpartition("@")
    if "#" in rest or rest.count("@") > len(at) or not set(user).isdisjoint("[]"):
        return _ENCODE
    try:
        parts = urlsplit(url)
    except ValueError:
        return _ENCODE
    try:
        query = parse_qs(parts.query, strict_parsing=True) if parts.query else {}
    except ValueError:
        return _PARAMETERS
    ports = [port for each in query.get("port", []) for port in each.split(",")]
    named = [host for each in (unquote(hosts), *query.get("host", [])) for host in each.split(",")]
    good = all(map(_is_host, named)) and all(port.isdecimal() and _is_port(port) for port in ports)
    return None if good else _HOSTS


def place(url: str) -> str:
    """Say which servers and database a URL names, without user or password."""
    if fault_of(url) is not None:
        return "of database_url"
    parts: SplitResult = urlsplit(url)
    hosts = parts.netloc.rpartition("@")[2] or parse_qs(parts.query).get("host", ["localhost"])[-1]
    return f"{hosts}{parts.path}"


def _is_host(text: str) -> bool:
    found = _HOST.fullmatch(text) if not text.startswith("/") else None
    return text.startswith("/") or (found is not None and _is_port(found["port"] or "1"))


def _is_port(text: str) -> bool:
    return len(text) <= len(str(_HIGHEST_PORT)) and 0 < int(text) <= _HIGHEST_PORT
