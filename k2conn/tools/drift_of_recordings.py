"""Drift in recordings: the messages of a file, or of several in turn, as a connector would have looked at them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from k2conn.drift.detector import Drift, DriftDetector
from k2conn.drift.presence import Certainty
from k2conn.engine.connector_state import ConnectorState
from k2conn.engine.conversation.session import SessionContext
from k2conn.engine.frame_pipeline import FramePipeline
from k2conn.errors import SettingsError
from k2conn.plan import Plan
from k2conn.recording.entries import EntryKind
from k2conn.recording.reader import Recording, is_recording
from k2conn.tools.recorded_lines import recorded_lines

LESS = Certainty(learned=20, settled=10)
"""What is enough where an older recording says what is usual: it was whole before the other one began."""


class DriftOfRecordings:
    """Looks through recordings with one connector, whose file must say what their messages are."""

    def __init__(self, plan: Plan, sure: Certainty | None = None) -> None:
        self._plan = plan
        self._symbols = [found for one in plan.symbols.default if (found := plan.symbols.resolve(one))]
        self.detector = DriftDetector(plan.streams, {symbol.native for symbol in self._symbols}, sure)
        self.frames = 0
        self.messages = 0
        """Those of a stream."""
        self.troubles: list[str] = []
        """What could not be read."""
        self._session: object = None
        self._pipelines: list[FramePipeline] = []

    def look(self, path: Path) -> Iterator[Drift]:
        """The changes that a recording shows, as they are found. SettingsError where it cannot be read."""
        for session, frame in self._frames(path):
            if session != self._session or not self._pipelines:
                self._session, self._pipelines = session, self._connected()
            self.frames += 1
            yield from self._of_frame(frame)

    def _of_frame(self, frame: str | bytes) -> Iterator[Drift]:
        """Of a connector with several connections, the first that knows all messages of a frame takes it."""
        for at, pipeline in enumerate(self._pipelines):
            pipeline.receive([frame], 0.0, 1)  # what it captures is needed to tell later messages apart
            found = list(pipeline.classify(frame))
            if at < len(self._pipelines) - 1 and any(stream is None for stream, _, _ in found):
                continue
            for stream, message, snapshot in found:
                if stream is None:
                    yield from self.detector.see_unknown(message)
                else:
                    self.messages += 1
                    yield from self.detector.see(stream.name, message, snapshot)
            return

    def _connected(self) -> list[FramePipeline]:
        """Fresh sessions of all connections, as if just connected."""
        state = ConnectorState(self._plan, [stream.name for stream in self._plan.streams], window=0)
        context = SessionContext(lambda: "", {})
        return [FramePipeline(state, one, self._symbols, context) for one in self._plan.connections]

    def _frames(self, path: Path) -> Iterator[tuple[object, str | bytes]]:
        """The frames with what tells sessions apart."""
        if not is_recording(path):
            try:
                with path.open("rb") as lines:
                    for line in recorded_lines(lines, str(path)):
                        if line.strip():
                            yield path, line.rstrip(b"\r\n").decode("utf-8", "replace")
            except OSError as error:
                raise SettingsError(f"{path}: {error.strerror}") from None
            return
        recording = Recording([path])
        for source, one in recording.entries():
            if one.kind == EntryKind.RECEIVED and one.place.connector == self._plan.name:
                yield (path, source, one.place), one.frame
        self.troubles += recording.troubles
