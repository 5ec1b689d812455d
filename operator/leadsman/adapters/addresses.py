"""Which network addresses the operator may call on somebody else's word.

A cluster's operator stands where loopback and link-local addresses lead to things that were never
meant to be called by users: its own ports, the node's agents, a cloud's metadata service. So they
are refused after name resolution, where a clever name or an odd spelling no longer matters.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class AddressRefusedError(OSError):
    """Raised when an address is one that must not be called. `address` is the address."""

    def __init__(self, address: str) -> None:
        super().__init__(f"address refused: {address}")
        self.address = address


def refused(address: str, allowed: Sequence[Network] = ()) -> bool:
    """Return whether an IP address must not be called; what is no IP address is not refused."""
    try:
        ip = ipaddress.ip_address(address.split("%", maxsplit=1)[0].strip("[]"))
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)
    ip = mapped or ip
    if any(ip.version == network.version and ip in network for network in allowed):
        return False
    return ip.is_loopback or ip.is_link_local or ip.is_unspecified or ip.is_multicast


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Parse networks such as "127.0.0.0/8". Raises ValueError if one is not a network."""
    return tuple(ipaddress.ip_network(text) for text in texts)


class GuardedResolver(AbstractResolver):
    """Resolves names, and refuses the addresses that must not be called."""

    def __init__(self, allowed: Sequence[Network]) -> None:
        self._inner = ThreadedResolver()
        self._allowed = allowed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the host's addresses. Raises AddressRefusedError if any of them is refused."""
        results = await self._inner.resolve(host, port, family)
        for result in results:
            if refused(result["host"], self._allowed):
                raise AddressRefusedError(result["host"])
        return results

    async def close(self) -> None:
        """Give resources back."""
        await self._inner.close()
