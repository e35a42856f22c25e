"""How much of a client's address is kept: all of it, its network, or nothing."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Literal

PeerPrivacy = Literal["full", "truncated", "none"]


@lru_cache(maxsize=4096)
def shown_peer(address: str | None, privacy: PeerPrivacy) -> str | None:
    """The address as records may carry it; truncated to /24 (IPv4) or /48 (IPv6). None for what is no IP address."""
    if privacy == "none" or not address:
        return None
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if privacy == "full":
        return str(ip)
    length = 24 if isinstance(ip, IPv4Address) else 48
    return str(ip_network((ip, length), strict=False).network_address)
