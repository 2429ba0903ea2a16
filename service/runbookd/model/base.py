"""What every piece of content is made of: closed, frozen models with typed durations and kebab-case names."""

from datetime import timedelta
from typing import Annotated

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

from runbookd.model.durations import as_duration, format_duration

Name = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z][a-zA-Z0-9]*(-[a-zA-Z0-9]+)*$", max_length=100)]
"""A kebab-case name; priorities such as P0 are names too."""

Duration = Annotated[
    timedelta,
    BeforeValidator(as_duration),
    PlainSerializer(format_duration, when_used="json"),
    WithJsonSchema(
        {"type": "string", "pattern": r"^([0-9]+(ms|s|m|h|d|w))+$", "examples": ["90s", "5m", "1h30m"]}
    ),
]
"""A length of time, written `90s`, `5m`, `1h30m`, `2d`."""


class Content(BaseModel):
    """Base of everything read from rules and playbooks: unknown keys are mistakes, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True)
