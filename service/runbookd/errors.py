"""Every error runbookd raises on purpose, in few families.

The docstring of a class is the operator's explanation of it; the message of an instance says what, where and
what to do next. Anything that is not one of these is a bug, and is met only by the two boundaries that may
catch everything: `actions/base.py` around an action, and `runtime/worker.py` around one unit of work.
"""

from __future__ import annotations

from dataclasses import dataclass


class RunbookdError(Exception):
    """Something runbookd refuses or cannot do; the message says what, where and what to do next."""


class LanguageError(RunbookdError):
    """A matcher, expression, template or duration is written wrongly; nothing was loaded or changed.

    `line` and `column` count from 1 inside the text given; None when the place is not known.
    """

    def __init__(self, message: str, *, line: int | None = None, column: int | None = None) -> None:
        """Keep the place beside the message, so that a loader can add the file's own position."""
        super().__init__(message)
        self.line = line
        self.column = column


class EvaluationError(RunbookdError):
    """A well-formed expression could not be computed for these values; the step or match it guards does not go on."""


class MissingValue(EvaluationError):
    """An expression read a label, input or result that is not there; use has() or a default if it may be missing."""


class PayloadError(RunbookdError):
    """A sender's body can never be understood; it is kept as a dead letter and answered with 400."""


class OverLimit(PayloadError):
    """One alert holds more than the limits allow; it is left out and said, and the delivery's others are admitted."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a configuration file.

    `line` and `column` count from 1; None when the mistake has no place of its own (a missing file, say).
    """

    file: str
    line: int | None
    column: int | None
    message: str

    def __str__(self) -> str:
        """Render as `file:line:column: message`, the form editors and CI annotate."""
        place = "".join(f":{part}" for part in (self.line, self.column) if part is not None)
        return f"{self.file}{place}: {self.message}"


class ContentError(RunbookdError):
    """Rules or playbooks do not load; what was loaded before goes on unchanged.

    `problems` lists every mistake found, in file order, so that one run shows them all.
    """

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        """Build the message from the problems, one per line."""
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class SettingsError(RunbookdError):
    """The service's settings are incomplete or contradictory; it does not start."""


class StoreError(RunbookdError):
    """The database refused or could not be reached; nothing of the unit of work was kept."""


class StoreUnavailable(StoreError):
    """The database cannot take writes for now (full disk, locked, lost connection); try again."""


class DamagedRow(StoreError):
    """A row of the database cannot be read; what it belongs to is set aside, and everything else goes on."""


class PlaceUnavailable(StoreError):
    """A folder or bucket for archives or checkpoints cannot be used for now; nothing was taken from the ledger."""


class DamagedFile(StoreError):
    """An archive or checkpoint is not whole, or is of other entries than the ledger's; nothing was taken from it."""


class DamagedLedger(StoreError):
    """A chain of the ledger is broken; nothing of it is archived or deleted. `runbookd audit verify` says where."""


class NotFound(RunbookdError):
    """There is nothing by that name or id."""


class Conflict(RunbookdError):
    """What is asked cannot be done as things stand now, such as taking an incident that is over; nothing was done."""


class LeaseLost(StoreError):
    """Another worker owns this work now; whatever this one still holds must not be written."""


class ActionError(RunbookdError):
    """An action did not do what it was asked. Authors raise one of the two words below."""


class TemporaryFailure(ActionError):
    """The call failed in a way that may pass (timeout, refused connection, 429, 5xx); it may be tried again.

    `retry_after` is in seconds; None leaves the wait to the step's own backoff. `in_doubt` is True when the
    call may have taken effect although no answer came.
    """

    def __init__(self, message: str, *, retry_after: float | None = None, in_doubt: bool = False) -> None:
        """Keep what the retry needs to know."""
        super().__init__(message)
        self.retry_after = retry_after
        self.in_doubt = in_doubt


class PermanentFailure(ActionError):
    """The call cannot succeed as asked (bad input, refused, not found, a failed expectation); it is not repeated."""
