"""Dead letters apart from the records: in files, where the settings name a folder for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from k2conn.avro import RecordSchema
from k2conn.envelope import Envelope
from k2conn.sinks import Reject, Settle
from k2conn.sinks.batching import BatchingSink, BatchingSinkStatus
from k2conn.sinks.file import FileSettings, FileSink
from k2conn.sinks.settings import SinkSettings


class DeadLettersApart:
    """Records go to the sink that ``make`` makes, dead letters into files. See ``SpoolableSink`` for the contract."""

    def __init__(
        self, make: Callable[[SinkSettings, Settle, Reject], BatchingSink], settings: SinkSettings, folder: Path,
        settle: Settle, reject: Reject,
    ) -> None:
        self._records = make(settings, settle, reject)
        self._dead = FileSink(SinkSettings(kind="file", options=FileSettings(folder=folder)), settle)
        self.name = self._records.name

    async def open(self) -> None:
        """See `Sink.open`."""
        await self._dead.open()
        await self._records.open()

    async def prepare(self, topics: Mapping[str, RecordSchema | None]) -> None:
        """See `Sink.prepare`."""
        await self._dead.prepare({name: None for name, schema in topics.items() if schema is None})
        await self._records.prepare({name: schema for name, schema in topics.items() if schema is not None})

    def put(self, envelope: Envelope) -> None:
        """See `Sink.put`."""
        (self._dead if envelope.schema is None else self._records).put(envelope)

    def put_all(self, envelopes: Sequence[Envelope]) -> None:
        """Take some envelopes, in order."""
        if all(envelope[3] is not None for envelope in envelopes):
            self._records.put_all(envelopes)
            return
        for envelope in envelopes:
            self.put(envelope)

    @property
    def crowded(self) -> bool:
        """See `Sink.crowded`."""
        return self._records.crowded or self._dead.crowded

    async def drain(self) -> None:
        """See `Sink.drain`."""
        await asyncio.gather(*(one.drain() for one in (self._records, self._dead) if one.crowded))

    async def flush(self, within: float) -> int:
        """See `Sink.flush`."""
        return sum(await asyncio.gather(self._records.flush(within), self._dead.flush(within)))

    async def close(self) -> None:
        """See `Sink.close`."""
        await self._records.close()
        await self._dead.close()

    def unsettled(self) -> Iterator[Envelope]:
        """See `SpoolableSink.unsettled`; files are no place that is away."""
        return self._records.unsettled()

    def withdraw(self, topic: str) -> Sequence[Envelope]:
        """See `SpoolableSink.withdraw`."""
        return self._records.withdraw(topic)

    def status(self) -> BatchingSinkStatus:
        """See `Sink.status`."""
        dead, found = self._dead.status(), self._records.status()
        return {**found, "queued": found["queued"] + dead["queued"], "reachable": found["reachable"]
                and dead["reachable"], "last_error": found["last_error"] or dead["last_error"]}
