"""Where an action may connect: which hosts by name, and which addresses never.

Label text can end up in a URL. The addresses refused here answer any process on the machine with its
credentials, so they are refused after the name was resolved, for every connection:
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html (169.254.169.254 and
fd00:ec2::254; Azure and Google Cloud use the former too).
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from fnmatch import fnmatchcase
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Any

from runbookd.actions.failures import Rejected

if TYPE_CHECKING:
    from aiohappyeyeballs import AddrInfoType

_METADATA = ip_address("fd00:ec2::254")


class ForbiddenAddress(Rejected, OSError):
    """The name leads to an address that is never called.

    Also an OSError, because the connector hands on no other kind.
    """

    def __init__(self, address: str) -> None:
        super().__init__(
            f"{address} is a link-local address, where clouds keep a machine's credentials; it is never called",
            kind="refused",
        )
        self.strerror = str(self)


def check_host(host: str, allowed: Sequence[str] | None) -> None:
    """Raise Rejected (`refused`) unless the host fits one of the allowed names; None allows every host."""
    name = host.lower().rstrip(".")
    if allowed is not None and not any(fnmatchcase(name, pattern.lower()) for pattern in allowed):
        message = (
            f"the host {host!r} is not among `actions.http.allowed_hosts`; add it there if it may be called"
        )
        raise Rejected(message, kind="refused")


def check_address(address: str) -> None:
    """Raise ForbiddenAddress for link-local and metadata addresses, written as IPv4, IPv6 or one inside the other."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    if found.is_link_local or found == _METADATA:
        raise ForbiddenAddress(address)


def open_socket(info: AddrInfoType) -> socket.socket:
    """Make the socket for one resolved address (the connector's `socket_factory`); raises ForbiddenAddress."""
    family, kind, protocol, _, where = info
    address: tuple[Any, ...] = tuple(where)
    check_address(str(address[0]))
    return socket.socket(family=family, type=kind, proto=protocol)
