"""The alerts of the benchmarks: 13 labels, 4 annotations, a fingerprint of their own, as in real notifications."""

from __future__ import annotations

import json
from datetime import UTC, datetime


def alert(number: int, name: str, sent_ns: int = 0) -> dict[str, object]:
    """Make alert `number`; `sent_ns` is carried to the sink in an annotation."""
    return {
        "status": "firing",
        "labels": {
            "alertname": name,
            "severity": "critical",
            "namespace": "bench",
            "cluster": "bench-1",
            "service": f"service-{number % 500}",
            "pod": f"service-{number % 500}-6d4cf56db6-{number % 89999:05d}",
            "container": "app",
            "instance": f"10.0.{number % 250}.{number % 240}:8080",
            "job": "bench",
            "team": "operations",
            "region": "eu-central-1",
            "prometheus": "monitoring/k8s",
            "event_id": str(number),
        },
        "annotations": {
            "summary": "The error rate of a service is above its objective.",
            "description": "More than five percent of the last five minutes' requests failed.",
            "runbook_url": "https://runbooks.example.com/error-rate",
            "sent_ns": str(sent_ns),
        },
        "startsAt": datetime.now(UTC).isoformat(),
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example.com/graph?g0.expr=x",
        "fingerprint": f"{number:016x}",
    }


def notification(alerts: list[dict[str, object]]) -> bytes:
    """Make the webhook body of these alerts."""
    return json.dumps(
        {
            "receiver": "runbookd",
            "status": "firing",
            "alerts": alerts,
            "groupLabels": {},
            "commonLabels": {},
            "commonAnnotations": {},
            "externalURL": "http://alertmanager.example.com",
            "version": "4",
            "groupKey": "{}:{}",
            "truncatedAlerts": 0,
        }
    ).encode()
