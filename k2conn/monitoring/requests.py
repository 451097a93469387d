"""What is let in at the port: requests of bounded size, and where only this machine can ask, only such as name it."""

from __future__ import annotations

from collections.abc import Collection

from k2conn.loopback import host_name, named_here

LONGEST_HEAD = 16 * 1024
"""Bytes of a request's lines."""


class BadRequest(Exception):
    """A request that gets no other answer than a status and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def target_of(
    head: bytes, bound_here: bool, names: Collection[str] = (), methods: Collection[str] = ("GET", "HEAD")
) -> tuple[str, str]:
    """Method and target of a request whose lines are ``head``. ``bound_here``: only this machine can ask; then what it
    was asked for must be this machine, too, or one of ``names``: a page in a browser here could else have its own name
    lead here (DNS rebinding). BadRequest for anything else.
    """
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise BadRequest(400, "this is no request in HTTP/1.1")
    if words[0] not in methods:
        raise BadRequest(405, "GET only" if "POST" not in methods else "GET and POST only")
    hosts = [value.strip() for name, _, value in (line.partition(":") for line in lines) if name.lower() == "host"]
    if len(hosts) > 1:
        raise BadRequest(400, "there are two Host lines")
    if bound_here and hosts and not (named_here(hosts[0]) or host_name(hosts[0]).lower() in names):
        raise BadRequest(403, "the Host line names another machine: ask for localhost, or 127.0.0.1")
    return words[0], words[1]


def header_of(head: bytes, name: str) -> str:
    """The value of a header of a request; empty where it is not there once."""
    lines = head.decode("latin-1").split("\r\n")[1:]
    found = [value.strip() for key, _, value in (one.partition(":") for one in lines) if key.lower() == name]
    return found[0] if len(found) == 1 else ""
