"""The whole of one connector."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from k2conn.plan.connection import Connection
from k2conn.plan.instruments import SymbolRule
from k2conn.plan.stream import Stream
from k2conn.plan.tests import ConnectorTest


@dataclass(frozen=True, slots=True)
class PlanVariable:
    """An environment variable that the file reads, and the places in the file that send its value or sign with it. Its
    value is a secret, whatever it is: it is hidden in all that is printed, logged and kept.
    """

    name: str
    places: tuple[str, ...]


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
    evidence: str = ""
    """What the file rests on: recorded, documented or memory; empty where it does not say."""
    variables: tuple[PlanVariable, ...] = ()
    """What it reads of the environment, sorted by name."""
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

    def named(self, names: Iterable[str], intervals: Sequence[str] = ()) -> list[str]:
        """The streams that some names stand for. The name of one that has intervals in the file means the given
        ``intervals`` of it, or else its first; whether it has them is not looked at. Any other name is itself.
        """
        found: list[str] = []
        for name in names:
            own = self.intervals(name)
            found += [f"{name}_{one}" for one in intervals or own[:1]] if own else [name]
        return list(dict.fromkeys(found))

    @property
    def written(self) -> tuple[Stream, ...]:
        """The streams as they are written in the file: of one with intervals the first."""
        found: dict[str, Stream] = {}
        for stream in self.streams:
            found.setdefault(stream.written, stream)
        return tuple(found.values())

    def intervals(self, written: str) -> list[str]:
        """The intervals of a stream in the file; none where it has none."""
        return [one.span.interval.name for one in self.streams if one.declared == written and one.span is not None]
