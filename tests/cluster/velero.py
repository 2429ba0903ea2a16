"""The played Velero: moves Backups and Restores through their phases (pkg/apis/velero/v1 of Velero).

A name with `partial` in it ends PartiallyFailed, with `fail` Failed, with `invalid` FailedValidation, with `stuck`
stays InProgress; so do the objects that are about a namespace for which `outcomes` says so. All others are Completed.
"""

from __future__ import annotations

import asyncio
import datetime as dt

from tests.cluster.api import Api, ApiRefusalError, Object
from tests.cluster.custom_resources import BACKUP, RESTORE, STORAGE_LOCATION, Kind
from tests.cluster.pod_life import stamp

NAMESPACE = "velero"
STEP_S = 0.3
ITEMS = 12
BY_NAME = {
    "partial": "PartiallyFailed",
    "fail": "Failed",
    "invalid": "FailedValidation",
    "stuck": "InProgress",
}


class Velero:
    """Its server. `outcomes` maps a namespace to the last phase of what is backed up or restored there."""

    def __init__(self, api: Api) -> None:
        self.outcomes: dict[str, str] = {}
        self._api = api

    async def serve(self) -> None:
        """Take care of every Backup and Restore until cancelled."""
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        await self._api.ensure("/api/v1/namespaces", namespace)
        location = {
            "apiVersion": "velero.io/v1",
            "kind": "BackupStorageLocation",
            "metadata": {"name": "default", "namespace": NAMESPACE},
            "spec": {"provider": "aws", "default": True, "objectStorage": {"bucket": "backups"}},
            "status": {"phase": "Available"},
        }
        await self._api.ensure(STORAGE_LOCATION.path(NAMESPACE), location)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch(BACKUP))
            tasks.create_task(self._watch(RESTORE))

    async def _watch(self, kind: Kind) -> None:
        """Begin the work for each new object."""
        begun: set[str] = set()
        async with asyncio.TaskGroup() as tasks:
            async for change, found in self._api.watch(kind.path()):
                uid = found["metadata"]["uid"]
                if change != "DELETED" and uid not in begun:
                    begun.add(uid)
                    tasks.create_task(self._work(kind, found))

    async def _work(self, kind: Kind, found: Object) -> None:
        """Move one object from phase to phase; one that is deleted meanwhile is left."""
        path = kind.path(found["metadata"]["namespace"], found["metadata"]["name"])
        start = stamp(dt.datetime.now(dt.UTC))
        try:
            invalid = await self._invalid(kind, found)
            last = "FailedValidation" if invalid else self._outcome(found)
            if last == "FailedValidation":
                errors = invalid or ["the spec is not valid"]
                await self._set(path, {"phase": last, "validationErrors": errors})
                return
            await self._set(path, {"phase": "New"})
            await asyncio.sleep(STEP_S)
            items = {"totalItems": ITEMS, "itemsBackedUp" if kind is BACKUP else "itemsRestored": 0}
            await self._set(path, {"phase": "InProgress", "startTimestamp": start, "progress": items})
            await asyncio.sleep(STEP_S)
            if last != "InProgress":
                await self._set(path, _finished(kind, last))
        except ApiRefusalError as refusal:
            if refusal.status != 404:
                raise

    async def _set(self, path: str, status: Object) -> None:
        """Patch a status: a merge patch of the whole object, as Velero's server sends it."""
        await self._api.patch(path, {"status": status})

    async def _invalid(self, kind: Kind, found: Object) -> list[str]:
        """What is wrong with an object's references; nothing for most."""
        spec = found.get("spec", {})
        if kind is BACKUP:
            location = spec.get("storageLocation", "default")
            return [] if location == "default" else [f'backup storage location "{location}" not found']
        name, schedule = spec.get("backupName"), spec.get("scheduleName")
        if bool(name) == bool(schedule):
            return ["Either a backup or schedule must be specified as a source for the restore, but not both"]
        backups = (await self._api.get(BACKUP.path(found["metadata"]["namespace"])))["items"]
        usable = [
            each
            for each in backups
            if each.get("status", {}).get("phase") in {"Completed", "PartiallyFailed"}
        ]
        labels = [each["metadata"].get("labels", {}).get("velero.io/schedule-name") for each in usable]
        if schedule:
            return [] if schedule in labels else ["No backups found for schedule"]
        known = {each["metadata"]["name"] for each in usable}
        return [] if name in known else [f'Error retrieving backup: backup.velero.io "{name}" not found']

    def _outcome(self, found: Object) -> str:
        """The phase an object comes to."""
        name = found["metadata"]["name"]
        for word, phase in BY_NAME.items():
            if word in name:
                return phase
        about = found.get("spec", {}).get("includedNamespaces") or []
        return next((self.outcomes[each] for each in about if each in self.outcomes), "Completed")


def _finished(kind: Kind, phase: str) -> Object:
    """The last status of an object: when, how much, and what went wrong."""
    done = ITEMS if phase == "Completed" else ITEMS - 1
    items = {"totalItems": ITEMS, "itemsBackedUp" if kind is BACKUP else "itemsRestored": done}
    status: Object = {
        "phase": phase,
        "completionTimestamp": stamp(dt.datetime.now(dt.UTC)),
        "progress": items,
    }
    if phase != "Completed":
        status["errors"] = 1
    if phase == "Failed":
        status["failureReason"] = "error uploading backup" if kind is BACKUP else "error downloading backup"
    if kind is BACKUP:
        status["expiration"] = stamp(dt.datetime.now(dt.UTC) + dt.timedelta(days=30))
    return status
