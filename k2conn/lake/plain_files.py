"""Files that the file sink has written, and Parquet files, as tables for SQL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from k2conn.avro import SchemaField
from k2conn.avro.reading import read_container
from k2conn.errors import SettingsError
from k2conn.lake.engine import SqlEngine, quoted_text
from k2conn.lake.tables import Shape

CHUNK = 50_000
"""Records that are Python's at a time."""


def found_files(places: Iterable[Path]) -> list[Path]:
    """Avro and Parquet files, in folders and below. SettingsError where there is none."""
    found: list[Path] = []
    for place in places:
        if not place.exists():
            raise SettingsError(f"{place}: there is no such file or folder")
        inside = sorted(one for one in place.rglob("*") if one.suffix in (".avro", ".parquet"))
        some = inside if place.is_dir() else [place]
        if not some:
            raise SettingsError(f"{place}: there is no .avro or .parquet file in it")
        found += some
    return found


def files_as_tables(engine: SqlEngine, files: Iterable[Path], shapes: Iterable[Shape]) -> dict[str, Shape]:
    """Makes the files known to an engine, each by the record type it holds; those types. SettingsError for a file that
    holds none. Avro files are read whole, into memory.
    """
    known = {frozenset(field.name for field in fields): shape for shape in shapes
             for fields in (shape.fields, *shape.earlier)}
    parquet: dict[str, list[str]] = {}
    avro: dict[str, list[Any]] = {}
    found: dict[str, Shape] = {}
    for file in files:
        if file.suffix == ".parquet":
            shape = _shape(file, _parquet_names(file), known)
            parquet.setdefault(shape.kind, []).append(str(file.absolute()))
            found[shape.kind] = shape
        else:
            for shape, rows in _avro(file, known):
                avro.setdefault(shape.kind, []).append(rows)
                found[shape.kind] = shape
    for kind in found:
        sources = _avro_source(engine, kind, avro.get(kind, []))
        if kind in parquet:
            sources.append(f"SELECT * FROM read_parquet([{', '.join(map(quoted_text, parquet[kind]))}])")
        engine.view(kind, " UNION ALL BY NAME ".join(sources))
    return found


def _avro_source(engine: SqlEngine, kind: str, parts: list[Any]) -> list[str]:
    import pyarrow as pa  # type: ignore[import-untyped]

    if not parts:
        return []
    engine.register(f"avro_{kind}", pa.concat_tables(parts))
    return [f"SELECT * FROM avro_{kind}"]


def _parquet_names(file: Path) -> frozenset[str]:
    from pyarrow import ArrowException, parquet

    try:
        return frozenset(parquet.read_schema(file).names)
    except (OSError, ArrowException) as error:
        raise SettingsError(f"{file}: {error}") from None


def _shape(file: Path, names: frozenset[str], known: dict[frozenset[str], Shape]) -> Shape:
    found = next((shape for own, shape in known.items() if own <= names), None)
    if found is None:
        raise SettingsError(f"{file}: its columns are those of no record type")
    return found


def _avro(file: Path, known: dict[frozenset[str], Shape]) -> Iterator[tuple[Shape, Any]]:
    import pyarrow as pa

    try:
        records = read_container(file)
        shape, chunk = None, []
        for record in records:
            if shape is None:
                shape = _shape(file, frozenset(record), known)
            chunk.append(record)
            if len(chunk) == CHUNK:
                yield shape, _columns(pa, shape, chunk)
                chunk = []
    except ValueError as error:
        raise SettingsError(str(error)) from None
    if shape is not None and chunk:
        yield shape, _columns(pa, shape, chunk)


def _columns(pa: Any, shape: Shape, records: list[dict[str, Any]]) -> Any:
    return pa.table({
        field.name: _column(pa, field, [record.get(field.name) for record in records]) for field in shape.fields
    })


def _column(pa: Any, field: SchemaField, values: list[Any]) -> Any:
    if field.kind == "decimal":
        return pa.array([None if one is None else Decimal(one) for one in values],
                        pa.decimal128(field.precision, field.scale))
    if field.kind == "map<string>":
        return pa.array([None if one is None else list(one.items()) for one in values],
                        pa.map_(pa.string(), pa.string()))
    if field.kind == "date":
        return pa.array(values, pa.int32()).view(pa.date32())
    if field.kind in ("timestamp-micros", "timestamp-millis"):
        unit = 1 if field.kind == "timestamp-micros" else 1000
        return pa.array([None if one is None else one * unit for one in values], pa.int64()).view(
            pa.timestamp("us", tz="UTC")
        )
    kinds = {"array<string>": pa.list_(pa.string()), "bytes": pa.binary(), "boolean": pa.bool_(), "int": pa.int32(),
             "long": pa.int64()}
    return pa.array(values, kinds.get(field.kind, pa.string()))
