"""What nothing public of websockets does: connecting without following a redirect."""

from __future__ import annotations

from websockets.asyncio.client import connect

VERSIONS = ">=15,<18"


class ConnectOnce(connect):
    """`connect` for which a redirect is an answer like any other. The library follows up to ten, to any host, and takes
    along every header but three: a venue's API key has a name of its own.
    """

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Never another address."""
        return exc
