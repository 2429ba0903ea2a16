"""Two TLS handshakes with one server: the first takes any certificate, the second says what is wrong with it.

One alone will not do: a handshake that verifies shows no certificate when it fails, one that does not cannot tell.
https://docs.python.org/3/library/ssl.html
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import NamedTuple

from runbookd.actions.failures import Rejected, failure_of_error
from runbookd.actions.reach import check_address


class Server(NamedTuple):
    """Whom to ask: where, and for which name (SNI, RFC 6066 section 3)."""

    host: str
    port: int
    name: str

    def __str__(self) -> str:
        """Render as `host:port`, for messages."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


async def shown_certificate(server: Server) -> bytes:
    """The server's own certificate, DER, whatever it is worth.

    Raises Unavailable when nobody answers, Rejected when no TLS is spoken or the address is never called.
    """
    anything = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anything.check_hostname = False
    anything.verify_mode = ssl.CERT_NONE
    try:
        certificate = await _shake_hands(server, anything)
    except (OSError, UnicodeError) as error:
        raise failure_of_error(error, str(server)) or error from error
    if certificate is None:
        raise Rejected(f"{server}: the server shows no certificate", kind="tls")
    return certificate


async def chain_error(server: Server, trust: ssl.SSLContext) -> str | None:
    """What is wrong with the server's chain, its name not regarded, in OpenSSL's words; None when nothing is.

    Raises Unavailable when nobody answers.
    """
    trust.check_hostname = False
    try:
        await _shake_hands(server, trust)
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except (OSError, UnicodeError) as error:
        raise failure_of_error(error, str(server)) or error from error
    return None


async def _shake_hands(server: Server, context: ssl.SSLContext) -> bytes | None:
    """Connect to the first address that answers, shake hands and hang up; the certificate the server showed."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
    refused: OSError | None = None
    for *_, address in found:
        check_address(str(address[0]))
        try:
            _, writer = await asyncio.open_connection(
                str(address[0]), server.port, ssl=context, server_hostname=server.name
            )
        except ssl.SSLError:
            raise
        except OSError as error:
            refused = error
            continue
        shaken: ssl.SSLObject = writer.get_extra_info("ssl_object")
        certificate = shaken.getpeercert(binary_form=True)
        writer.transport.abort()  # a polite end would wait for the server's
        return certificate
    raise refused or OSError("the name has no address")
