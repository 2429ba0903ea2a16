"""`docs/reference/settings.md`: every setting, its variable, its default and its effect."""

from __future__ import annotations

from runbookd import settings
from runbookd.runtime.secrets import ENVIRONMENT_PREFIX
from runbookd.settings import Settings
from tools.docs import models
from tools.docs.markdown import code, prose, table
from tools.docs.markdown import page as make_page
from tools.docs.models import Place

_COMPUTED = {
    "name": "the host's name",
    "rules": "those that come with runbookd",
    "playbooks": "those that come with runbookd",
}
"""Defaults that differ from machine to machine, in words."""

_SECRETS = f"""## Secrets

`${{secret.NAME}}` in a playbook, and every setting that ends in `_secret`, name a secret; none has its value. It is
read each time it is needed from the file `NAME` in `secrets_folder`, else from the variable
`{ENVIRONMENT_PREFIX}NAME` (in capitals)."""


def page() -> str:
    """Make the page."""
    known = models.places(Place("", Settings))
    parts = [prose(settings.__doc__)]
    for place in known:
        parts += [f"## {place.path}"] if place.path else []
        parts += [prose(place.model.__doc__)]
        parts += [table(("setting", "variable", "type", "default", "effect"), _rows(place, known))]
    return make_page("Settings", ["service/runbookd/settings.py"], *parts, _SECRETS)


def variable(place: Place, name: str) -> str:
    """Return the environment variable of a setting; nothing inside a list or map, which is one variable, as JSON."""
    if place.in_collection:
        return ""
    words = [*place.path.split("."), name] if place.path else [name]
    return f"RUNBOOKD_{'__'.join(words).upper()}"


def _rows(place: Place, known: list[Place]) -> list[list[str]]:
    rows = []
    for row in models.rows(place, known):
        name, kind, default, effect = row
        plain = name.strip("`")
        if not place.path:
            default = _COMPUTED.get(plain, default)
        of = variable(place, plain)
        rows.append([name, code(of) if of else "", kind, default, effect])
    return rows
