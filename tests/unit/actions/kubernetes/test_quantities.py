"""Amounts of CPU and memory, in every way Kubernetes writes them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbookd.actions.failures import Rejected
from runbookd.actions.kubernetes.quantities import (
    Amounts,
    amounts,
    cores,
    limits_of,
    parse_quantity,
    percent,
    requests_of,
    whole_bytes,
)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", "0"),
        ("250m", "0.25"),
        ("1.5", "1.5"),
        (".5", "0.5"),
        ("2.", "2"),
        ("+3", "3"),
        ("-1k", "-1000"),
        ("12345678n", "0.012345678"),
        ("30u", "0.00003"),
        ("128Mi", "134217728"),
        ("1Ki", "1024"),
        ("1Ei", "1152921504606846976"),
        ("1E", "1000000000000000000"),
        ("1E3", "1000"),
        ("1e3", "1000"),
        ("12e-1", "1.2"),
        ("1M", "1000000"),
        (" 7 ", "7"),
        (2, "2"),
        (0.5, "0.5"),
    ],
)
def test_a_quantity_is_read(text: str | float, number: str) -> None:
    """Suffixes by powers of ten and of two, and exponents."""
    assert parse_quantity(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "x", "1 Mi", "1mi", "1KiB", "--1", "1e", "1e9999", "NaN", "\u0661"])
def test_what_is_none_is_told(text: str) -> None:
    """What is no quantity is a readable failure, not a crash."""
    with pytest.raises(Rejected, match="it is none"):
        parse_quantity(text)


@given(st.integers(min_value=0, max_value=10**15), st.sampled_from(["", "m", "Ki", "M", "Gi"]))
def test_more_is_more(number: int, suffix: str) -> None:
    """Of two quantities with one suffix the larger number is the larger."""
    assert parse_quantity(f"{number}{suffix}") < parse_quantity(f"{number + 1}{suffix}")


def container(**resources: Any) -> dict[str, Any]:
    """A container with these resources."""
    return {"name": "c", "resources": resources}


def test_a_pods_requests_are_what_the_scheduler_counts() -> None:
    """The sum over what runs together, sidecars and overhead included, or a larger init container."""
    spec = {
        "containers": [container(requests={"cpu": "100m", "memory": "1Gi"}), container()],
        "initContainers": [
            {**container(requests={"cpu": "50m"}), "restartPolicy": "Always"},
            container(requests={"cpu": "2", "memory": "1Mi"}),
        ],
        "overhead": {"cpu": "10m"},
    }
    assert requests_of(spec) == Amounts(Decimal("2.010"), Decimal(2**30))


def test_a_missing_limit_is_no_limit() -> None:
    """As soon as one container has no limit, the pod has none; without any request there is none."""
    limited, free = container(limits={"cpu": "1", "memory": "1Mi"}), container(limits={"memory": "1Mi"})
    assert limits_of({"containers": [limited, limited]}) == Amounts(Decimal(2), Decimal(2**21))
    assert limits_of({"containers": [limited, free]}) == Amounts(None, Decimal(2**21))
    assert requests_of({"containers": [limited]}) == Amounts(None, None)
    assert requests_of({}) == Amounts(None, None)


def test_shares_and_units() -> None:
    """Percentages to one decimal, cores to a thousandth, memory in whole bytes; unknown stays unknown."""
    assert percent(Decimal("0.25"), Decimal(3)) == 8.3
    assert (percent(None, Decimal(1)), percent(Decimal(1), None), percent(Decimal(1), Decimal(0))) == (
        None,
        None,
        None,
    )
    assert (cores(Decimal("0.0123456")), cores(None)) == (0.012, None)
    assert (whole_bytes(Decimal("1.9")), whole_bytes(None)) == (1, None)
    assert amounts({"cpu": "1"}) == Amounts(Decimal(1), None)
    assert amounts(None) == Amounts()
