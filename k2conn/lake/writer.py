"""Appends batches to one table, each record once, as one snapshot each.

Two writers never both win: a commit stands on the snapshot whose rows were looked at, and where another one came first
it is refused by the catalog; then the table is read again, what the other wrote is left out, and the rest is tried
again. With Kafka's offsets, a batch is refused where somebody else has moved the same partitions meanwhile. Every
commit with offsets has those of all consumer groups, so the latest one says all.
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
from k2conn.lake.rows import ArrowTable, ColumnFormat, joined
from k2conn.lake.settings import LakeSettings
from k2conn.lake.standing_back import seconds_asked
from k2conn.lake.tables import Shape, as_we_write, check, grow, identifier, make_table, of_revision

OFFSETS = "k2conn.offsets"
"""The member of a snapshot's summary that holds Kafka's offsets: JSON, consumer group -> topic -> partition -> the next
offset.
"""
ATTEMPTS = 20
"""Commits of one batch that other writers may come before."""
_PAUSE = 0.05

Offsets = Mapping[tuple[str, int], int]
"""(topic, partition) -> the offset of the next record."""
OffsetsOfGroups = Mapping[str, Offsets]
"""The same for each consumer group."""


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
    """One table. Methods block, and belong to one thread at a time. ``group``: the consumer group whose offsets go with
    the rows.
    """

    def __init__(self, catalog: Catalog, settings: LakeSettings, shape: Shape, group: str = "") -> None:
        self.shape = shape
        self._group = group
        self._catalog = catalog
        self._settings = settings
        self._table: IcebergTable = None
        self._format: ColumnFormat | None = None
        self._known: Offsets | None = None
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

    def append(self, rows: ArrowTable, offsets: Offsets | None = None, suspects: ArrowTable | None = None) -> Appended:
        """Writes rows, but for those that are there already, as one snapshot, or none of them. ``suspects`` are more of
        them, which are looked for even where the settings say that repeats are not.

        With ``offsets``, the snapshot has them, and all others that were there; OffsetsMoved as it says. Unreachable
        where it is not known whether they were written: the same call again finds out.
        """
        from pyiceberg.exceptions import CommitFailedException

        count = len(rows) + (0 if suspects is None else len(suspects))
        for attempt in range(ATTEMPTS):
            if self._table is None:
                self._load()
            if asked := seconds_asked(self._table):
                time.sleep(asked)
                self._load()
            with sorted_errors(self._settings, self.shape.name):
                carried = self._moved_to(offsets)
                new = self._new(rows, suspects)
                if not len(new) and not offsets:
                    return Appended(0, count)
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
                self._known = {**(self._known or {}), **{one: carried[self._group][one] for one in offsets}}
            self._let_go()
            return Appended(len(new), count - len(new))
        raise SinkError(f"{self.shape.name}: {ATTEMPTS} commits were overtaken by other writers")

    def committed_offsets(self) -> Offsets:
        """Where to read on: the offsets that the table has now. From here on this writer goes on from them."""
        self._load()
        with sorted_errors(self._settings, self.shape.name):
            self._known = offsets_in(self._table).get(self._group, {})
        return self._known

    def known_offsets(self) -> Offsets:
        """The offsets that this writer goes on from: the table's, as it last saw them."""
        return self.committed_offsets() if self._known is None else self._known

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
            shape = of_revision(table, self.shape)
            if shape is not None and shape != self.shape and self._settings.create:
                table = self._grown(table)
                shape = of_revision(table, self.shape)
            check(table, shape or self.shape)
            self._format = ColumnFormat(shape or self.shape, table)
            self._table = as_we_write(table)

    def _grown(self, table: IcebergTable) -> IcebergTable:
        """The table with the columns of later revisions; as it is now, where another process was quicker."""
        from pyiceberg.exceptions import CommitFailedException

        with suppress(CommitFailedException):
            grow(table, self.shape, self._settings.vendor_data)
        return self._catalog.load_table(identifier(self._settings, self.shape))

    def _new(self, rows: ArrowTable, suspects: ArrowTable | None) -> ArrowTable:
        """What of the rows is to be written."""
        if self._settings.dedupe:
            return without_known(self._table, self.shape, rows if suspects is None else joined([rows, suspects]))
        return rows if suspects is None else joined([rows, without_known(self._table, self.shape, suspects)])

    def _commit(self, rows: ArrowTable, offsets: OffsetsOfGroups) -> None:
        properties = {OFFSETS: as_text(offsets)} if offsets else {}
        self._table.append(rows, snapshot_properties=properties)
        as_we_write(self._table)

    def _moved_to(self, offsets: Offsets | None) -> OffsetsOfGroups:
        """The offsets of the snapshot to come: what is there, and those that are given. None ever goes back."""
        groups = offsets_in(self._table)
        if not offsets:
            return groups
        there = groups.get(self._group, {})
        known = there if self._known is None else self._known
        moved = [f"{topic}[{partition}]" for topic, partition in offsets
                 if there.get((topic, partition)) != known.get((topic, partition))]
        if moved:
            raise OffsetsMoved(f"{self.shape.name}: another writer has committed {', '.join(sorted(moved))}")
        further = {one: max(offset, there.get(one, 0)) for one, offset in offsets.items()}
        return {**groups, self._group: {**there, **further}}

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


def offsets_in(table: IcebergTable) -> OffsetsOfGroups:
    """The offsets of the latest snapshot that has some: writers that know nothing of them may have come after."""
    for snapshot in _newest_first(table):
        said = _said(snapshot)
        if said is not None:
            return _from_text(said)
    return {}


def _newest_first(table: IcebergTable) -> Iterator[Any]:
    """The snapshots the table came from, the newest first. An expired one leaves None behind in its child: those before
    it follow by number.
    """
    snapshot, lowest = table.current_snapshot(), None
    while snapshot is not None:
        yield snapshot
        lowest, parent = snapshot.sequence_number, snapshot.parent_snapshot_id
        snapshot = None if parent is None else table.metadata.snapshot_by_id(parent)
    older = [one for one in table.metadata.snapshots if lowest is not None and (one.sequence_number or 0) < lowest]
    yield from sorted(older, key=lambda one: -(one.sequence_number or 0))


def _said(snapshot: Any) -> str | None:
    summary = snapshot.summary
    return None if summary is None else summary.additional_properties.get(OFFSETS)


def as_text(offsets: OffsetsOfGroups) -> str:
    """Offsets as a snapshot has them."""
    found: dict[str, dict[str, dict[str, int]]] = {}
    for group, own in sorted(offsets.items()):
        by_topic = found.setdefault(group, {})
        for (topic, partition), offset in sorted(own.items()):
            by_topic.setdefault(topic, {})[str(partition)] = offset
    return json.dumps(found, separators=(",", ":"))


def _from_text(text: str) -> OffsetsOfGroups:
    try:
        found: Mapping[str, Mapping[str, Mapping[str, int]]] = json.loads(text)
        return {
            group: {(topic, int(partition)): int(offset) for topic, partitions in topics.items()
                    for partition, offset in partitions.items()}
            for group, topics in found.items()
        }
    except (ValueError, AttributeError, TypeError):
        raise SinkError(f"the offsets in the table's snapshot cannot be read: {text[:100]}") from None
