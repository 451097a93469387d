"""What can be told of an address without connecting to it. No text repeats one: it may hold a key."""

from __future__ import annotations

from urllib.parse import urlsplit

from k2conn.schemes import Secure, in_the_clear


def wrong_address(text: str, wanted: str, secure: Secure, insecure: bool = False) -> str:
    """What is wrong with an address that is to begin with ``wanted``; nothing where it is right. ``insecure``: it may
    also lead to another machine in the clear.
    """
    if any(letter.isspace() or not letter.isprintable() for letter in text):
        return "an address has no white space in it"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:  # its text may repeat the address
        if "ort" in str(error):
            return "a port is a number from 1 to 65535"
        return f"an address is needed: it starts with {wanted}:// and names a host"
    if secure(parts.scheme) is None or not parts.hostname:
        return f"an address starts with {wanted}:// and names a host"
    if port == 0:
        return "a port is a number from 1 to 65535"
    if not insecure and in_the_clear(parts, secure):
        other = f"{parts.scheme}s" if secure(f"{parts.scheme}s") else wanted
        return f"{parts.scheme}:// is for this machine only: say {other}://, or ALLOW_INSECURE=true beside it"
    return ""
