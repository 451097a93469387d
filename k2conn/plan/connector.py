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
    variables: tuple[PlanVariable, ...] = ()
    """What it reads of the environment, sorted by name."""
    warnings: tuple[str, ...] = ()
    """What `validate` says of the file although it is right, a line each."""

    def stream(self, name: str) -> Stream:
        """The stream of that name; KeyError lists nothing, callers check names at plan time."""
        for stream in self.streams:
            if stream.name == name:
                return stream
        raise KeyError(name)

    def named(self, names: Iterable[str], intervals: Sequence[str] = ()) -> list[str]:
        """The streams that some names stand for: a stream's own, or that of one with intervals in the file, which means
        the given ``intervals``, or else its first. Other names are given back as they are; so is ``NAME_INTERVAL`` where
        a stream has not that interval.
        """
        found: list[str] = []
        for name in names:
            own = [one.span.interval.name for one in self.streams if one.declared == name and one.span is not None]
            found += [f"{name}_{one}" for one in intervals or own[:1]] if own else [name]
        return list(dict.fromkeys(found))
