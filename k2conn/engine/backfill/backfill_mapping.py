"""The rows of a backfill's answer as records: with the ids, the dedup window and the ledger of their stream."""

from __future__ import annotations

from k2conn import exactjson
from k2conn.engine.accounting.frame_letters import finish_letters
from k2conn.engine.mapping.stream_mapping import StreamMapping
from k2conn.envelope import Envelope
from k2conn.plan import Backfill, Json, Symbol
from k2conn.scope import Scope


class BackfillMapping(StreamMapping):
    """Maps rows. The job that fetched them tells the stream's gap tracker which numbers they have."""

    def __init__(self, owner: StreamMapping, backfill: Backfill) -> None:
        super().__init__(owner.plan, backfill.rows, owner.ledger, owner.window, owner.directory, fetched=True)
        self.owner = owner
        self.backfill = backfill

    def fits(self, symbol: Symbol) -> bool:
        """Whether this call is for a symbol."""
        condition = self.backfill.symbols
        return condition is None or condition.condition({**symbol._asdict(), **dict(symbol.parts)}, Scope())

    def row(self, row: Json, scope: Scope, out: list[Envelope]) -> None:
        """One row of the symbol in ``scope``: an envelope, a dead letter, or nothing where the record came before."""
        self._item(row, exactjson.encode(row).decode(), scope, out, False)
        finish_letters(scope, out)
