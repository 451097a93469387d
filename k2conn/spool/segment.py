"""A segment: one append-only file of the spool, and what is known of it while it lasts."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from k2conn.avro import RecordSchema, load_schema
from k2conn.envelope import DeliveryAccount, Envelope
from k2conn.errors import SettingsError
from k2conn.spool.entries import MAGIC, ROUTE, SCHEMA, Entry, packed_record, packed_text

SUFFIX = ".spool"


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
    where reading begins, ``synced`` how much is forced to the disk.
    """

    __slots__ = (
        "_early", "_fresh", "_ids", "buffer", "first", "number", "open", "path", "records", "routes", "schemas", "size",
        "synced", "taken", "written",
    )

    def __init__(self, folder: Path, number: int) -> None:
        self.number = number
        self.path = folder / f"{number:012}{SUFFIX}"
        self.buffer = bytearray(MAGIC)
        self.size = len(MAGIC)
        self.written = 0
        self.first = len(MAGIC)
        self.records = 0
        self.taken = 0
        self.open = 0
        self.routes: dict[int, Route] = {}
        self.schemas: dict[int, RecordSchema] = {}
        self.synced = 0
        self._fresh: list[tuple[int, DeliveryAccount]] = []
        self._early: set[int] = set()
        self._ids: dict[tuple[object, ...], int] = {}

    def append(self, envelope: Envelope) -> int:
        """Append one record; where in the file its entry begins."""
        topic, key, value, schema, stamp, account, _ = envelope
        route = self._ids.get((topic, key, schema, account))
        if route is None:
            route = self._new_route(Route(topic, key, schema, account))
        start = self.size
        self._add(packed_record(route, stamp, value))
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

    def learn(self, entry: Entry, account: Callable[[str, str], DeliveryAccount]) -> None:
        """Take a schema or a route from a file that an earlier process wrote; ``account`` gives its account.

        A route whose schema was damaged is left out, and with it its records.
        """
        text = entry.text
        if entry.kind == SCHEMA:
            self.schemas[text["id"]] = _schema(text["name"], text["text"])
        elif entry.kind == ROUTE and text["schema"] in (None, *self.schemas):
            key = None if text["key"] is None else bytes.fromhex(text["key"])
            schema = None if text["schema"] is None else self.schemas[text["schema"]]
            self.routes[text["id"]] = Route(text["topic"], key, schema, account(text["stream"], text["symbol"]))

    def _new_route(self, route: Route) -> int:
        account, number = route.account, len(self.routes)
        schema = None if route.schema is None else self._schema_id(route.schema)
        stream, symbol = ("-", "-") if account is None else (account.stream, account.symbol)
        key = None if route.key is None else route.key.hex()
        text = {"id": number, "topic": route.topic, "key": key, "schema": schema, "stream": stream, "symbol": symbol}
        self._add(packed_text(ROUTE, text))
        self._ids[route] = number
        self.routes[number] = route
        return number

    def _schema_id(self, schema: RecordSchema) -> int:
        for number, known in self.schemas.items():
            if known is schema:
                return number
        number = len(self.schemas)
        self._add(packed_text(SCHEMA, {"id": number, "name": schema.name, "text": schema.text}))
        self.schemas[number] = schema
        return number

    def _add(self, data: bytes) -> None:
        self.buffer += data
        self.size += len(data)


@cache
def _schema(name: str, text: str) -> RecordSchema:
    """The schema a record was written with: ours where it still is the same, else as it was then."""
    try:
        ours = load_schema(name)
    except SettingsError:
        return RecordSchema(name, text)
    return ours if ours.text == text else RecordSchema(name, text)
