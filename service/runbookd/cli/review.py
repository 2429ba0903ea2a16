"""`runbookd review`: the post-incident review of an incident, drafted from the record; and that it is done."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runbookd.cli.complete import incident_ids
from runbookd.cli.database import find_incident, look
from runbookd.cli.group import examples
from runbookd.cli.shared import Shared, pass_shared

if TYPE_CHECKING:
    from runbookd.ports import Tx
    from runbookd.reports.review import Review
    from runbookd.units.record import Record


@click.command(
    epilog=examples(
        "runbookd review 7f3k9x2b > review.md",
        "runbookd review 7f3k9x2b --format html --output review.html",
        "runbookd review 7f3k9x2b --done",
    )
)
@click.argument("incident", metavar="INCIDENT", shell_complete=incident_ids)
@click.option(
    "--format",
    "form",
    type=click.Choice(["markdown", "html", "json"]),
    help="Markdown to edit, one file of HTML to print or to send, or the facts alone as JSON.  "
    "[default: markdown]",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write it there; what the file held is gone.  [default: standard output]",
)
@click.option("--done", is_flag=True, help="Say that the review is done, which stops its clock.")
@pass_shared
def review(shared: Shared, incident: str, form: str | None, output: Path | None, *, done: bool) -> None:
    """Draft the post-incident review: facts from the record, and blanks for what it cannot know.

    INCIDENT may be any part of at least 4 letters that the id begins or ends with.
    """
    if done:
        if form is not None or output is not None:
            raise click.UsageError("--done writes no review; leave out --format and --output")
        from runbookd.cli.people import act_on, tell

        tell(act_on(shared, incident, "review"))
        return

    async def unit(tx: Tx) -> Record:
        from runbookd.units.record import read_record

        return await read_record(tx, (await find_incident(tx, incident)).id)

    from runbookd.reports.review import review_of

    text = _written(review_of(look(shared, unit), datetime.now(UTC)), form or "markdown")
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
        click.echo(f"written to {output}", err=True)


def _written(facts: Review, form: str) -> str:
    """Write a review in one of its forms."""
    if form == "json":
        import json

        from runbookd.cli.shapes import noun

        return json.dumps(noun(facts), indent=2) + "\n"
    from runbookd.reports.document_html import as_html
    from runbookd.reports.document_markdown import as_markdown
    from runbookd.reports.review_document import document_of

    document = document_of(facts)
    return as_html(document) if form == "html" else as_markdown(document)
