"""A segment: one append-only file of the spool, and what is known of it while it lasts."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from k2conn.avro import RecordSchema
from k2conn.envelope import DeliveryAccount, Envelope
from k2conn.spool.entries import KEY_BYTES, ROUTE, SCHEMA, Entry, EntryFormat, KeyedFormat
from k2conn.spool.names import segment_name
from k2conn.spool.stored_text import stored_route, stored_schema


class Route(NamedTuple):
    """What the records of one topic, key and account have in common."""

    topic: str
    key: bytes | None
    schema: RecordSchema | None
    account: DeliveryAccount | None


class SpoolSegment:
    """One file.

    ``size`` is what was appended, ``written`` what of it is in the file, ``buffer`` the rest; ``open`` counts its
    records that are not yet acknowledged (nor otherwise done with), ``taken`` those that were handed on, ``first`` is
    where reading begins, ``synced`` how much is forced to the disk. ``moved``: some of its records went to another log.
    """

    __slots__ = (
        "_early", "_entries", "_fresh", "_ids", "_keyed", "buffer", "first", "format", "moved", "number", "open",
        "path", "records", "routes", "schemas", "size", "synced", "taken", "written",
    )

    def __init__(self, folder: Path, number: int) -> None:
        self.number = number
        self.path = folder / segment_name(number)
        self._keyed = KeyedFormat(os.urandom(KEY_BYTES))
        self.format: EntryFormat = self._keyed
        self.buffer = bytearray(self._keyed.head)
        self.size = len(self.buffer)
        self.written = 0
        self.first = self.size
        self.records = 0
        self.taken = 0
        self.open = 0
        self.moved = False
        self.routes: dict[int, Route] = {}
        self.schemas: dict[int, RecordSchema] = {}
        self.synced = 0
        self._fresh: list[tuple[int, DeliveryAccount]] = []
        self._early: set[int] = set()
        self._entries = 0
        self._ids: dict[tuple[object, ...], int] = {}

    def append(self, envelope: Envelope) -> int:
        """Append one record; where in the file its entry begins."""
        topic, key, value, schema, stamp, account, _ = envelope
        route = self._ids.get((topic, key, schema, account))
        if route is None:
            route = self._new_route(Route(topic, key, schema, account))
        start = self.size
        self._add(self._keyed.packed_record(self._entries, route, stamp, value))
        self.records += 1
        self.open += 1
        if account is not None:
            self._fresh.append((start, account))
        return start

    def done(self, start: int, account: DeliveryAccount | None) -> None:
        """The record at ``start`` is durable elsewhere."""
        self.open -= 1
        if account is None:
            return
        if start < self.synced:
            account.spooled -= 1
        else:
            self._early.add(start)

    def wrote(self, count: int) -> None:
        """So many bytes of the buffer's front are in the file."""
        del self.buffer[:count]
        self.written += count

    def forced(self) -> None:
        """What is written is on the disk now: only from here on a record counts as spooled in its account."""
        if self.synced == self.written:
            return
        self.synced = self.written
        later = []
        for start, account in self._fresh:
            if start >= self.synced:
                later.append((start, account))
            elif start in self._early:
                self._early.discard(start)
            else:
                account.spooled += 1
        self._fresh = later

    def seal(self) -> None:
        """Nothing is appended any more."""
        self._ids.clear()

    def envelope(self, entry: Entry) -> Envelope | None:
        """The envelope of a record's entry; None where its route was lost."""
        route = self.routes.get(entry.route)
        if route is None:
            return None
        return Envelope(route.topic, route.key, entry.value, route.schema, entry.stamp, route.account)

    def unwritten(self) -> list[DeliveryAccount]:
        """The accounts of its records that are neither acknowledged nor in the file, each as often as it has such."""
        return [one for start, one in self._fresh if start >= self.written and start not in self._early]

    def learn(self, entry: Entry, account: Callable[[str, str], DeliveryAccount]) -> bool:
        """Take a schema or a route from a file that an earlier process wrote; ``account`` gives its account. False
        where it is none that this process would have written: it is left out, and with it its records.
        """
        if entry.kind == SCHEMA:
            return stored_schema(entry.text, self.schemas)
        found = stored_route(entry.text, self.schemas) if entry.kind == ROUTE else None
        if found is None:
            return False
        if found.id not in self.routes:
            owner = account(found.stream, found.symbol)
            self.routes[found.id] = Route(found.topic, found.key, found.schema, owner)
        return True

    def _new_route(self, route: Route) -> int:
        account, number = route.account, len(self.routes)
        schema = None if route.schema is None else self._schema_id(route.schema)
        stream, symbol = ("-", "-") if account is None else (account.stream, account.symbol)
        key = None if route.key is None else route.key.hex()
        text = {"id": number, "topic": route.topic, "key": key, "schema": schema, "stream": stream, "symbol": symbol}
        self._add_twice(ROUTE, text)
        self._ids[route] = number
        self.routes[number] = route
        return number

    def _schema_id(self, schema: RecordSchema) -> int:
        for number, known in self.schemas.items():
            if known is schema:
                return number
        number = len(self.schemas)
        self._add_twice(SCHEMA, {"id": number, "name": schema.name, "text": schema.text})
        self.schemas[number] = schema
        return number

    def _add_twice(self, kind: int, text: object) -> None:
        for _ in range(2):
            self._add(self._keyed.packed_text(self._entries, kind, text))

    def _add(self, data: bytes) -> None:
        self.buffer += data
        self.size += len(data)
        self._entries += 1
