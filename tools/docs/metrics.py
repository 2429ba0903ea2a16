"""`docs/reference/metrics.md`: every metric the service shows at `/metrics`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry

from runbookd.runtime import metrics
from runbookd.runtime.metrics import Metrics
from tools.docs import http
from tools.docs.markdown import code, prose, table
from tools.docs.markdown import page as make_page


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric, by the name a query uses."""

    name: str
    kind: str
    labels: tuple[str, ...]
    about: str


class Recording(CollectorRegistry):
    """A registry that remembers what was registered, metrics whose labels have no values yet included."""

    def __init__(self) -> None:
        super().__init__()
        self.collectors: list[Any] = []

    def register(self, collector: Any) -> None:
        """Remember the metric."""
        self.collectors.append(collector)
        super().register(collector)


def page() -> str:
    """Make the page."""
    rows = [
        [code(each.name), each.kind, ", ".join(code(label) for label in each.labels), each.about]
        for each in registered()
    ]
    parts = [
        prose(metrics.__doc__),
        "A histogram `x` is read as `x_bucket`, `x_sum` and `x_count`.",
        table(("metric", "type", "labels", "meaning"), rows),
    ]
    return make_page(
        "Metrics", ["service/runbookd/runtime/metrics.py", "service/runbookd/web/hooks.py"], *parts
    )


def registered() -> list[Metric]:
    """Return every metric of a service, by name."""
    registry = Recording()
    Metrics(registry)
    http.application(registry)
    return sorted(
        (each for one in registry.collectors for each in _described(one)), key=lambda each: each.name
    )


def _described(collector: Any) -> Iterator[Metric]:
    for family in collector.describe():
        suffix = "_total" if family.type == "counter" else ""
        labels = collector._labelnames  # noqa: SLF001 - the library tells label names nowhere else
        yield Metric(family.name + suffix, family.type, tuple(labels), family.documentation)
