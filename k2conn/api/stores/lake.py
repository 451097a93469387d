"""The tables of the lake, read by DuckDB. Answers have all that was committed longer ago than ``look_ms``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from k2conn.api.asked import Asked, Row, time_of
from k2conn.api.store import Counted, KnownSymbol, Traded
from k2conn.api.stores.freshness import Freshness
from k2conn.lake.reader import LakeReader
from k2conn.lake.records import records_of
from k2conn.lake.selection import Selection
from k2conn.lake.settings import LakeSettings
from k2conn.records import known_records, load_record

_EPOCH, _MICRO = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_FIELDS = ("symbol", "exchange", "side", "currency", "interval")
"""What the lake's own selection knows; other filters are for us."""
_SYMBOLS = ("symbol", "exchange", "currency", "asset_class")

_TRADED = """
SELECT exchange, currency, min(timestamp) AS first, max(timestamp) AS last,
       arg_min(price, (timestamp, message_id)) AS open, max(price) AS high, min(price) AS low,
       arg_max(price, (timestamp, message_id)) AS close, sum(quantity) AS quantity, count(*) AS trades
FROM trades GROUP BY exchange, currency ORDER BY exchange, currency"""


class LakeStore:
    """See the module's text; the blocking half of a `Store`."""

    def __init__(self, settings: LakeSettings) -> None:
        self._settings = settings
        self.place = f"lake {settings.place}"
        self._records = {one.profile.plural: one for one in map(load_record, known_records())}
        self._reader: LakeReader | None = None
        self._freshness = Freshness(self._look, settings.look_ms / 1000)

    def open(self) -> None:
        """See `Store`."""
        self._lake()

    def answers(self) -> None:
        """See `Store`."""
        self._lake()

    def close(self) -> None:
        """See `Store`."""

    def records(self, asked: Asked) -> Sequence[Row]:
        """See `Store`."""
        lake = self._lake()
        if asked.kind not in lake.kinds:
            return []
        others = {name: text for name, text in asked.texts.items() if name not in _FIELDS}
        chosen = Selection(
            **{name: text for name, text in asked.texts.items() if name in _FIELDS},
            since=asked.since, until=asked.until, before=asked.before, limit=None if others else asked.limit,
        )
        found = records_of(asked.record.schema.fields, lake.records(asked.kind, chosen))
        if others:
            found = [row for row in found if all(row.get(name) == text for name, text in others.items())]
        return found[: asked.limit]

    def traded(self, asked: Asked) -> Sequence[Traded]:
        """See `Store`."""
        lake, kind = self._lake(), asked.kind
        if kind not in lake.kinds:
            return []
        symbol, exchange, currency = (asked.texts.get(name, "") for name in ("symbol", "exchange", "currency"))
        chosen = Selection(symbol=symbol, exchange=exchange, currency=currency, since=asked.since, until=asked.until)
        return [Traded(row["exchange"], row["currency"], (row["first"] - _EPOCH) // _MICRO,
                       (row["last"] - _EPOCH) // _MICRO, row["open"], row["high"], row["low"], row["close"],
                       row["quantity"], row["trades"])
                for row in lake.rows(_TRADED, [kind], chosen).to_pylist()]

    def symbols(self, most: int) -> Sequence[KnownSymbol]:
        """See `Store`."""
        lake, found = self._lake(), []
        for kind, state in lake.kinds.items():
            if kind not in self._records:  # such as dead letters
                continue
            record = self._records[kind]
            own = ", ".join(f'"{name}"' for name in _SYMBOLS if name in state.columns)
            sql = (f'SELECT {own}, max("{time_of(record)}") AS last FROM "{kind}" GROUP BY {own} ORDER BY {own} '
                   f"LIMIT {most:d}")
            for row in lake.rows(sql, [kind]).to_pylist():
                texts = {name: row.get(name) or "" for name in _SYMBOLS}
                found.append(KnownSymbol(**texts, kind=kind, last=(row["last"] - _EPOCH) // _MICRO))
        return found

    def counts(self) -> Sequence[Counted]:
        """See `Store`."""
        lake, found = self._lake(), []
        for kind in lake.kinds:
            if kind not in self._records:
                continue
            time = time_of(self._records[kind])
            sql = f'SELECT count(*) AS rows, min("{time}") AS first, max("{time}") AS last FROM "{kind}"'
            (row,) = lake.rows(sql, [kind]).to_pylist()
            ends = [None if row[name] is None else (row[name] - _EPOCH) // _MICRO for name in ("first", "last")]
            found.append(Counted(kind, row["rows"], True, ends[0], ends[1]))
        return found

    def _lake(self) -> LakeReader:
        self._freshness.ensure()
        assert self._reader is not None
        return self._reader

    def _look(self) -> None:
        if self._reader is None:
            self._reader = LakeReader(self._settings)
        else:
            self._reader.refresh()
