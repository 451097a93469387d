"""The example data frames of a mock exchange, from the tests or a recording, by stream and symbol."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from k2conn import exactjson
from k2conn.errors import RecordError
from k2conn.plan import Condition, Json
from k2conn.scope import Scope
from k2conn.tools.mock.field_detection import AMOUNT, PRICE, TIME, FieldDetection, ItemValues
from k2conn.tools.mock.learned_replies import DataFrame, messages, remember

_NUMBERS = (PRICE, AMOUNT, TIME)


@dataclass(slots=True)
class LibraryFrame:
    """An example frame and its properties."""

    data: DataFrame
    streams: frozenset[str]
    """The streams that its items are of: several where one message is many streams' (`also`)."""
    symbol: str
    """Our name of the symbol of its first item."""
    updates: bool
    """Whether it can be used repeatedly (not a snapshot)."""
    snapshot_frame: bool
    """Whether it is a snapshot that starts a stream of deltas."""
    named: bool
    """Whether all its items have the venue's ids."""
    ids: tuple[str, ...]


class FrameLibrary:
    """All frames of one connection."""

    def __init__(self, detection: FieldDetection, frames: Iterable[DataFrame]) -> None:
        self._detection = detection
        self._streams = {stream.name: stream for stream in detection.streams}
        self.shown = [shown for one in frames if (shown := self._library_frame(one))]

    @property
    def streams(self) -> frozenset[str]:
        """The streams with usable frames."""
        return frozenset[str]().union(*(one.streams for one in self.shown if one.updates or one.snapshot_frame))

    def leader(self, stream: str) -> str:
        """The stream whose frames a stream's items come in: another one's, where it has no frames of its own."""
        holding = [one.data.stream for one in self.shown if stream in one.streams]
        return stream if not holding or stream in holding else holding[0]

    def recordings(self, stream: str, symbol: str) -> list[LibraryFrame]:
        """All frames of one stream whose first item is of one symbol (our name)."""
        return [one for one in self.shown if one.data.stream == stream and one.symbol == symbol]

    def updates(self, stream: str, symbol: str) -> list[LibraryFrame]:
        """The frames to use for one symbol: its own where there are any, else those of another symbol; frames with ids
        are preferred.
        """
        return self._best(self._like(stream), symbol)

    def _like(self, stream: str) -> list[LibraryFrame]:
        """The frames of one stream; where there are none, those of another of its intervals."""
        usable = [one for one in self.shown if one.updates]
        written = self._streams[stream].declared
        like = [one for one in usable if written and self._streams[one.data.stream].declared == written]
        return [one for one in usable if one.data.stream == stream] or [
            one for one in like if one.data.stream == (like[0].data.stream if like else "")
        ]

    def snapshots(self, stream: str, symbol: str) -> list[LibraryFrame]:
        """The frames that a stream of deltas may start with."""
        return self._best([one for one in self.shown if one.data.stream == stream and one.snapshot_frame], symbol)

    @staticmethod
    def _best(found: Sequence[LibraryFrame], symbol: str) -> list[LibraryFrame]:
        found = list([one for one in found if one.named] or found)
        own = [one for one in found if one.symbol == symbol]
        return own or [one for one in found if one.symbol == found[0].symbol]

    def _library_frame(self, data: DataFrame) -> LibraryFrame | None:
        rows = self._detection.rows(data.frame, dict(data.state))
        if not rows or rows[0].symbol is None:
            return None
        stream = self._streams[data.stream]
        streams = frozenset(row.stream.name for row in rows)
        snapshot_frame = stream.carry is not None and stream.carry.begin is not None and self._holds(
            stream.carry.begin.condition, data
        )
        snapshot = stream.snapshot is not None and self._holds(stream.snapshot.condition, data)
        return LibraryFrame(
            data=data,
            streams=streams,
            symbol=rows[0].symbol.record,
            updates=not snapshot_frame and not snapshot and _all_complete(rows),
            snapshot_frame=snapshot_frame,
            named=all(row.identity for row in rows),
            ids=tuple(row.identity or "" for row in rows),
        )

    def _holds(self, condition: Condition, data: DataFrame) -> bool:
        scope = Scope(dict(data.state))
        for message in messages(self._detection.connection, data.frame, scope):
            scope.message = message
            if condition(message, scope):
                return True
        return False


def _all_complete(rows: Sequence[ItemValues]) -> bool:
    """Whether every item can become a record (of deltas: whether it has a symbol)."""
    for row in rows:
        if row.symbol is None or row.dropped:
            return False
        numbers = [value for role in _NUMBERS for value in row.values[role]]
        if row.stream.carry is None and not all(value is None or type(value) is int for value in numbers):
            return False
    return True


def recorded(detection: FieldDetection, texts: Sequence[str]) -> list[DataFrame]:
    """The data frames of a recording, each with what its connection had captured before."""
    found: list[DataFrame] = []
    scope = Scope()
    state: dict[str, Json] = {}
    for text in texts:
        try:
            frame = exactjson.decode(text)
            rows = detection.rows(frame, state)
        except (exactjson.JsonError, RecordError):
            continue
        if rows:
            found.append(DataFrame(rows[0].stream.name, frame, text, state))
            continue
        for message in messages(detection.connection, frame, scope):
            remember(detection.connection, message, scope)
        state = {name: dict(value) if isinstance(value, dict) else value for name, value in scope.state.items()}
    return found
