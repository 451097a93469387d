"""The QuestDB sink, whole: one table a record type, exact decimals, each record once by the table's own keys.

Records go as lines (ILP) over HTTP, a request a batch, which QuestDB takes whole or not at all. A row that comes again
has the same keys, and takes its own place.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import UUID

from k2conn import exactjson
from k2conn.avro import RecordSchema, SchemaField
from k2conn.envelope import Envelope
from k2conn.errors import SettingsError, SinkError, Unreachable
from k2conn.net.http import Call, HttpAnswer, NoAnswer, exchange
from k2conn.records import RecordType, load_record, record_revisions
from k2conn.schemes import HTTP, in_the_clear
from k2conn.sinks import SinkKind
from k2conn.sinks.batching import BatchingSink, BatchRefused
from k2conn.sinks.lanes import BatchRule
from k2conn.sinks.settings import not_positive, refuse
from k2conn.variable_definitions import Variable
from k2conn.variable_files import latest

DEAD = "dead_letters"
OPEN_WITHIN = 10.0
"""Seconds for the first answer."""
SYMBOLS = ("symbol", "exchange", "asset_class", "currency", "side", "interval")
"""Texts of few values: QuestDB keeps each once."""
TYPES = {
    "string": "VARCHAR", "enum": "SYMBOL", "boolean": "BOOLEAN", "int": "INT", "long": "LONG",
    "timestamp-micros": "TIMESTAMP", "timestamp-millis": "TIMESTAMP", "date": "TIMESTAMP", "array<string>": "VARCHAR",
    "map<string>": "VARCHAR",
}
MICROS = {"timestamp-micros": 1, "timestamp-millis": 1000, "date": 86_400_000_000}
_DEAD_TABLE = (
    f'CREATE TABLE IF NOT EXISTS "{DEAD}" (timestamp TIMESTAMP, id UUID, topic SYMBOL, document VARCHAR) '
    "TIMESTAMP(timestamp) PARTITION BY DAY WAL DEDUP UPSERT KEYS(timestamp, id)"
)

log = logging.getLogger("k2conn.sinks.questdb")


@dataclass(frozen=True, kw_only=True)
class QuestDbSettings:
    """Where QuestDB's HTTP port is, and who we are there."""

    address: str = "http://localhost:9000"
    user: str = ""
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    table: str = "{plural}_v2"
    batch_rows: int = 5000
    batch_ms: int = 500
    timeout_ms: int = 30_000
    retries: int = 3

    def __post_init__(self) -> None:
        """Refuse what cannot be, all at once."""
        problems = not_positive(self, "batch_rows", "batch_ms", "timeout_ms")
        parts = urlsplit(self.address)
        if HTTP.get(parts.scheme) is None or not parts.hostname or parts.username or parts.path.strip("/"):
            problems.append("address= is http://host:port, or https://")
        elif (self.password or self.token) and in_the_clear(parts, HTTP.get):
            problems.append("address= is in the clear: a secret goes there, say https://")
        if bool(self.user) != bool(self.password):
            problems.append("user= and password= go together")
        if "{plural}" not in self.table and "{record}" not in self.table:
            problems.append(f"table={self.table!r} holds {{plural}} or {{record}}")
        refuse(problems)


class QuestDbWriter:
    """See `BatchWriter` for the contract."""

    name = "questdb"

    def __init__(self, settings: QuestDbSettings) -> None:
        self._settings = settings
        self._lines: dict[RecordSchema, Callable[[bytes], str]] = {}

    async def open(self) -> None:
        """Reach the server."""
        version = await self._rows("SELECT build()", OPEN_WITHIN)
        log.info("questdb %s: %s", self._settings.address, version[0][0])

    async def prepare(self, schema: RecordSchema | None) -> None:
        """Make the table where it is missing; refuse one of another shape."""
        if schema is None:
            await self._rows(_DEAD_TABLE)
        else:
            await self._prepared(schema)

    def lane(self, schema: RecordSchema | None) -> str:
        """A table each."""
        return DEAD if schema is None else schema.name

    def rule(self, schema: RecordSchema | None) -> BatchRule:
        """All go in large batches."""
        rows = self._settings.batch_rows
        return BatchRule(rows, self._settings.batch_ms / 1000, max(rows, 10_000))

    async def write(self, lane: str, batch: Sequence[Envelope]) -> None:
        """One request."""
        for schema in {envelope.schema for envelope in batch} - {None, *self._lines}:
            assert schema is not None
            await self._prepared(schema)
        text = await asyncio.to_thread(self._text, batch)
        answer = await self._call("POST", "/write?precision=u", text.encode("utf-8", "surrogateescape"))
        if answer.status == 400:
            raise BatchRefused(_said(answer))
        self._check(answer)

    async def close(self) -> None:
        """Nothing is kept open."""

    # --- tables

    async def _prepared(self, schema: RecordSchema) -> None:
        try:
            record = load_record(schema.name)
        except SettingsError as error:
            raise SinkError(str(error)) from None
        name = self._settings.table.format(plural=record.profile.plural, record=record.name)
        await self._rows(_table(name, record))
        found = await self._columns(name)
        first = {one.name for one in record_revisions(record.name)[0].schema.fields}
        new = [one for one in record.schema.fields if one.name not in first and one.name not in found]
        for one in new:  # a table of an earlier revision
            await self._rows(f'ALTER TABLE "{name}" ADD COLUMN IF NOT EXISTS "{one.name}" {_type(one)}')
        found = await self._columns(name) if new else found
        problems = [f"{one.name} is {found[one.name][0] if one.name in found else 'missing'}, not {_type(one)}"
                    for one in record.schema.fields if found.get(one.name, ("",))[0] != _type(one)]
        keys = {column for column, (_, key) in found.items() if key}
        if keys != set(_keys(record)):
            problems.append(f"its keys are {', '.join(sorted(keys)) or 'none'}, not {', '.join(_keys(record))}")
        if problems:
            raise SinkError(f"the table {name} is of another shape: {'; '.join(problems)}")
        self._lines[schema] = _liner(name, record, schema)

    async def _columns(self, name: str) -> dict[str, tuple[str, bool]]:
        """The columns of a table: the type of each, and whether it is one of the keys."""
        return {row[0]: (row[1], row[8]) for row in await self._rows(f'SHOW COLUMNS FROM "{name}"')}

    # --- lines

    def _text(self, batch: Sequence[Envelope]) -> str:
        return "".join([_dead(one) if one.schema is None else self._lines[one.schema](one.value) for one in batch])

    # --- HTTP

    async def _rows(self, sql: str, within: float | None = None) -> list[Any]:
        answer = await self._call("GET", f"/exec?query={quote(sql)}", None, within)
        self._check(answer)
        return exactjson.decode(answer.body).get("dataset", [])  # type: ignore[no-any-return]

    def _check(self, answer: HttpAnswer) -> None:
        if 400 <= answer.status < 500:
            raise SinkError(f"questdb {self._settings.address}: {_said(answer)}")
        if answer.status >= 300:
            raise Unreachable(f"questdb {self._settings.address}: {_said(answer)}")

    async def _call(self, method: str, path: str, body: bytes | None, within: float | None = None) -> HttpAnswer:
        given, headers = self._settings, {}
        if token := latest(given.token):
            headers["Authorization"] = f"Bearer {token}"
        elif password := latest(given.password):
            headers["Authorization"] = f"Basic {b64encode(f'{given.user}:{password}'.encode()).decode()}"
        request = Call(method, given.address.rstrip("/") + path, headers, body, within or given.timeout_ms / 1000)
        try:
            return await asyncio.to_thread(exchange, request)
        except NoAnswer as error:
            raise Unreachable(f"questdb {given.address}: {error.reason}") from None


def _said(answer: HttpAnswer) -> str:
    try:
        found = exactjson.decode(answer.body)
        return str(found.get("message") or found.get("error")).replace("\n", " ")
    except (exactjson.JsonError, AttributeError):
        return f"HTTP {answer.status}"


def _type(one: SchemaField) -> str:
    if one.name == "message_id":
        return "UUID"
    if one.kind == "decimal":
        return f"DECIMAL({one.precision},{one.scale})"
    return "SYMBOL" if one.name in SYMBOLS else TYPES[one.kind]


def _time(record: RecordType) -> str:
    return record.profile.begin or record.profile.time


def _keys(record: RecordType) -> tuple[str, ...]:
    names = {one.name for one in record.schema.fields}
    own = ("exchange", "symbol", *record.profile.key) if record.profile.key else ("message_id",)
    return tuple(dict.fromkeys((_time(record), *(name for name in own if name in names))))


def _table(name: str, record: RecordType) -> str:
    columns = ", ".join(f'"{one.name}" {_type(one)}' for one in record.schema.fields)
    keys = ", ".join(f'"{key}"' for key in _keys(record))
    return (f'CREATE TABLE IF NOT EXISTS "{name}" ({columns}) TIMESTAMP("{_time(record)}") PARTITION BY DAY WAL '
            f"DEDUP UPSERT KEYS({keys})")


_NAME = str.maketrans({letter: f"\\{letter}" for letter in " ,=\n\r\\"})
_TEXT = str.maketrans({letter: f"\\{letter}" for letter in '"\n\r\\'})


def _liner(name: str, record: RecordType, schema: RecordSchema) -> Callable[[bytes], str]:
    """From a record's body to its line: symbols first, the time last."""
    time = _time(record)
    unit = MICROS[record.field(time).kind]
    tags = [one.name for one in schema.fields if _type(one) == "SYMBOL"]
    values = [(one.name, _spelling(one)) for one in schema.fields if one.name not in tags and one.name != time]

    def line(body: bytes) -> str:
        found = schema.decode(body)
        head = "".join([f",{tag}={found[tag].translate(_NAME)}" for tag in tags if found[tag]])
        rest = ",".join([f"{key}={spell(found[key])}" for key, spell in values if found[key] is not None])
        return f"{name}{head} {rest} {found[time] * unit}\n"

    return line


def _spelling(one: SchemaField) -> Callable[[Any], str]:
    if one.kind == "decimal":
        return _decimal
    if one.kind in MICROS:
        unit = MICROS[one.kind]
        return lambda value: f"{value * unit}t"
    if one.kind in ("int", "long"):
        return lambda value: f"{value}i"
    if one.kind == "boolean":
        return lambda value: "t" if value else "f"
    if one.kind in ("array<string>", "map<string>"):
        return lambda value: _text(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    return _text


def _decimal(value: Decimal) -> str:
    return f"{value:f}d"


def _text(value: str) -> str:
    return f'"{value.translate(_TEXT)}"'


def _dead(one: Envelope) -> str:
    known = UUID(bytes=hashlib.sha256(b"\0".join((one.topic.encode(), one.key or b"", one.value))).digest()[:16])
    document = _text(one.value.decode("utf-8", "replace"))
    return f'{DEAD},topic={one.topic.translate(_NAME)} id="{known}",document={document} {one.timestamp_ms * 1000}\n'


def _make(settings: Any, settle: Any, reject: Any) -> BatchingSink:
    given: QuestDbSettings = settings.options
    return BatchingSink(
        QuestDbWriter(given), settings, settle, reject, retries=given.retries, where=given.address
    )


VARIABLES = {
    "K2_QUESTDB_ADDRESS": Variable("address", "text", "Its HTTP port."),
    "K2_QUESTDB_USER": Variable("user", "text", "The login's name."),
    "K2_QUESTDB_PASSWORD": Variable("password", "secret", "The login's password."),
    "K2_QUESTDB_TOKEN": Variable("token", "secret", "A bearer token instead."),
    "K2_QUESTDB_TABLE": Variable("table", "text", "A record type's table, of {plural} (trades) or {record} (trade)."),
    "K2_QUESTDB_BATCH_ROWS": Variable("batch_rows", "int", "A batch goes with so many rows."),
    "K2_QUESTDB_BATCH_MS": Variable("batch_ms", "ms", "A batch goes after so long."),
    "K2_QUESTDB_TIMEOUT_MS": Variable("timeout_ms", "ms", "Of one batch."),
    "K2_QUESTDB_RETRIES": Variable("retries", "int", "Attempts after the first, before the spool takes what comes."),
}
SINK = SinkKind(
    "tables of QuestDB, each record once", _make, settings=QuestDbSettings, variables=VARIABLES, spoolable=True,
    database=True, where=lambda options: options.address,
)
