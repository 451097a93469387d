"""The whole of one connector."""

from __future__ import annotations

from dataclasses import dataclass

from k2conn.plan.connection import Connection
from k2conn.plan.instruments import SymbolRule
from k2conn.plan.stream import Stream
from k2conn.plan.tests import ConnectorTest


@dataclass(frozen=True, slots=True)
class Plan:
    """A connector, ready to run."""

    name: str
    exchange: str
    asset_class: str
    market: str
    docs: str
    path: str
    symbols: SymbolRule
    connections: tuple[Connection, ...]
    streams: tuple[Stream, ...]
    tests: tuple[ConnectorTest, ...]
    warnings: tuple[str, ...] = ()
    """What `validate` says of the file although it is right, a line each."""

    @property
    def reads_files(self) -> bool:
        """Whether its messages are the rows of files, and nothing is connected to."""
        return any(connection.reads_files for connection in self.connections)

    def stream(self, name: str) -> Stream:
        """The stream of that name; KeyError lists nothing, callers check names at plan time."""
        for stream in self.streams:
            if stream.name == name:
                return stream
        raise KeyError(name)
