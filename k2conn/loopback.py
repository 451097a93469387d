"""Which hosts are this machine: what is sent to them leaves no wire, and what is asked of them means this machine."""

from __future__ import annotations

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether a host name is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def named_here(host: str) -> bool:
    """Whether a Host line can only be meant for this machine: an address, which nobody's DNS changes, or a name without
    a dot (localhost, a container's name), which no public DNS knows. Else a page in a browser here could have its own
    name lead here (DNS rebinding).
    """
    name = host_name(host)
    if "." not in name.rstrip(".") and ":" not in name:
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def host_name(host: str) -> str:
    """A Host line without its port."""
    return host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() and not host.endswith("]") else host
