"""The JSON Schemas of the files an operator writes."""

from __future__ import annotations

import json

from runbookd.actions.catalogue import ActionCatalogue
from runbookd.content.schema import schemas


def files() -> dict[str, str]:
    """Return each schema's text by its file name."""
    return {
        name: json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in schemas(ActionCatalogue()).items()
    }
