"""The service under measure: a real `runbookd serve` on a new database, with generated rules and playbooks."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

TOKEN = "bench-token"
PLAYBOOK = """\
playbook: bench
inputs: {{event_id: {{type: string}}, sent_ns: {{type: string}}}}
steps:
  - {step}
"""
STEPS = {
    "log": 'action: flow.log\n    with: {message: "${inputs.event_id}"}',
    "sink": (
        'action: http.request\n    with: {method: POST, url: "URL", json: {sent_ns: "${inputs.sent_ns}"}, '
        "repeat: safe}"
    ),
}


class Target:
    """One running service."""

    def __init__(self, folder: Path, *, rules: int, step: str, sink: str = "") -> None:
        """Write its content and start it; returns when it is ready."""
        self.port = _free_port()
        self.folder = folder
        content = folder / "content"
        content.mkdir(parents=True)
        (content / "rules.yaml").write_text(_rules(rules), encoding="utf-8")
        (content / "playbook.yaml").write_text(
            PLAYBOOK.format(step=STEPS[step].replace("URL", sink)), encoding="utf-8"
        )
        config = folder / "config.toml"
        config.write_text(
            f"""
database = "{folder / "bench.db"}"
rules = ["{content}"]
playbooks = []
reload = false
log_level = "ERROR"
[web]
port = {self.port}
[web.hooks.alertmanager]
bearer = ["{TOKEN}"]
[reach]
budget = 1000000000
target_cooldown = "0s"
brake = 0
""",
            encoding="utf-8",
        )
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        begun = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "runbookd.cli.main", "--config", str(config), "serve"], env=environment
        )
        while not self._ready():
            if self.process.poll() is not None or time.perf_counter() - begun > 60:
                raise SystemExit("the service did not start")
            time.sleep(0.01)
        self.start_seconds = time.perf_counter() - begun

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def metric(self, name: str) -> float:
        """Return the sum over a metric's series."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return sum(
            float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((name + "{", name + " "))
        )

    def memory_mib(self) -> float:
        """Return the resident memory, MiB."""
        return memory_mib(self.process.pid)

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(30)


def memory_mib(pid: int) -> float:
    """Return a process's resident memory, MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def _rules(count: int) -> str:
    rules = [
        {
            "name": f"rule-{number}",
            "match": [f'alertname="Alert{number}"', 'severity="critical"'],
            "priority": "P0",
            "run": [
                {
                    "playbook": "bench",
                    "with": {
                        "event_id": "${event.labels.event_id}",
                        "sent_ns": "${event.annotations.sent_ns}",
                    },
                }
            ],
        }
        for number in range(count)
    ]
    return json.dumps({"priorities": {"P0": {"name": "Critical"}}, "rules": rules})


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
