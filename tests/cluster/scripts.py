"""What a test lays down in advance: what containers have logged, and what commands in them answer."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from tests.cluster.api import Object
from tests.cluster.pod_life import stamp

DEFAULT_LOG = ("started",)


class Ends(StrEnum):
    """How an exec comes to its end: with its exit code, the stream broken before it, or never."""

    EXIT = "exit"
    BREAK = "break"
    HANG = "hang"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command puts out, its exit code, and how the stream ends."""

    stdout: bytes = b""
    stderr: bytes = b""
    code: int = 0
    ends: Ends = Ends.EXIT


@dataclass(frozen=True, slots=True)
class ExecCall:
    """A command that was run, or answered for, in a container."""

    namespace: str
    pod: str
    container: str
    command: tuple[str, ...]


@dataclass(slots=True)
class Scripts:
    """Answers in place of commands. What no pattern fits is run as a local process.

    `calls` is every exec that reached a container, oldest first: what counts how often something was done.
    """

    calls: list[ExecCall] = field(default_factory=list)
    _answers: list[tuple[str | None, re.Pattern[str], Answer]] = field(default_factory=list)

    def answer(self, pattern: str, answer: Answer, *, namespace: str | None = None) -> None:
        """Answer commands in which the regular expression is found (their words joined by spaces) so, in one
        namespace if given. The newest fitting answer counts."""
        self._answers.insert(0, (namespace, re.compile(pattern, re.DOTALL), answer))

    def called(self, call: ExecCall) -> Answer | None:
        """Note a call; the answer laid down for it, None when there is none."""
        self.calls.append(call)
        words = " ".join(call.command)
        for namespace, pattern, answer in self._answers:
            if namespace in {None, call.namespace} and pattern.search(words):
                return answer
        return None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a log, and when it was written."""

    text: str
    at: dt.datetime


class Logs:
    """The logs of containers: those written for a pod, else those for its app, each for one container or all."""

    def __init__(self) -> None:
        self._written: dict[tuple[str, str, str | None, bool], list[Line]] = {}

    def write(
        self,
        namespace: str,
        whose: str,
        lines: Sequence[str],
        *,
        container: str | None = None,
        previous: bool = False,
        age_s: float = 0,
    ) -> None:
        """Add lines, written so many seconds ago, to the log of a pod or of all pods with the label `app`.

        `previous`: to the log of the container's life before its last restart.
        """
        at = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=age_s)
        log = self._written.setdefault((namespace, whose, container, previous), [])
        log.extend(Line(text, at) for text in lines)

    def read(
        self,
        pod: Object,
        container: str,
        *,
        previous: bool,
        since_s: int | None,
        tail: int | None,
        timestamps: bool,
    ) -> str:
        """What a kubelet would give: the lines not older than `since_s`, the last `tail` of them."""
        now = dt.datetime.now(dt.UTC)
        lines = self._of(pod, container, previous=previous)
        if since_s is not None:
            lines = [line for line in lines if line.at >= now - dt.timedelta(seconds=since_s)]
        if tail is not None:
            lines = lines[max(len(lines) - tail, 0) :]
        return "".join(
            f"{stamp(line.at)} {line.text}\n" if timestamps else f"{line.text}\n" for line in lines
        )

    def _of(self, pod: Object, container: str, *, previous: bool) -> list[Line]:
        """A container's log, oldest line first."""
        metadata = pod["metadata"]
        for whose in (metadata["name"], metadata.get("labels", {}).get("app")):
            for name in (container, None):
                found = self._written.get((metadata["namespace"], whose, name, previous))
                if found is not None:
                    return sorted(found, key=lambda line: line.at)
        return [Line(text, dt.datetime.now(dt.UTC)) for text in DEFAULT_LOG]
