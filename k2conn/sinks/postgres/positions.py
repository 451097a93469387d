"""Positions in a table, stored with the rows: see `k2conn.sinks.positions`."""

from __future__ import annotations

from collections.abc import Sequence

from k2conn.envelope import Envelope
from k2conn.errors import SinkError
from k2conn.sinks.positions import SourcePartition, positions_of
from k2conn.sinks.postgres.connection import Connection
from k2conn.sinks.postgres.tables import quoted

TABLE = "source_positions"


class StoredPositions:
    """The positions of one consumer group."""

    def __init__(self, schema: str, group: str) -> None:
        self._table = f"{quoted(schema)}.{TABLE}"
        self._group = group

    async def read(self, connection: Connection) -> dict[SourcePartition, int]:
        """How far the tables are: the furthest of those that a partition's records go to."""
        if not await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", self._table):
            raise SinkError(f"there is no table {self._table}: k2conn db migrate makes it")
        rows = await connection.fetch(
            f"SELECT topic, partition, max(next_offset) AS next_offset FROM {self._table} WHERE consumer_group = $1 "
            "GROUP BY topic, partition", self._group,
        )
        return {SourcePartition(row["topic"], row["partition"]): row["next_offset"] for row in rows}

    async def store(self, connection: Connection, record: str, batch: Sequence[Envelope]) -> None:
        """Stores where a batch ends, in the transaction that is open. In order, so that two writers never wait for each
        other in a circle.
        """
        found = sorted(positions_of(batch).items())
        if not found:
            return
        await connection.execute(
            f"INSERT INTO {self._table} AS kept (consumer_group, topic, partition, record, next_offset) "
            "SELECT $1, topic, partition, $2, next_offset "
            "FROM unnest($3::text[], $4::integer[], $5::bigint[]) AS t (topic, partition, next_offset) "
            "ON CONFLICT (consumer_group, topic, partition, record) DO UPDATE SET "
            "next_offset = greatest(kept.next_offset, excluded.next_offset), updated_at = clock_timestamp()",
            self._group, record, [one.topic for one, _ in found], [one.number for one, _ in found],
            [offset for _, offset in found],
        )
