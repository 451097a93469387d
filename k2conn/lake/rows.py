"""Rows: the Avro bodies of records as Arrow's columns, without a value between that could be rounded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from k2conn import exactjson
from k2conn.avro import RecordSchema, SchemaField
from k2conn.envelope import Envelope
from k2conn.errors import K2Error
from k2conn.lake.catalog import IcebergTable
from k2conn.lake.columns import columns_of
from k2conn.lake.tables import Shape

ArrowTable = Any
"""pyarrow's."""
_DECIMAL_BYTES = 16
_MICROS = {"timestamp-micros": 1, "timestamp-millis": 1000}


class RowsRefused(K2Error):
    """A record is none that the table takes; nothing was written."""


class ColumnFormat:
    """From records of one schema to rows of one table. SinkError where the table is of another shape."""

    def __init__(self, shape: Shape, table: IcebergTable) -> None:
        from pyiceberg.io.pyarrow import schema_to_pyarrow

        self._shape = shape
        wanted = schema_to_pyarrow(table.schema(), include_field_ids=False)
        self.fields: Sequence[Any] = [wanted.field(field.name) for field in shape.fields]
        self._makers = [_maker(field, one.type) for field, one in zip(shape.fields, self.fields, strict=True)]

    def of_records(self, schema: RecordSchema, bodies: Sequence[bytes]) -> ArrowTable:
        """The rows of Avro bodies, sorted. RowsRefused where one is no record of the schema, or fits no row."""
        if not self.takes(schema):
            raise RowsRefused(f"the record was written with another schema than the table {self._shape.name} has")
        columns = columns_of(schema, [one.type for one in self.fields[: len(schema.fields)]], bodies)
        if columns is not None:
            return self._sorted(columns)
        try:
            records = schema.decode_bare(bodies)
        except ValueError as malformed:
            raise RowsRefused(str(malformed)) from None
        return self._table(records, {field.name: field for field in schema.fields})

    def of_dead_letters(self, letters: Sequence[Envelope], id_of: Callable[[Envelope], str]) -> ArrowTable:
        """The rows of dead letters."""
        return self._table([
            {"message_id": id_of(one), "topic": one.topic, "timestamp": one.timestamp_ms * 1000,
             "symbol": None if one.key is None else one.key.decode("utf-8", "replace"),
             "document": one.value.decode("utf-8", "replace")}
            for one in letters
        ], {field.name: field for field in self._shape.fields})

    def takes(self, schema: RecordSchema) -> bool:
        """Whether records of that schema have these columns, or the first of them (those of an earlier revision): an
        earlier process may have left others.
        """
        own, rest = self._shape.fields[: len(schema.fields)], self._shape.fields[len(schema.fields) :]
        if [one.name for one in schema.fields] != [one.name for one in own] or not all(one.nullable for one in rest):
            return False
        return all(_holds(mine, one) for one, mine in zip(schema.fields, own, strict=True))

    def _table(self, records: Sequence[Mapping[str, Any]], given: Mapping[str, SchemaField]) -> ArrowTable:
        import pyarrow as pa  # type: ignore[import-untyped]

        columns = []
        for target, make in zip(self.fields, self._makers, strict=True):
            name = target.name
            if name not in given:
                break
            try:
                columns.append(make([record[name] for record in records], given[name]))
            except (pa.ArrowException, ValueError, OverflowError, TypeError) as unfit:
                raise RowsRefused(f"{name}: {unfit}") from None
        return self._sorted(columns)

    def _sorted(self, columns: Sequence[Any]) -> ArrowTable:
        import pyarrow as pa

        count = len(columns[0]) if columns else 0
        later = [pa.nulls(count, one.type) for one in self.fields[len(columns) :]]
        made = pa.Table.from_arrays([*columns, *later], schema=pa.schema(self.fields))
        return made.sort_by([(name, "ascending") for name in self._shape.sorted_by])


def _holds(own: SchemaField, one: SchemaField) -> bool:
    """Whether the column of a field takes all that another one holds."""
    return (
        one.kind == own.kind and one.scale <= own.scale and one.precision - one.scale <= own.precision - own.scale
        and (own.nullable or not one.nullable)
    )


Maker = Callable[[list[Any], SchemaField], Any]


def _maker(own: SchemaField, target: Any) -> Maker:
    """Makes the column of a field, of the table's type; the other argument is the field of the records' schema."""
    import pyarrow as pa

    if own.kind == "decimal":
        return lambda values, given: _decimals(values, given, target)
    if own.kind in _MICROS:
        unit = _MICROS[own.kind]
        if unit == 1:
            return lambda values, given: pa.array(values, pa.int64()).view(target)
        return lambda values, given: pa.array(
            [None if one is None else one * unit for one in values], pa.int64()
        ).view(target)
    if own.kind == "date":
        return lambda values, given: pa.array(values, pa.int32()).view(target)
    if own.kind == "map<string>":
        if not pa.types.is_map(target):
            return lambda values, given: pa.array([None if one is None else _json(one) for one in values], target)
        return lambda values, given: pa.array([None if one is None else list(one.items()) for one in values], target)
    return lambda values, given: pa.array(values, target)


def _decimals(values: list[Any], given: SchemaField, target: Any) -> Any:
    """Decimals from the bytes of their unscaled numbers; never through a binary fraction, or a context that rounds."""
    import pyarrow as pa

    factor, bound = 10 ** (target.scale - given.scale), 10**target.precision
    numbers = [0 if one is None else int.from_bytes(one, "big", signed=True) * factor for one in values]
    if numbers and not (-bound < min(numbers) and max(numbers) < bound):
        raise ValueError(f"more than {target.precision} digits")
    data = b"".join([number.to_bytes(_DECIMAL_BYTES, "little", signed=True) for number in numbers])
    known = None
    if None in values:
        known = pa.array([one is not None for one in values], pa.bool_()).buffers()[1]
    return pa.Array.from_buffers(target, len(values), [known, pa.py_buffer(data)])


def _json(values: Mapping[str, str]) -> str:
    return exactjson.encode(values).decode()


def joined(parts: Sequence[ArrowTable]) -> ArrowTable:
    """Rows of one table as one."""
    import pyarrow as pa

    return parts[0] if len(parts) == 1 else pa.concat_tables(parts)
