"""The console script without its start: a process that has imported everything forks a child for each command.

Importing takes most of a short command's time, and taking apart what was imported most of the rest. A child has a
folder, an environment and files of its own as any process has, and ends as the script does, but leaves its memory to
the system.
"""

from __future__ import annotations

import atexit
import gc
import inspect
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from tempfile import TemporaryFile

import runbookd
from runbookd.cli.main import main

_LONGEST = 1 << 20
_PATIENCE = 60.0
_STANDARD = 3
"""How many files a child is given: its input, its output, and where it complains."""


@dataclass(frozen=True, slots=True)
class Forks:
    """The end of the line to the process that forks; one command at a time."""

    line: socket.socket

    def run(
        self, args: Sequence[str], folder: Path, environment: Mapping[str, str], given: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        with TemporaryFile() as stdin, TemporaryFile() as stdout, TemporaryFile() as stderr:
            stdin.write(given.encode())
            stdin.seek(0)
            asked = json.dumps({"args": list(args), "folder": str(folder), "environment": dict(environment)})
            files = [each.fileno() for each in (stdin, stdout, stderr)]
            socket.send_fds(self.line, [asked.encode()], files)
            code = json.loads(self.line.recv(_LONGEST))
            told = []
            for each in (stdout, stderr):
                each.seek(0)
                told.append(each.read().decode())
        return subprocess.CompletedProcess(list(args), code, *told)


@contextmanager
def forks() -> Iterator[Forks]:
    """Start the process that forks, and end it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with (
        ours,
        subprocess.Popen([sys.executable, "-m", __name__, str(theirs.fileno())], pass_fds=[theirs.fileno()]),
    ):
        theirs.close()
        ours.settimeout(_PATIENCE)
        yield Forks(ours)
        ours.shutdown(socket.SHUT_RDWR)


def serve(line: socket.socket) -> None:
    """Fork a child for each command until nobody asks any more."""
    for module in walk_packages(runbookd.__path__, "runbookd."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    inspect.stack()  # Which file each module is of, as coverage asks it in every child: found out once, here.
    gc.freeze()
    while True:
        asked, files, _, _ = socket.recv_fds(line, _LONGEST, _STANDARD)
        if not asked:
            return
        child = os.fork()
        if not child:
            line.close()
            _become(json.loads(asked), files)
        for each in files:
            os.close(each)
        _, status = os.waitpid(child, 0)
        line.send(json.dumps(os.waitstatus_to_exitcode(status)).encode())


def _become(asked: dict[str, object], files: Sequence[int]) -> None:
    """Be the console script."""
    for standard, each in enumerate(files):
        os.dup2(each, standard)
        os.close(each)
    os.chdir(str(asked["folder"]))
    os.environ.clear()
    os.environ.update(asked["environment"])  # type: ignore[call-overload]
    sys.argv = ["runbookd", *asked["args"]]  # type: ignore[misc]
    try:
        main()
    except SystemExit as ended:
        if not isinstance(ended.code, int):
            raise
        atexit._run_exitfuncs()  # noqa: SLF001 - no public name ends a fork with what was to be done at the end
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ended.code)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(socket.socket(fileno=int(sys.argv[1])))
