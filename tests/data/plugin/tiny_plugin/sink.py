"""Records as JSON lines in one file, settled as soon as they are written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from k2conn.avro import RecordSchema
from k2conn.envelope import Envelope
from k2conn.errors import SettingsError
from k2conn.sinks import Reject, Settle, Sink, SinkKind
from k2conn.sinks.settings import SinkSettings


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where the lines go, and what each of them carries besides."""

    path: Path = Path("records.jsonl")
    label: str = ""
    every: int = 1
    key: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.every < 1:
            raise SettingsError(f"every={self.every} is below 1")


class JsonLines:
    """See the module's text."""

    name = "jsonlines"

    def __init__(self, settings: SinkSettings, settle: Settle, reject: Reject) -> None:
        self._settings: Settings = settings.options
        self._settle = settle
        self._waiting: list[Envelope] = []
        self.crowded = False

    async def open(self) -> None:
        """See `Sink.open`."""
        self._settings.path.touch()

    async def prepare(self, topics: Mapping[str, RecordSchema | None]) -> None:
        """See `Sink.prepare`."""

    def put(self, envelope: Envelope) -> None:
        """See `Sink.put`."""
        self._waiting.append(envelope)
        if len(self._waiting) >= self._settings.every:
            self.crowded = True  # so that `drain` is awaited

    async def drain(self) -> None:
        """See `Sink.drain`."""
        with self._settings.path.open("a") as file:
            for one in self._waiting:
                record = one.schema.decode_plain(one.value) if one.schema is not None else None
                line = {"topic": one.topic, "label": self._settings.label, "keyed": bool(self._settings.key)}
                file.write(json.dumps(line | {"record": record}) + "\n")
        done, self._waiting, self.crowded = self._waiting, [], False
        self._settle(done)

    async def flush(self, within: float) -> int:
        """See `Sink.flush`."""
        await self.drain()
        return 0

    async def close(self) -> None:
        """See `Sink.close`."""

    def status(self) -> dict[str, object]:
        """See `Sink.status`."""
        return {"reachable": True, "queued": len(self._waiting), "errors": 0, "last_error": None}


def _make(settings: SinkSettings, settle: Settle, reject: Reject) -> Sink:
    return JsonLines(settings, settle, reject)


SINK = SinkKind("JSON lines in one file", _make, settings=Settings, processes=False)
