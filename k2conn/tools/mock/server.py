"""The socket that mock exchanges listen on: one loopback port, one path for each connector."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from types import TracebackType

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from k2conn.errors import Unreachable
from k2conn.tools.mock.byte_server import ByteServer
from k2conn.tools.mock.http import MockHttp
from k2conn.tools.mock.served_exchange import ServedExchange

HOST = "127.0.0.1"


class MockServer:
    """Serves several mock exchanges, each under ``/<connector>`` (and ``/<connector>/<connection>``)."""

    def __init__(self, exchanges: Sequence[ServedExchange], port: int = 0) -> None:
        self.exchanges = {exchange.plan.name: exchange for exchange in exchanges}
        self.port = port
        self._byte_servers = {
            exchange.plan.name: ByteServer(exchange, HOST) for exchange in exchanges
            if exchange.plan.connections[0].transport in ("http", "tcp", "exec")
        }
        self.http: MockHttp | None = None
        """Answers the HTTP calls made before connecting, and for instrument lists; None where no connector has any."""
        self._server: Server | None = None

    def port_of(self, name: str) -> int:
        """The port of a connector's exchange."""
        own = self._byte_servers.get(name)
        return self.port if own is None else own.port

    @property
    def http_port(self) -> int | None:
        """The port of the HTTP calls; None where no connector has any."""
        return self.http.port if self.http is not None else None

    async def __aenter__(self) -> MockServer:
        wanted = self.port
        try:
            self._server = await serve(
                self._handle,
                HOST,
                0 if len(self._byte_servers) == len(self.exchanges) == 1 else wanted,
                process_request=self._admit,
                compression=None,
                ping_interval=None,
                close_timeout=1,
                max_size=None,
                server_header="k2conn mock",
            )
            for at, server in enumerate(self._byte_servers.values()):
                alone = len(self.exchanges) == len(self._byte_servers) == 1 and at == 0
                await server.start(wanted if alone else 0)
        except OSError as error:
            raise Unreachable(f"port {self.port} of {HOST}: {error.strerror}") from None
        self.port = next(iter(self._server.sockets)).getsockname()[1]
        if any(exchange.answers_http for exchange in self.exchanges.values()):
            self.http = MockHttp(self.exchanges, HOST)
            await self.http.start()
        for exchange in self.exchanges.values():
            exchange.start(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for exchange in self.exchanges.values():
            await exchange.stop()
        for server in self._byte_servers.values():
            await server.stop()
        if self._server is not None:
            self._server.close(code=1001)
            await self._server.wait_closed()
        if self.http is not None:
            await self.http.stop()

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """404 for an unknown connector; an HTTP error with a Retry-After where the exchange rejects clients for now;
        400 for a handshake that the venue does not take.
        """
        name, target = _split(request.path)
        if name in self.exchanges:
            rejected = self.exchanges[name].admit()
            if rejected is None:
                refusal = self.exchanges[name].handshake_refusal(target, request, connection.protocol)
                return None if refusal is None else connection.respond(HTTPStatus.BAD_REQUEST, refusal + "\n")
            response = connection.respond(HTTPStatus(rejected[0]), "not now\n")
            response.headers["Retry-After"] = str(rejected[1])
            return response
        known = ", ".join(sorted(self.exchanges))
        return connection.respond(HTTPStatus.NOT_FOUND, f"no connector '{name}' here; there is {known}\n")

    async def _handle(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        name, target = _split(connection.request.path)
        await self.exchanges[name].serve(connection, target)


def _split(path: str) -> tuple[str, str]:
    """A connector's name, and the rest of an address as a path."""
    _, name, *rest = path.split("/", 2)
    name, question, query = name.partition("?")
    return name, "/" + "/".join(rest) + question + query
