"""Appends batches to one table, each record once, as one snapshot each.

Two writers never both win: a commit stands on the snapshot whose rows were looked at, and where another one came first
it is refused by the catalog; then the table is read again, what the other wrote is left out, and the rest is tried
again. With Kafka's offsets, a batch is refused where somebody else has moved the same partitions meanwhile.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from k2conn.errors import K2Error, SinkError
from k2conn.lake.catalog import Catalog, IcebergTable, sorted_errors
from k2conn.lake.known import without_known
from k2conn.lake.rows import ArrowTable, ColumnFormat
from k2conn.lake.settings import LakeSettings
from k2conn.lake.tables import PROPERTIES, Shape, check, identifier, make_table

OFFSETS = "k2conn.offsets"
"""The member of a snapshot's summary that holds Kafka's offsets: JSON, topic -> partition -> the next offset."""
ATTEMPTS = 20
"""Commits of one batch that other writers may come before."""
_PAUSE = 0.05

Offsets = Mapping[tuple[str, int], int]
"""(topic, partition) -> the offset of the next record."""


class OffsetsMoved(K2Error):
    """Somebody else has committed records of the same partitions: what is in hand is theirs, or must be read again from
    ``committed_offsets``. Nothing was written.
    """


class Appended(NamedTuple):
    """What became of a batch."""

    rows: int
    repeats: int
    """Records that were in the table already."""


class TableWriter:
    """One table. Methods block, and belong to one thread at a time."""

    def __init__(self, catalog: Catalog, settings: LakeSettings, shape: Shape) -> None:
        self.shape = shape
        self._catalog = catalog
        self._settings = settings
        self._table: IcebergTable = None
        self._format: ColumnFormat | None = None
        self._known: dict[tuple[str, int], int] | None = None
        """The offsets that this writer goes on from."""

    def open(self) -> bool:
        """Looks at the table, which is made where it is missing; whether it was. SinkError where it is of another
        shape, or must not be made.
        """
        made = self._settings.create and make_table(self._catalog, self._settings, self.shape)
        self._load()
        return made

    @property
    def format(self) -> ColumnFormat:
        """Makes rows of this table."""
        if self._format is None:
            self._load()
        assert self._format is not None
        return self._format

    def append(self, rows: ArrowTable, offsets: Offsets | None = None) -> Appended:
        """Writes rows, but for those that are there already, as one snapshot, or none of them.

        With ``offsets``, the snapshot has them, and all others that were there; OffsetsMoved as it says. Unreachable
        where it is not known whether they were written: the same call again finds out.
        """
        from pyiceberg.exceptions import CommitFailedException

        for attempt in range(ATTEMPTS):
            if self._table is None:
                self._load()
            with sorted_errors(self._settings, self.shape.name):
                carried = self._moved_to(offsets)
                new = without_known(self._table, self.shape, rows) if self._settings.dedupe else rows
                if not len(new) and not offsets:
                    return Appended(0, len(rows))
                try:
                    self._commit(new, carried)
                except CommitFailedException:
                    self._table = None
                    time.sleep(random.uniform(0, _PAUSE * 2 ** min(attempt, 5)))
                    continue
                except BaseException:
                    self._table = None
                    raise
            if offsets:
                self._known = {**(self._known or {}), **offsets}
            self._let_go()
            return Appended(len(new), len(rows) - len(new))
        raise SinkError(f"{self.shape.name}: {ATTEMPTS} commits were overtaken by other writers")

    def committed_offsets(self) -> dict[tuple[str, int], int]:
        """Where to read on: the offsets that the table has now. From here on this writer goes on from them."""
        self._load()
        with sorted_errors(self._settings, self.shape.name):
            self._known = offsets_in(self._table)
        return dict(self._known)

    # --- the table

    def _load(self) -> None:
        from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError

        with sorted_errors(self._settings, self.shape.name):
            try:
                table = self._catalog.load_table(identifier(self._settings, self.shape))
            except (NoSuchTableError, NoSuchNamespaceError):
                self._format = None
                text = f"there is no table {self._settings.namespace}.{self.shape.name}"
                raise SinkError(text if self._settings.create else f"{text}, and K2_LAKE_CREATE=false") from None
            check(table, self.shape)
            # Whatever the table says: a commit that was overtaken is ours to judge.
            table.metadata.properties["commit.retry.num-retries"] = PROPERTIES["commit.retry.num-retries"]
            self._format = ColumnFormat(self.shape, table)
            self._table = table

    def _commit(self, rows: ArrowTable, offsets: Offsets | None) -> None:
        properties = {OFFSETS: as_text(offsets)} if offsets else {}
        self._table.append(rows, snapshot_properties=properties)
        self._table.metadata.properties["commit.retry.num-retries"] = PROPERTIES["commit.retry.num-retries"]

    def _moved_to(self, offsets: Offsets | None) -> dict[tuple[str, int], int]:
        """The offsets of the snapshot to come: what is there, and those that are given."""
        there = offsets_in(self._table)
        if offsets is None:
            return there
        known = there if self._known is None else self._known
        moved = [f"{topic}[{partition}]" for topic, partition in offsets
                 if there.get((topic, partition)) != known.get((topic, partition))]
        if moved:
            raise OffsetsMoved(f"{self.shape.name}: another writer has committed {', '.join(sorted(moved))}")
        return {**there, **offsets}

    def _let_go(self) -> None:
        """Lets the oldest snapshots go, so that a commit stays as cheap as it was. Files are not touched."""
        from pyiceberg.exceptions import CommitFailedException

        keep = self._settings.snapshots
        table = self._table
        if len(table.metadata.snapshots) <= 2 * keep:
            return
        with suppress(CommitFailedException), sorted_errors(self._settings, self.shape.name):
            expire(table, keep)
        self._table = None


def expire(table: IcebergTable, keep: int, before_ms: int | None = None) -> int:
    """Lets go of all but the latest ``keep`` snapshots (``before_ms``: only of those that are older); how many. What
    branches and tags hold stays.
    """
    gone = expirable(table, keep, before_ms)
    if gone:
        table.maintenance.expire_snapshots().by_ids(gone).commit()
    return len(gone)


def expirable(table: IcebergTable, keep: int, before_ms: int | None = None) -> list[int]:
    """The snapshots that `expire` lets go: never the one that has the latest offsets."""
    metadata = table.metadata
    held = {ref.snapshot_id for ref in metadata.refs.values()}
    latest = next((one.snapshot_id for one in _newest_first(table) if _said(one) is not None), None)
    ordered = sorted(metadata.snapshots, key=lambda one: one.timestamp_ms)
    return [one.snapshot_id for one in ordered[: max(0, len(ordered) - keep)]
            if one.snapshot_id not in held and one.snapshot_id != latest
            and (before_ms is None or one.timestamp_ms < before_ms)]


# --- offsets


def offsets_in(table: IcebergTable) -> dict[tuple[str, int], int]:
    """The offsets of the latest snapshot that has some: writers that know nothing of them may have come after."""
    for snapshot in _newest_first(table):
        said = _said(snapshot)
        if said is not None:
            return _from_text(said)
    return {}


def _newest_first(table: IcebergTable) -> Iterator[Any]:
    """The snapshots the table came from, the newest first. Where one is expired, those before it follow by number."""
    snapshot, lowest = table.current_snapshot(), None
    while snapshot is not None:
        yield snapshot
        lowest, parent = snapshot.sequence_number, snapshot.parent_snapshot_id
        if parent is None:
            return
        snapshot = table.metadata.snapshot_by_id(parent)
    older = [one for one in table.metadata.snapshots if lowest is not None and (one.sequence_number or 0) < lowest]
    yield from sorted(older, key=lambda one: -(one.sequence_number or 0))


def _said(snapshot: Any) -> str | None:
    summary = snapshot.summary
    return None if summary is None else summary.additional_properties.get(OFFSETS)


def as_text(offsets: Offsets) -> str:
    """Offsets as a snapshot has them."""
    by_topic: dict[str, dict[str, int]] = {}
    for (topic, partition), offset in sorted(offsets.items()):
        by_topic.setdefault(topic, {})[str(partition)] = offset
    return json.dumps(by_topic, separators=(",", ":"))


def _from_text(text: str) -> dict[tuple[str, int], int]:
    try:
        found: Mapping[str, Mapping[str, int]] = json.loads(text)
        return {(topic, int(partition)): int(offset) for topic, partitions in found.items()
                for partition, offset in partitions.items()}
    except (ValueError, AttributeError, TypeError):
        raise SinkError(f"the offsets in the table's snapshot cannot be read: {text[:100]}") from None


