"""Which rows of a batch a table has already: by their id, within the times of the batch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from k2conn.lake.catalog import IcebergTable
from k2conn.lake.rows import ArrowTable
from k2conn.lake.tables import PARTITION, Shape

ID = "message_id"
APART = 600_000_000
"""Microseconds between two times of a batch from which what lies between is not looked at."""
RANGES = 20
EXCHANGES = 20


def without_known(table: IcebergTable, shape: Shape, rows: ArrowTable) -> ArrowTable:
    """The rows that are neither in the table nor twice among themselves. A record is known by its id; a state (a
    candle) by all of its columns, for the same candle may have another state tomorrow.
    """
    import pyarrow.compute as pc  # type: ignore[import-untyped]

    rows = _once(shape, rows)
    if not len(rows) or table.current_snapshot() is None:
        return rows
    columns = tuple(field.name for field in shape.fields) if shape.key else (ID,)
    scan = table.scan(row_filter=_where(shape, rows), selected_fields=columns)
    if shape.key:
        there = {_whole(row) for row in _rows_of(scan, rows[ID]).to_pylist()}
        return rows.filter([_whole(row) not in there for row in rows.to_pylist()]) if there else rows
    there = _rows_of(scan, rows[ID])[ID]
    return rows.filter(pc.invert(pc.is_in(rows[ID], value_set=there))) if len(there) else rows


def _rows_of(scan: Any, ids: Any) -> ArrowTable:
    """The rows of a scan that have one of these ids; never more of the table in memory than a few of its batches."""
    import pyarrow as pa
    import pyarrow.compute as pc

    reader = scan.to_arrow_batch_reader()
    wanted = ids.combine_chunks()
    found = [part for batch in reader
             if len(part := batch.filter(pc.is_in(batch[ID], value_set=wanted.cast(batch[ID].type))))]
    return pa.Table.from_batches(found, schema=reader.schema)


def _once(shape: Shape, rows: ArrowTable) -> ArrowTable:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pc.count_distinct(rows[ID]).as_py() == len(rows):
        return rows
    if shape.key:
        seen: set[str] = set()
        new = []
        for one in map(_whole, rows.to_pylist()):
            new.append(one not in seen)
            seen.add(one)
        return rows.filter(new)
    numbered = pa.table({ID: rows[ID], "at": pa.array(range(len(rows)), pa.int64())})
    first = numbered.group_by(ID).aggregate([("at", "min")])["at_min"]
    return rows.take(first.combine_chunks().sort())


def _whole(row: dict[str, Any]) -> str:
    return repr([sorted(one) if isinstance(one, list) and one and isinstance(one[0], tuple) else one
                 for one in row.values()])


def _where(shape: Shape, rows: ArrowTable) -> Any:
    """The part of the table in which rows of this batch can be."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyiceberg import expressions

    its: Any = expressions  # its types are those of the bound expressions, which nobody writes
    times = pc.unique(rows[shape.time].cast(pa.int64())).sort().to_pylist()
    spans = [its.And(its.GreaterThanOrEqual(shape.time, first), its.LessThanOrEqual(shape.time, last))
             for first, last in _spans(times)]
    found: Any = spans[0] if len(spans) == 1 else its.Or(*spans)
    if shape.partitioned:
        exchanges = pc.unique(rows[PARTITION]).to_pylist()
        if len(exchanges) <= EXCHANGES:
            found = its.And(its.In(PARTITION, exchanges), found)
    return found


def _spans(times: Sequence[int]) -> list[tuple[int, int]]:
    """The spans in which these times (sorted) lie: at most RANGES, cut where most lies between."""
    gaps = [(later - earlier, at) for at, (earlier, later) in enumerate(pairwise(times), 1)
            if later - earlier > APART]
    cuts = sorted(at for _, at in sorted(gaps, reverse=True)[: RANGES - 1])
    return [(times[first], times[end - 1]) for first, end in zip([0, *cuts], [*cuts, len(times)], strict=True)]
