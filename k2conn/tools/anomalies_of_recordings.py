"""Anomalies in recordings: the records of a file, or of several in turn, as a connector would have marked them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from k2conn.anomalies.marker import AnomalyMarker
from k2conn.anomalies.settings import AnomalySettings
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation.session import SessionContext
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.engine.instrument_list import learn
from k2conn.envelope import Envelope
from k2conn.errors import RecordError
from k2conn.plan import Plan
from k2conn.recording.entries import EntryKind
from k2conn.recording.reader import Recording


class AnomaliesOfRecordings:
    """Looks through recordings with one connector."""

    def __init__(self, plan: Plan, settings: AnomalySettings) -> None:
        self._plan = plan
        self._state = ConnectorState(plan, [stream.name for stream in plan.streams])
        self._symbols = [found for one in plan.symbols.default if (found := plan.symbols.resolve(one))]
        self.marker = AnomalyMarker(plan, settings)
        self.frames = 0
        self.troubles: list[str] = []
        """What could not be read."""
        self._session: object = None
        self._pipelines: list[FramePipeline] = []
        self._now_us = 0

    def look(self, path: Path) -> Iterator[dict[str, Any]]:
        """What is odd in a recording, as its records are. SettingsError where it cannot be read."""
        recording = Recording([path])
        for source, one in recording.entries():
            if one.place.connector != self._plan.name:
                continue
            if one.kind == EntryKind.RECEIVED:
                yield from self.frame((source, one.place), one.frame, one.time)
            elif one.kind == EntryKind.ANSWERED and one.more.get("request") is None:
                self._learn(one.more.get("answer"))
        self.troubles += recording.troubles

    def frame(self, session: object, frame: str | bytes, wall_us: int) -> Iterator[dict[str, Any]]:
        """What is odd in a frame of a session that arrived then."""
        if session != self._session or not self._pipelines:
            self._session, self._pipelines = session, self._connected()
        self.frames += 1
        self._now_us = wall_us
        for pipeline in self._pipelines:
            envelopes, _ = pipeline.receive([frame], wall_us / 1e6, wall_us)
            records = [one for one in envelopes if not one.dead]
            if records:
                yield from _plain(self.marker.look(records, wall_us, lambda symbol: None))
                yield from _plain(self.marker.due(wall_us, lambda symbol: None))
                return

    def rest(self) -> Iterator[dict[str, Any]]:
        """What would be told later than the end."""
        yield from _plain(self.marker.due(self._now_us, lambda symbol: None, last=True))

    def _learn(self, answer: Any) -> None:
        listing = self._plan.symbols.list
        if listing is None:
            return
        try:
            for _ in learn(listing, answer, self._state.symbols):
                pass
        except RecordError as error:
            self.troubles.append(f"an instrument list: {error}")
        self.marker.know(self._state.symbols.instruments, self._state.symbols.whole)

    def _connected(self) -> list[FramePipeline]:
        """Fresh sessions of all connections, as if just connected."""
        context = SessionContext(lambda: "", {})
        return [FramePipeline(self._state, one, self._symbols, context) for one in self._plan.connections]


def _plain(envelopes: Iterable[Envelope]) -> Iterator[dict[str, Any]]:
    for envelope in envelopes:
        assert envelope.schema is not None
        yield envelope.schema.decode_plain(envelope.value)
