"""A mail server in place of a real one: it takes every mail, and keeps what it says.

As much of SMTP as a client needs that neither encrypts nor signs in (https://www.rfc-editor.org/rfc/rfc5321).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from email import message_from_bytes, policy

from runbookd.demo.told import MESSAGE, Book

_LONGEST_LINE = 1 << 20
_ADDRESS = re.compile(r"<([^<>]*)>")
_END_OF_MAIL = b".\r\n"


class MailStandIn:
    """The server; `listen` opens it on loopback."""

    def __init__(self, book: Book) -> None:
        self._book = book

    async def listen(self, port: int) -> asyncio.Server:
        """Open it on this TCP port; 0 picks a free one."""
        return await asyncio.start_server(self._converse, "127.0.0.1", port, limit=_LONGEST_LINE)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk with one client until it says goodbye or is gone."""
        to: list[str] = []
        with contextlib.suppress(ConnectionError, ValueError):  # ValueError: a line that does not end
            writer.write(b"220 people.demo\r\n")
            while command := (await reader.readline()).decode("ascii", "replace").strip():
                verb, _, rest = command.partition(" ")
                writer.write(_answer(verb.upper(), rest, to))
                if verb.upper() == "DATA":
                    self._keep(await _mail(reader), to)
                    writer.write(b"250 2.0.0 kept\r\n")
                elif verb.upper() == "QUIT":
                    break
            await writer.drain()
        writer.close()

    def _keep(self, raw: bytes, to: list[str]) -> None:
        mail = message_from_bytes(raw, policy=policy.default)
        body = mail.get_body(("plain",))
        text = str(body.get_content()) if body is not None else ""
        words = (str(mail["Subject"] or ""), "\n".join(text.splitlines()).strip())
        self._book.note("email", MESSAGE, tuple(to), words)


def _answer(verb: str, rest: str, to: list[str]) -> bytes:
    """Answer a command; `to` are the recipients of the mail so far, and are changed."""
    match verb:
        case "MAIL":
            to.clear()
        case "RCPT":
            to.extend(_ADDRESS.findall(rest))
        case "DATA":
            return b"354 end with a dot\r\n"
        case "QUIT":
            return b"221 2.0.0 bye\r\n"
        case "EHLO" | "HELO" | "RSET" | "NOOP":
            pass
        case _:
            return b"502 5.5.1 not known here\r\n"
    return b"250 2.0.0 ok\r\n"


async def _mail(reader: asyncio.StreamReader) -> bytes:
    """Read a mail to its final dot; a line that begins with a dot came with another (section 4.5.2)."""
    lines = []
    while (line := await reader.readline()) != _END_OF_MAIL:
        if not line:
            raise ConnectionError
        lines.append(line.removeprefix(b"."))
    return b"".join(lines)
