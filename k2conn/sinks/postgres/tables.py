"""Tables: what the table of a record type looks like, how it is made, and in what an existing one differs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from k2conn.avro import RecordSchema, SchemaField
from k2conn.errors import SinkError
from k2conn.records import RecordType, record_revisions
from k2conn.sinks.postgres.connection import Connection

TYPES = {
    "string": "text", "enum": "text", "bytes": "bytea", "boolean": "boolean", "int": "integer", "long": "bigint",
    "timestamp-micros": "timestamp with time zone", "timestamp-millis": "timestamp with time zone", "date": "date",
    "decimal": "numeric", "array<string>": "text[]", "map<string>": "jsonb",
}
"""A kind of field -> the column's type, as PostgreSQL spells it. Decimals have no bound of their own here: the schema
has one, and the same table takes both sizes."""
_NUMERIC = re.compile(r"numeric\((\d+),(-?\d+)\)")


@dataclass(frozen=True)
class Table:
    """The table of one record type. ``hyper``: it is TimescaleDB's, whose keys must hold the time."""

    schema_name: str
    name: str
    record: RecordType
    hyper: bool = False

    @property
    def fields(self) -> tuple[SchemaField, ...]:
        """The columns, in order."""
        return self.record.schema.fields

    @property
    def replaces(self) -> bool:
        """Whether a later record takes the place of an earlier one of the same key."""
        return bool(self.record.profile.key)

    @cached_property
    def key(self) -> tuple[str, ...]:
        """What a row is known by."""
        own = self.record.profile.key
        if not own:
            return ("message_id", self.time) if self.hyper else ("message_id",)
        names = {field.name for field in self.fields}
        return tuple(name for name in ("exchange", "symbol", *own) if name in names)

    @property
    def time(self) -> str:
        """The column that its rows are spread by."""
        return self.record.profile.begin or self.record.profile.time

    @cached_property
    def values(self) -> tuple[str, ...]:
        """The columns whose change is a change: what the venue says, but for when and in which place it said it."""
        profile = self.record.profile
        apart = {*self.key, *profile.engine, profile.time, profile.sequence, profile.id}
        return tuple(field.name for field in self.fields if field.name not in apart)

    @property
    def full_name(self) -> str:
        """As it stands in SQL."""
        return f"{quoted(self.schema_name)}.{quoted(self.name)}"

    @property
    def stage(self) -> str:
        """The temporary table that a batch is copied into: each revision has its own."""
        return f"k2_stage_{self.name}" + (f"_{self.record.revision}" if self.record.revision > 1 else "")

    def of(self, schema: RecordSchema) -> Table | None:
        """The table as records of that schema see it: those of an earlier revision go into its first columns. None
        where they are of no revision: an earlier process may have left others.
        """
        fitting = (one for one in record_revisions(self.record.name) if _alike(one.schema.fields, schema.fields))
        record = next(fitting, None)
        return None if record is None else replace(self, record=record)

    # --- SQL

    def create(self) -> str:
        """Makes the table, if there is none."""
        columns = [f"{quoted(one.name)} {column_type(one)}{'' if one.nullable else ' NOT NULL'}" for one in self.fields]
        columns.append(f"PRIMARY KEY ({listed(self.key)})")
        return f"CREATE TABLE IF NOT EXISTS {self.full_name} (\n  " + ",\n  ".join(columns) + "\n)"

    def grow(self) -> str:
        """Adds the columns that later revisions have, and lets those be null that may be now. Nothing is rewritten."""
        first = {one.name: one for one in record_revisions(self.record.name)[0].schema.fields}
        changes = [f"ADD COLUMN IF NOT EXISTS {quoted(one.name)} {column_type(one)}" for one in self.fields
                   if one.name not in first]
        changes += [f"ALTER COLUMN {quoted(one.name)} DROP NOT NULL" for one in self.fields
                    if one.name in first and one.nullable and not first[one.name].nullable]
        return f"ALTER TABLE {self.full_name} {', '.join(changes)}" if changes else ""

    def index(self) -> str:
        """Makes the index by which a symbol's rows of a time are found; empty where the key does that."""
        if self.replaces:
            return ""
        name = quoted(f"{self.name}_symbol_time")
        return f"CREATE INDEX IF NOT EXISTS {name} ON {self.full_name} ({listed(('symbol', self.time))})"

    def create_stage(self) -> str:
        """Makes the temporary table, if this session has none."""
        columns = ", ".join(f"{quoted(field.name)} {column_type(field)}" for field in self.fields)
        return f"CREATE TEMPORARY TABLE IF NOT EXISTS {quoted(self.stage)} ({columns}) ON COMMIT DELETE ROWS"

    def merge(self) -> str:
        """From the temporary table into the table. In the order of the key, so that two writers wait for each other
        and never in a circle.
        """
        names, key = listed(field.name for field in self.fields), listed(self.key)
        if not self.replaces:
            return (f"INSERT INTO {self.full_name} ({names}) SELECT {names} FROM pg_temp.{quoted(self.stage)} "
                    f"ORDER BY {key} ON CONFLICT ({key}) DO NOTHING")
        closed = self.record.profile.closed
        last = f"{quoted(closed)} DESC, ctid DESC" if closed else "ctid DESC"  # ctid: the later one of a batch
        new, old = (", ".join(f"{of}.{quoted(name)}" for name in self.values) for of in ("excluded", "kept"))
        sets = ", ".join(f"{quoted(one.name)} = excluded.{quoted(one.name)}" for one in self.fields
                         if one.name not in self.key)
        guard = f" AND (excluded.{quoted(closed)} OR NOT kept.{quoted(closed)})" if closed else ""
        return (f"INSERT INTO {self.full_name} AS kept ({names}) SELECT DISTINCT ON ({key}) {names} "
                f"FROM pg_temp.{quoted(self.stage)} ORDER BY {key}, {last} ON CONFLICT ({key}) DO UPDATE SET {sets} "
                f"WHERE ({new}) IS DISTINCT FROM ({old}){guard}")


def _alike(own: Sequence[SchemaField], given: Sequence[SchemaField]) -> bool:
    """Whether records with the given fields have the columns of the others."""
    if [one.name for one in own] != [one.name for one in given]:
        return False
    return all(column_type(mine) == column_type(one) and _within(one, mine) and (mine.nullable or not one.nullable)
               for mine, one in zip(own, given, strict=True))


def _within(one: SchemaField, own: SchemaField) -> bool:
    """Whether a decimal of the one field fits the other."""
    return one.scale <= own.scale and one.precision - one.scale <= own.precision - own.scale


def column_type(field: SchemaField) -> str:
    """The type of a field's column."""
    return "uuid" if field.name == "message_id" else TYPES[field.kind]


def quoted(name: str) -> str:
    """A name as it stands in SQL."""
    return '"' + name.replace('"', '""') + '"'


def listed(names: object) -> str:
    """Names, comma-separated."""
    return ", ".join(quoted(name) for name in names)  # type: ignore[attr-defined]


async def fits(connection: Connection, table: Table) -> bool:
    """Whether a table that is there is one that these records go into."""
    try:
        await check(connection, table)
    except SinkError:
        return False
    return True


async def can_grow(connection: Connection, table: Table) -> bool:
    """Whether a table that is there is one of an earlier revision, whole: then `grow` makes it this one's."""
    if not table.grow() or await fits(connection, table):
        return False
    for earlier in record_revisions(table.record.name)[: table.record.revision - 1]:
        if await fits(connection, replace(table, record=earlier)):
            return True
    return False


async def check(connection: Connection, table: Table) -> bool:
    """SinkError, with every difference, where the table is none that these records go into. Whether they can be copied
    straight into it: its columns read the very bytes that ours do.
    """
    oid = await connection.fetchval("SELECT to_regclass($1)::oid", table.full_name)
    if oid is None:
        raise SinkError(f"there is no table {table.full_name}: k2conn db migrate makes it")
    columns = {row["attname"]: row for row in await connection.fetch(_COLUMNS, oid)}
    problems = [text for field in table.fields if (text := _differs(field, columns.get(field.name)))]
    own = {field.name for field in table.fields}
    problems += [f"{name} must not be null, has no default and is no field of a {table.record.name}"
                 for name, row in columns.items() if name not in own and row["attnotnull"] and not row["filled"]]
    keys = [set(row["names"]) for row in await connection.fetch(_UNIQUE, oid)]
    if set(table.key) not in keys:
        problems.append(f"there is no unique index on ({', '.join(table.key)})")
    if problems:
        hint = " (k2conn db migrate adds columns that are new)" if table.record.revision > 1 else ""
        raise SinkError(f"the table {table.full_name} is of another shape: {'; '.join(problems)}{hint}")
    as_text = any(column_type(field) == "uuid" and columns[field.name]["type"] != "uuid" for field in table.fields)
    return not as_text and not table.hyper


def _differs(field: SchemaField, column: Connection) -> str:
    """In what a column differs from the field that goes into it; nothing where it takes it whole."""
    wanted = column_type(field)
    if column is None:
        null = "" if field.nullable else " NOT NULL"
        return f"{field.name} is missing ({wanted}{null})"
    found = column["type"]
    if column["attgenerated"]:
        return f"{field.name} is generated"
    if not _takes(field, wanted, found):
        size = f"({field.precision},{field.scale}) or larger" if field.kind == "decimal" else ""
        return f"{field.name} is {found}, not {wanted}{size}"
    if field.nullable and column["attnotnull"]:
        return f"{field.name} must not be null, but a record may have none"
    return ""


def _takes(field: SchemaField, wanted: str, found: str) -> bool:
    if found in (wanted, *({"text": ("character varying",), "uuid": ("text",)}.get(wanted, ()))):
        return True
    size = _NUMERIC.fullmatch(found)
    if wanted != "numeric" or size is None:
        return False
    precision, scale = int(size[1]), int(size[2])
    return scale >= field.scale and precision - scale >= field.precision - field.scale


_COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod) AS type, attnotnull, attgenerated::text <> '' AS attgenerated,
       atthasdef OR attidentity::text <> '' AS filled
FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped
"""
_UNIQUE = """
SELECT (SELECT array_agg(attname::text) FROM pg_attribute WHERE attrelid = indrelid AND attnum = ANY (indkey)) AS names
FROM pg_index WHERE indrelid = $1 AND indisunique AND indimmediate AND indisvalid AND indpred IS NULL
AND indexprs IS NULL
"""
