"""etcd, kube-apiserver and kube-controller-manager, real ones, on free ports of loopback.

The programs are found in `KUBEBUILDER_ASSETS` (the convention of controller-runtime's envtest), else where
`tools/control-plane` puts them. Flags: kubernetes.io/docs/reference/command-line-tools-reference/.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import ssl
import subprocess
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.cluster.api import Api
from tests.cluster.keys import write_certificate, write_signing_key
from tests.servers import eventually, free_port, temporary_folder

START_WITHIN = 60.0
STOP_WITHIN = 10.0
ADMIN = "admin"
# No `serviceaccount`, `nodelifecycle`, `podgc` and the like: nobody plays what they wait for.
CONTROLLERS = (
    "cronjob,daemonset,deployment,disruption,endpoint,endpointslice,garbagecollector,job,namespace,replicaset,"
    "statefulset,ttl"
)
FIRST_WITHOUT_PORT = (1, 24)
"""The first version whose controller-manager refuses the flag `--port`, which older ones need to listen nowhere."""


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """A running control plane: where its API answers, its certificate, its files, and the pids of its processes.

    `users` maps each user to their bearer token: `admin` may do everything, the others nothing until a
    (Cluster)RoleBinding names them as `User`.
    """

    url: str
    authority: Path
    folder: Path
    users: dict[str, str]
    pids: tuple[int, ...]

    def api(self, user: str = ADMIN) -> Api:
        """A client for the harness; `async with` it."""
        return Api(self.url, self.users[user], self.trust())

    def trust(self) -> ssl.SSLContext:
        """What a client checks the API server's certificate by."""
        return ssl.create_default_context(cafile=self.authority)

    def kubeconfig(self, user: str = ADMIN, *, server: str | None = None, namespace: str = "default") -> Path:
        """A kubeconfig file for this user; `server` is another address of the same API, such as a proxy's."""
        address = server or self.url
        path = self.folder / f"kubeconfig-{user}-{namespace}-{address.rpartition(':')[2]}"
        cluster = {"server": address, "certificate-authority": str(self.authority)}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": self.users[user]}}],
            "contexts": [
                {"name": user, "context": {"cluster": "test", "user": user, "namespace": namespace}}
            ],
            "current-context": user,
        }
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        path.chmod(0o600)
        return path


def binaries() -> Path:
    """The folder with the three programs; the test is skipped, or fails where CI is set, when one is missing."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(os.environ.get("KUBEBUILDER_ASSETS") or cache / "runbookd" / "kubebuilder" / "bin")
    missing = [
        name
        for name in ("etcd", "kube-apiserver", "kube-controller-manager")
        if not (folder / name).is_file()
    ]
    if missing:
        reason = f"needs {', '.join(missing)} in {folder}: tools/control-plane"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@contextlib.asynccontextmanager
async def control_plane(users: Sequence[str] = ()) -> AsyncIterator[ControlPlane]:
    """A control plane with these users beside `admin`, until the block ends; its data goes with it."""
    programs = binaries()
    with temporary_folder("control-plane") as name:
        folder, etcd = Path(name), f"http://127.0.0.1:{free_port()}"
        tokens = {user: f"token-of-{user}" for user in (ADMIN, *users)}
        _write_tokens(folder / "tokens.csv", tokens)
        certificate, key = write_certificate(folder, "apiserver", ["127.0.0.1", "localhost"])
        private, public = write_signing_key(folder)
        port = free_port()
        plane = ControlPlane(f"https://127.0.0.1:{port}", certificate, folder, tokens, ())
        server = [
            *(f"--etcd-servers={etcd}", f"--tls-cert-file={certificate}", f"--tls-private-key-file={key}"),
            *(f"--secure-port={port}", "--bind-address=127.0.0.1", "--endpoint-reconciler-type=none"),
            *(
                "--advertise-address=127.0.0.1",
                "--service-cluster-ip-range=10.96.0.0/16",
                "--allow-privileged=true",
            ),
            *("--service-account-issuer=https://kubernetes.default.svc", "--api-audiences=api"),
            *(f"--service-account-key-file={public}", f"--service-account-signing-key-file={private}"),
            *("--authorization-mode=RBAC", f"--token-auth-file={folder / 'tokens.csv'}"),
            *("--disable-admission-plugins=ServiceAccount", "--enable-priority-and-fairness=false"),
            "--kubelet-preferred-address-types=InternalIP",
        ]
        store = [
            f"--data-dir={folder / 'etcd'}",
            f"--listen-client-urls={etcd}",
            f"--advertise-client-urls={etcd}",
        ]
        peers = [f"--listen-peer-urls=http://127.0.0.1:{free_port()}", "--unsafe-no-fsync"]
        async with (
            child(programs / "etcd", [*store, *peers], folder) as first,
            child(programs / "kube-apiserver", server, folder) as second,
        ):
            await _ready(plane, (first, second))
            manager = programs / "kube-controller-manager"
            async with child(manager, _manager_flags(manager, plane.kubeconfig()), folder) as third:
                yield ControlPlane(plane.url, certificate, folder, tokens, (first.pid, second.pid, third.pid))


def _manager_flags(program: Path, kubeconfig: Path) -> list[str]:
    """The controller-manager's flags: it listens nowhere, and does not keep the tests waiting."""
    shown = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout
    major, minor = re.findall(r"\d+", shown)[:2]
    closed = [] if (int(major), int(minor)) >= FIRST_WITHOUT_PORT else ["--port=0"]
    return [
        *(f"--kubeconfig={kubeconfig}", f"--controllers={CONTROLLERS}", "--leader-elect=false"),
        *("--secure-port=0", "--kube-api-qps=500", "--kube-api-burst=1000", *closed),
        *("--concurrent-deployment-syncs=10", "--concurrent-replicaset-syncs=10"),
    ]


def _write_tokens(path: Path, tokens: dict[str, str]) -> None:
    """The API server's token file: token, user, uid, groups."""
    rows = [
        f"{token},{user},{user}" + (',"system:masters"' if user == ADMIN else "")
        for user, token in tokens.items()
    ]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    path.chmod(0o600)


async def _ready(plane: ControlPlane, children: Sequence[asyncio.subprocess.Process]) -> None:
    """Return once the API server says that it is ready; AssertionError, with its log, when it ends instead."""
    async with plane.api() as api:

        async def answers() -> bool:
            return (
                any(process.returncode is not None for process in children)
                or (await api.text("/readyz")) == "ok"
            )

        await eventually(answers, within=START_WITHIN, what="the API server is ready")
    for process, name in zip(children, ("etcd", "kube-apiserver"), strict=True):
        log = (plane.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")
        assert process.returncode is None, f"{name} ended with status {process.returncode}\n{log[-2000:]}"


@contextlib.asynccontextmanager
async def child(
    program: Path, flags: Sequence[str], folder: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program until the block ends, its output in `<name>.log`; SIGTERM, then SIGKILL.

    It is in a session of its own, so that Ctrl-C reaches only the tests, which then end it; and the kernel ends
    it when the tests die without a word (PR_SET_PDEATHSIG, set by setpriv of util-linux).
    """
    with (folder / f"{program.name}.log").open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *("setpriv", "--pdeathsig", "KILL", "--", str(program), *flags),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_WITHIN)
        except TimeoutError:
            process.kill()
            await process.wait()
