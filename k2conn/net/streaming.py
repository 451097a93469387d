"""An HTTP answer that goes on: its lines, as they come. For what k2conn asks of another k2conn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from urllib.parse import urlsplit

from k2conn.errors import TransportError
from k2conn.net.tls import client_context

LONGEST = 4 * 1024 * 1024
"""Bytes of a line."""
_MOST_HEADERS = 100


async def lines_of(
    url: str, headers: Mapping[str, str], within: float = 10.0, quiet: float = 30.0
) -> AsyncGenerator[bytes, None]:
    """The lines of the answer to a GET, without empty ones. ``within``: seconds for its beginning; ``quiet``: seconds
    without anything after which it counts as dead. TransportError where there is no answer, or another status than 200:
    its detail is then what was answered.
    """
    try:
        parts = urlsplit(url)
        host, secured = parts.hostname or "", parts.scheme == "https"
        port = parts.port or (443 if secured else 80)
    except ValueError:
        raise TransportError("http", "the address is none") from None
    context = client_context() if secured else None
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(within):
            reader, writer = await asyncio.open_connection(host, port, ssl=context, limit=LONGEST)
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            head = [f"GET {target} HTTP/1.1", f"Host: {parts.netloc.rpartition('@')[2]}", "Connection: close"]
            head += [f"{name}: {value}" for name, value in headers.items()]
            writer.write("\r\n".join([*head, "", ""]).encode("latin-1", "replace"))
            status = (await reader.readline()).split(b" ")
            for _ in range(_MOST_HEADERS):
                if (await reader.readline()).strip() == b"":
                    break
            if len(status) < 2 or status[1] != b"200":
                detail = (await reader.read(2000)).decode("utf-8", "replace")
                raise TransportError("http", f"{host}: {detail or 'what answers is no HTTP'}")
        while True:
            async with asyncio.timeout(quiet):
                line = await reader.readline()
            if not line:
                return
            if line.strip():
                yield line
    except (OSError, ValueError) as error:  # TimeoutError among them; a line that is too long
        text = "no answer in time" if isinstance(error, TimeoutError) else getattr(error, "strerror", None)
        raise TransportError("http", f"{host}: {text or error}") from None
    finally:
        if writer is not None:
            writer.close()
