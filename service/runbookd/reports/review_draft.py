"""The draft of a post-incident review as it is sent when an incident is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbookd.reports.document_html import as_html
from runbookd.reports.document_markdown import as_markdown
from runbookd.reports.review import review_of
from runbookd.reports.review_document import document_of
from runbookd.units.record import Draft

if TYPE_CHECKING:
    from datetime import datetime

    from runbookd.units.record import Record


def draft(record: Record, now: datetime) -> Draft:
    """Write the review of an incident from its record, as it is at a moment."""
    document = document_of(review_of(record, now))
    return Draft(markdown=as_markdown(document), html=as_html(document))
