"""The Events that a scheduler and a kubelet record about a pod (core/v1, which kubectl describe shows)."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from tests.cluster.api import Api, Object
from tests.cluster.pod_life import Behaviour, Condition, Phase, pull_error, stamp


@dataclass(frozen=True, slots=True)
class Note:
    """One thing to say about a pod; a warning, or the normal course of things."""

    reason: str
    message: str
    warning: bool = False
    component: str = "kubelet"


def placed(pod: Object, node: str) -> Note:
    """A pod was bound to a node."""
    where = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
    return Note("Scheduled", f"Successfully assigned {where} to {node}", component="default-scheduler")


def not_placed(message: str) -> Note:
    """No node takes a pod."""
    return Note("FailedScheduling", message, warning=True, component="default-scheduler")


def killed(pod: Object) -> Iterator[Note]:
    """A pod is being ended."""
    for container in pod["spec"]["containers"]:
        yield Note("Killing", f"Stopping container {container['name']}")


def started(pod: Object, behaviours: dict[str, Behaviour]) -> Iterator[Note]:
    """A pod's containers come up."""
    for container in pod["spec"]["containers"]:
        name, image = container["name"], container["image"]
        if behaviours[name] is Behaviour.IMAGE_PULL:
            yield Note("Pulling", f'Pulling image "{image}"')
        else:
            yield Note("Pulled", f'Container image "{image}" already present on machine')
            yield Note("Created", f"Created container {name}")
            yield Note("Started", f"Started container {name}")


def troubled(pod: Object, stands: dict[str, Condition]) -> Iterator[Note]:
    """What goes wrong with a pod's containers, if anything."""
    images = {each["name"]: each["image"] for each in pod["spec"]["containers"]}
    for name, condition in stands.items():
        match condition.phase:
            case Phase.UNREADY:
                yield Note(
                    "Unhealthy",
                    "Readiness probe failed: HTTP probe failed with statuscode: 503",
                    warning=True,
                )
            case Phase.CRASHED:
                yield Note("BackOff", "Back-off restarting failed container", warning=True)
            case Phase.PULL_FAILED:
                error = pull_error(images[name])
                yield Note("Failed", f'Failed to pull image "{images[name]}": {error}', warning=True)
                yield Note("Failed", "Error: ErrImagePull", warning=True)
            case Phase.PULL_BACK_OFF:
                yield Note("BackOff", f'Back-off pulling image "{images[name]}"')
            case _:
                pass


class Recorder:
    """Writes notes as Events; one that says the same of the same pod again only counts up."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._numbers = itertools.count(1)
        self._said: dict[tuple[str, Note], tuple[str, int]] = {}

    async def record(self, pod: Object, note: Note) -> None:
        """Record one Event; raises ApiRefusalError, with status 403 when the namespace is being deleted."""
        metadata, now = pod["metadata"], stamp(dt.datetime.now(dt.UTC))
        events = f"/api/v1/namespaces/{metadata['namespace']}/events"
        key = (metadata["uid"], note)
        name, count = self._said.get(key, (f"{metadata['name']}.{next(self._numbers):08x}", 0))
        self._said[key] = (name, count + 1)
        if count:
            await self._api.patch(f"{events}/{name}", {"count": count + 1, "lastTimestamp": now})
            return
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": metadata["namespace"]},
            "involvedObject": {"apiVersion": "v1", "kind": "Pod"}
            | {field: metadata[field] for field in ("name", "namespace", "uid")},
            "type": "Warning" if note.warning else "Normal",
            "reason": note.reason,
            "message": note.message,
            "source": {"component": note.component},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        await self._api.create(events, event)
