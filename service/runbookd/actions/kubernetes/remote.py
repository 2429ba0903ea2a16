"""A command in a container, as the API server streams it: output, error output and exit code apart.

Protocol `v4.channel.k8s.io`: every frame begins with the number of its channel
(https://github.com/kubernetes/kubernetes/blob/master/staging/src/k8s.io/client-go/tools/remotecommand/websocket.go).
The last frame, on channel 3, is a Status with the exit code; without it nobody knows how the command ended.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import aiohttp
import orjson

from runbookd.actions.failures import Rejected, Unavailable
from runbookd.actions.kubernetes.kinds import Json
from runbookd.errors import ActionError

_STDOUT, _STDERR, _STATUS = 1, 2, 3
_NOT_STARTED = ("container not found", "executable file not found", "no such file or directory")
"""Words by which a container runtime says that nothing was run."""


@dataclass(slots=True)
class Tail:
    """The end of a stream, at most `most` bytes, and whether more came before."""

    most: int
    truncated: bool = False
    _parts: deque[bytes] = field(default_factory=deque)
    _length: int = 0

    def add(self, part: bytes) -> None:
        """Take the next bytes, letting go of the oldest."""
        self._parts.append(part)
        self._length += len(part)
        while self._length - len(self._parts[0]) >= self.most:
            self._length -= len(self._parts.popleft())
            self.truncated = True

    @property
    def content(self) -> bytes:
        """The end, in one piece."""
        whole = b"".join(self._parts)
        self.truncated = self.truncated or len(whole) > self.most
        return whole[-self.most :]


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended."""

    exit_code: int
    stdout: Tail
    stderr: Tail


async def follow(socket: aiohttp.ClientWebSocketResponse, what: str, most: int) -> Ended:
    """Read the stream to its end, keeping the last `most` bytes of each output.

    Raises Unavailable (`connection_lost`, in doubt) when it ends without a status, and what a status that is no exit
    code means. `what` begins the messages.
    """
    stdout, stderr, status = Tail(most), Tail(most), b""
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
            continue
        channel, data = message.data[0], message.data[1:]
        if channel == _STATUS:
            status += data
        elif data and channel in {_STDOUT, _STDERR}:
            (stdout if channel == _STDOUT else stderr).add(data)
    if not status:
        lost = f"{what}: the stream broke before the command's exit code came; it may still run"
        raise Unavailable(lost, kind="connection_lost", in_doubt=True)
    return Ended(exit_code_of(status, what), stdout, stderr)


def exit_code_of(status: bytes, what: str) -> int:
    """The exit code in the last frame; raises Rejected or Unavailable when the command could not be run or watched."""
    try:
        found = orjson.loads(status)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise _unclear(what, status.decode("utf-8", "replace"))
    if found.get("status") == "Success":
        return 0
    code = next((one.get("message", "") for one in _causes(found) if one.get("reason") == "ExitCode"), "")
    if code.isdecimal():
        return int(code)
    words = str(found.get("message") or "no reason was given")
    if any(word in words for word in _NOT_STARTED):
        raise Rejected(f"{what}: it was not run: {words}", kind="not_found")
    raise _unclear(what, words)


def _causes(status: Json) -> list[Json]:
    return (status.get("details") or {}).get("causes") or []


def _unclear(what: str, words: str) -> ActionError:
    return Unavailable(f"{what}: nobody knows how it ended: {words}", kind="server_error", in_doubt=True)
