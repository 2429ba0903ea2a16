"""Amounts of CPU and memory as Kubernetes writes them: `250m`, `1.5`, `128Mi`, `1e3`, `12345678n`.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from runbookd.actions.failures import Rejected

_SHAPE = re.compile(
    r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))(?:[eE]([+-]?[0-9]{1,3})|(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]))?"
)
_SUFFIXES = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal(10) ** 3,
    "M": Decimal(10) ** 6,
    "G": Decimal(10) ** 9,
    "T": Decimal(10) ** 12,
    "P": Decimal(10) ** 15,
    "E": Decimal(10) ** 18,
    "Ki": Decimal(2) ** 10,
    "Mi": Decimal(2) ** 20,
    "Gi": Decimal(2) ** 30,
    "Ti": Decimal(2) ** 40,
    "Pi": Decimal(2) ** 50,
    "Ei": Decimal(2) ** 60,
}


@dataclass(frozen=True, slots=True)
class Amounts:
    """CPU in cores and memory in bytes; None where none is set (no limit, say)."""

    cpu: Decimal | None = None
    memory: Decimal | None = None


def parse_quantity(text: str | float) -> Decimal:
    """The number a quantity stands for; raises Rejected (`unexpected_status`) for what is none."""
    match = _SHAPE.fullmatch(str(text).strip())
    if match is None:
        raise Rejected(f"the cluster gave {text!r} for a quantity; it is none", kind="unexpected_status")
    number, exponent, suffix = match.groups()
    if exponent is not None:
        return Decimal(number).scaleb(int(exponent))
    return Decimal(number) * _SUFFIXES[suffix] if suffix else Decimal(number)


def amounts(resources: Mapping[str, Any] | None) -> Amounts:
    """CPU and memory of a map such as `requests`, `limits`, `allocatable` or `usage`."""
    found = resources or {}
    return Amounts(*(parse_quantity(found[name]) if name in found else None for name in ("cpu", "memory")))


def requests_of(spec: Mapping[str, Any]) -> Amounts:
    """What a pod's spec asks for, as the scheduler counts it; None when no container asks for any."""
    return _of_pod(spec, "requests", partial=True)


def limits_of(spec: Mapping[str, Any]) -> Amounts:
    """What a pod may use at most; None as soon as one container has no limit."""
    return _of_pod(spec, "limits", partial=False)


def percent(part: Decimal | None, whole: Decimal | None) -> float | None:
    """How much of the whole it is, to one decimal; None when either is not known, or the whole is nothing."""
    if part is None or not whole:
        return None
    return float(round(100 * part / whole, 1))


def cores(amount: Decimal | None) -> float | None:
    """CPU as a number of cores, to a thousandth."""
    return None if amount is None else float(round(amount, 3))


def whole_bytes(amount: Decimal | None) -> int | None:
    """Memory as bytes."""
    return None if amount is None else int(amount)


def _of_pod(spec: Mapping[str, Any], which: str, *, partial: bool) -> Amounts:
    """The sum over the containers that run together, or the largest init container if that is more.

    An init container that restarts always is a sidecar and runs together with the others:
    https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#resource-sharing-within-containers
    """
    beginning = spec.get("initContainers") or []
    sidecars = [one for one in beginning if one.get("restartPolicy") == "Always"]
    together = [*(spec.get("containers") or []), *sidecars]
    alone = [one for one in beginning if one.get("restartPolicy") != "Always"]
    extra = amounts(spec.get("overhead"))

    def total(name: str) -> Decimal | None:
        parts = [getattr(_own(one, which), name) for one in together]
        peak = max((getattr(_own(one, which), name) or Decimal(0) for one in alone), default=Decimal(0))
        if (not partial and None in parts) or all(part is None for part in parts):
            return None
        return max(sum_of(parts), peak) + (getattr(extra, name) or Decimal(0))

    return Amounts(total("cpu"), total("memory"))


def sum_of(parts: Iterable[Decimal | None]) -> Decimal:
    """The sum; what is not set counts nothing."""
    return sum((part for part in parts if part is not None), Decimal(0))


def _own(container: Mapping[str, Any], which: str) -> Amounts:
    return amounts((container.get("resources") or {}).get(which))
