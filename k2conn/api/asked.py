"""A question about records of one type: which, of when, how many; always the newest first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from k2conn.records import RecordType

FILTERS = ("symbol", "exchange", "currency", "side", "interval", "asset_class", "status")
"""Fields that can be asked for by their text, where a record type has them."""
ID = "message_id"

Row = Mapping[str, Any]
"""A record: decimals as Decimal, times as microseconds since 1970 UTC, everything else as its JSON type."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Records of one type. Times are microseconds since 1970 UTC, by ``time_of`` the type."""

    record: RecordType
    texts: Mapping[str, str] = field(default_factory=dict)
    """The fields that must have a text, and which; of ``FILTERS``."""
    since: int | None = None
    """From this moment on."""
    until: int | None = None
    """Before this moment."""
    before: tuple[int, str] | None = None
    """Older than this record, by its time and message_id: where the page before ended."""
    limit: int = 100

    @property
    def kind(self) -> str:
        """The type's word in paths and tables: trades."""
        return self.record.profile.plural

    @property
    def latest(self) -> int | None:
        """The last moment that an answer can have."""
        ends = [one for one in (None if self.until is None else self.until - 1, self.before and self.before[0])
                if one is not None]
        return min(ends) if ends else None

    def fits(self, row: Row) -> bool:
        """Whether a record is one of those asked for."""
        if any(row.get(name) != text for name, text in self.texts.items()):
            return False
        time = row[time_of(self.record)]
        if (self.since is not None and time < self.since) or (self.until is not None and time >= self.until):
            return False
        return self.before is None or (time, row[ID]) < self.before

    def place(self, row: Row) -> tuple[int, str]:
        """By what records are sorted."""
        return row[time_of(self.record)], row[ID]


def time_of(record: RecordType) -> str:
    """The field by which records of a type are asked for and sorted: of candles, when they begin."""
    return record.profile.begin or record.profile.time


def filters_of(record: RecordType) -> tuple[str, ...]:
    """The fields that records of a type can be asked for by."""
    names = {one.name for one in record.schema.fields if one.kind in ("string", "enum")}
    return tuple(name for name in FILTERS if name in names)


def key_of(record: RecordType) -> tuple[str, ...]:
    """What tells records of a type apart: a later one of the same key replaces an earlier one."""
    own = record.profile.key
    names = {one.name for one in record.schema.fields}
    return tuple(name for name in ("exchange", "symbol", *own) if name in names) if own else (ID,)
