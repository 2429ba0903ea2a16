"""Kubeconfig files looked at before anybody signs in with one: what is wrong with it, and what to do.

https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/. No server is called and no
credential plugin is run; of what stands in the file, messages hold the names of contexts, clusters, users and files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from runbookd.actions.config import KubernetesAccess, KubernetesCluster
from runbookd.language.fuzzy import did_you_mean

_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
"""The token of the pod's own account, where there is one.

https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/
"""
_FILES = {
    "certificate-authority": "certificate-authority-data",
    "client-certificate": "client-certificate-data",
    "client-key": "client-key-data",
    "tokenFile": "token",
}
"""What may be in a file of its own, and where it stands otherwise, which then counts."""


def setting(cluster: str) -> str:
    """The setting that names a cluster's kubeconfig."""
    return f"actions.kubernetes.clusters.{cluster}.kubeconfig"


def faults(access: KubernetesAccess) -> list[str]:
    """What is wrong with the kubeconfigs the settings name, one sentence each: the setting, the path, what to do.

    Clusters that name none are left out: where theirs is depends on where the service runs.
    """
    found = []
    for name, cluster in access.clusters.items():
        fault = None if cluster.kubeconfig is None else fault_of(cluster.kubeconfig, cluster.context)
        if fault is not None:
            found.append(f"setting {setting(name)!r}: {cluster.kubeconfig} cannot be used: {fault}")
    return found


def uses_service_account(cluster: KubernetesCluster) -> bool:
    """Whether the pod's own account signs in: when the settings say so, or say nothing and there is one."""
    if cluster.kubeconfig is not None or cluster.context is not None:
        return False
    return cluster.in_cluster or _SERVICE_ACCOUNT.is_file()


def fault_of_default(access: KubernetesAccess, variable: str) -> str | None:
    """What is wrong with `$KUBECONFIG`, which holds this, if a cluster is signed in to by it; None when nothing is."""
    contexts = _by_default(access)
    if not variable or not contexts:
        return None
    there = [path for path in _paths(variable) if path.exists()]
    if len(there) > 1:
        return None  # they are read as one
    return _fault_of_one(there[0], contexts) if there else missing(variable)


def fault_of_none(access: KubernetesAccess, variable: str) -> str | None:
    """Why a cluster cannot be signed in to, if one is to be without `$KUBECONFIG`; None when that is not so.

    `variable` is what `$KUBECONFIG` holds.
    """
    contexts = _by_default(access)
    if variable or not contexts:
        return None
    path = Path("~/.kube/config").expanduser()
    if path.exists():
        return _fault_of_one(path, contexts)
    return (
        "there is no way into a cluster: no service account of a pod, no $KUBECONFIG and no ~/.kube/config; set "
        "`actions.kubernetes.clusters`"
    )


def missing(files: str) -> str | None:
    """What is wrong if none of these files is there, joined as in `$KUBECONFIG`; None when one is."""
    paths = _paths(files)
    if any(path.exists() for path in paths):
        return None
    return f"there is no such file ({', '.join(map(str, paths))}); put it there"


def _paths(files: str) -> list[Path]:
    return [Path(one).expanduser() for one in files.split(":") if one]


def _by_default(access: KubernetesAccess) -> list[str | None]:
    """The contexts that are meant of the default kubeconfig, None for its current one; none when nobody needs it."""
    clusters = [*access.clusters.values()] or [KubernetesCluster()]
    return [one.context for one in clusters if one.kubeconfig is None and not uses_service_account(one)]


def _fault_of_one(path: Path, contexts: Sequence[str | None]) -> str | None:
    faults_of_it = (fault_of(str(path), context) for context in contexts)
    return next((f"{path} cannot be used: {fault}" for fault in faults_of_it if fault is not None), None)


def fault_of(file: str, context: str | None) -> str | None:
    """What keeps this file, and in it this context (None: its current one), from being used; None when nothing does."""
    try:
        tree = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return "there is no such file; put it there, or correct the setting"
    except OSError as error:
        return f"{(error.strerror or type(error).__name__).lower()}; let the user the service runs as read it"
    except UnicodeDecodeError:
        return "it is not text; write it anew with `kubectl config view --raw`"
    except yaml.YAMLError as error:  # told by its place only: the line may hold a token
        mark = getattr(error, "problem_mark", None)
        return f"it is not YAML{f' (line {mark.line + 1})' if mark else ''}; mend it there"
    if tree is None:
        return "it is empty; write it with `kubectl config view --raw`"
    try:
        config = _Kubeconfig.model_validate(tree)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        return f"it is not a kubeconfig: {place}: {first['msg']}"
    return _fault_in(config, context or config.current, Path(file).parent)


class _Part(BaseModel):
    """Base of every part; what is not named here is left to the SDK."""

    model_config = ConfigDict(extra="allow", frozen=True)


class _Context(_Part):
    cluster: str
    user: str


class _Cluster(_Part):
    server: str


class _NamedContext(_Part):
    name: str
    context: _Context


class _NamedCluster(_Part):
    name: str
    cluster: _Cluster


class _NamedUser(_Part):
    name: str
    user: dict[str, Any] | None


def _listed(value: object) -> object:
    return [] if value is None else value


class _Kubeconfig(_Part):
    contexts: Annotated[list[_NamedContext], BeforeValidator(_listed)] = Field(default_factory=list)
    clusters: Annotated[list[_NamedCluster], BeforeValidator(_listed)] = Field(default_factory=list)
    users: Annotated[list[_NamedUser], BeforeValidator(_listed)] = Field(default_factory=list)
    current: str | None = Field(default=None, alias="current-context")


_Named = TypeVar("_Named", _NamedContext, _NamedCluster, _NamedUser)


def _find(named: Sequence[_Named], name: str | None) -> _Named | None:
    return next((one for one in named if one.name == name), None)


def _fault_in(config: _Kubeconfig, name: str | None, folder: Path) -> str | None:
    """What is wrong with this context of the file: it, its cluster, its user or a file of theirs is not there."""
    names = [one.name for one in config.contexts]
    there = f"contexts in it: {', '.join(names) or 'none'}"
    if not name:
        return f"it has no current-context; name one as the cluster's `context` in the settings ({there})"
    chosen = _find(config.contexts, name)
    if chosen is None:
        return (
            f"there is no context {name!r} in it.{did_you_mean(name, names)} Name one that is there ({there})"
        )
    cluster = _find(config.clusters, chosen.context.cluster)
    if cluster is None:
        return f"its context {name!r} names the cluster {chosen.context.cluster!r}, which is not in it; add it there"
    user = _find(config.users, chosen.context.user)
    if user is None:
        return (
            f"its context {name!r} names the user {chosen.context.user!r}, which is not in it; add it there"
        )
    return next(_missing_files((cluster.cluster.model_extra or {}, user.user or {}), folder), None)


def _missing_files(parts: Sequence[Mapping[str, Any]], folder: Path) -> Iterator[str]:
    """The files named by a cluster and a user that are not there; paths begin at the kubeconfig's own folder."""
    for part in parts:
        for key, instead in _FILES.items():
            named = part.get(key)
            if isinstance(named, str) and not part.get(instead) and not (folder / named).is_file():
                yield f"its `{key}` names {folder / named}, which is not there; put it there"
