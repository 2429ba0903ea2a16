"""Nouns as JSON: the names of the model's own fields, which are stable; times are RFC 3339 in UTC."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any

from runbookd.language.values import SecretRef, SecretText, utc_text
from runbookd.model.durations import format_duration

if TYPE_CHECKING:
    from runbookd.model.audit import LedgerEntry
    from runbookd.model.incident import Incident
    from runbookd.model.run import Evidence, Run

Shape = dict[str, Any]


def plain(value: object) -> Any:
    """Turn any value of the model into JSON types: durations as `1h30m`, secrets as `${secret.NAME}`."""
    match value:
        case Enum():
            return value.value
        case datetime():
            return utc_text(value)
        case timedelta():
            return format_duration(value)
        case SecretRef():
            return f"${{secret.{value.name}}}"
        case SecretText():
            return "".join(str(plain(part)) for part in value.parts)
        case Mapping():
            return {str(key): plain(each) for key, each in value.items()}
        case list() | tuple():
            return [plain(each) for each in value]
    return noun(value) if is_dataclass(value) else value


def noun(value: Any, *without: str) -> Shape:
    """Turn a noun into a map of its fields, but for those named."""
    return {
        field.name: plain(getattr(value, field.name)) for field in fields(value) if field.name not in without
    }


def incident_shape(incident: Incident) -> Shape:
    """`key` is a map of labels."""
    return {**noun(incident), "key": json.loads(incident.key)}


def run_shape(run: Run) -> Shape:
    """`inputs` are what the playbook was given; the rest of what its expressions saw is left out."""
    return {
        **noun(run, "scope"),
        "key": json.loads(run.key) if run.key else {},
        "inputs": plain(inputs_of(run)),
    }


def inputs_of(run: Run) -> Mapping[str, object]:
    """What a run's playbook was given."""
    inputs = run.scope.get("inputs")
    return inputs if isinstance(inputs, Mapping) else {}


def evidence_shape(evidence: Evidence) -> Shape:
    """`bytes` counts the content, which `runbookd runs evidence` writes out."""
    return {**noun(evidence, "content"), "bytes": len(evidence.content)}


def entry_shape(entry: LedgerEntry) -> Shape:
    """One entry of the ledger with its place in the chain."""
    return {"chain": entry.chain, "seq": entry.seq, **noun(entry.entry), "hash": entry.hash}


def written(value: object) -> str:
    """Write a value on one line for people: texts as they are, everything else as JSON."""
    made = plain(value)
    return made if isinstance(made, str) else json.dumps(made, ensure_ascii=False)
