"""What pyiceberg has no public name for. Tried with 0.12.0.

Compaction replaces some files by others, whole; the public `overwrite` takes a condition on rows instead, and then
reads and writes more than it must.
"""

from __future__ import annotations

from typing import Any

VERSIONS = ">=0.12,<0.13"


def written_files(table: Any, rows: Any) -> list[Any]:
    """Writes an Arrow table as data files of an Iceberg table, not yet a part of it."""
    from pyiceberg.io.pyarrow import _dataframe_to_data_files

    return list(_dataframe_to_data_files(table_metadata=table.metadata, df=rows, io=table.io))


def rows_of(table: Any, tasks: Any) -> Any:
    """The rows of some files of a table, as an Arrow table, without those that are deleted."""
    from pyiceberg.expressions import AlwaysTrue
    from pyiceberg.io.pyarrow import ArrowScan

    return ArrowScan(table.metadata, table.io, table.schema(), AlwaysTrue()).to_table(tasks)
