"""The lake: record types as Iceberg tables, written in batches, read by SQL.

- `settings`: where it is (``K2_LAKE_*``); `catalog`: the catalog behind it, its errors as ours
- `tables`: what the table of a record type looks like; `rows`: from Avro bodies to columns
- `writer`: appends batches, each record once, with Kafka's offsets where there are some
- `reader`: the same tables by SQL, or a record type by symbol, side, currency and time, newest first
- `maintenance`: small files made large, old snapshots and what nobody refers to removed

pyiceberg, pyarrow and DuckDB are imported nowhere else. It all blocks: callers with an event loop use a thread.
"""
