"""What all routes share: the store, the hub, cursors, record types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from k2conn import exactjson
from k2conn.api.asked import Asked, Row, key_of
from k2conn.api.cursors import Cursors
from k2conn.api.live.hub import Hub, merged
from k2conn.api.problems import RequestRefused
from k2conn.api.settings import ApiSettings
from k2conn.api.store import Store, TooSlow
from k2conn.api.wire import Wording
from k2conn.clock import monotonic
from k2conn.errors import K2Error
from k2conn.records import RecordType
from k2conn.runner.event_log import get_logger

REMEMBERED = 5.0
"""Seconds for which the answers about all records (symbols, counts) are given again."""


@dataclass
class Service:
    """See the module's text. ``kafka``: live records come from topics, and `recent` has them, too."""

    settings: ApiSettings
    store: Store
    hub: Hub
    records: dict[str, RecordType]
    """By their plural."""
    kafka: bool = False
    cursors: Cursors = field(init=False)
    _wordings: dict[str, Wording] = field(init=False)
    _remembered: dict[str, tuple[float, Any]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """What follows."""
        self.cursors = Cursors(self.settings.key)
        self._wordings = {kind: Wording(record) for kind, record in self.records.items()}

    async def page(self, asked: Asked) -> Response:
        """A page of records, and where the next one begins."""
        more = Asked(record=asked.record, texts=asked.texts, since=asked.since, until=asked.until,
                     before=asked.before, limit=asked.limit + 1)
        rows = await self.ask(self.store.records(more))
        page = rows[: asked.limit]
        following = self.cursors.write(asked, asked.place(page[-1])) if len(rows) > asked.limit else None
        return self.answer(asked.kind, page, {"next": following})

    async def recent(self, asked: Asked) -> Response:
        """The newest records: those of the store, and of Kafka what the store has not yet."""
        live = self.hub.recent(asked) if self.kafka else []
        rows = merged(await self.ask(self.store.records(asked)), live, asked, key_of(asked.record))
        return self.answer(asked.kind, rows, {"live": self.kafka})

    def answer(self, kind: str, rows: Sequence[Row], more: dict[str, Any]) -> Response:
        """Records as a document."""
        return json_of({"data": self.documents(kind, rows), **more})

    def documents(self, kind: str, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """Records in JSON."""
        document = self._wordings[kind].document
        return [document(row) for row in rows]

    async def remembered(self, name: str, question: Any) -> Any:
        """The answer to a question about everything, asked anew when the last one is old."""
        then, found = self._remembered.get(name, (0.0, None))
        if found is None or monotonic() - then > REMEMBERED:
            found = await self.ask(question())
            self._remembered[name] = (monotonic(), found)
        return found

    async def ask(self, question: Any) -> Any:
        """A store's answer. RequestRefused where it has none; why is in the log, not in the answer."""
        try:
            return await question
        except TooSlow as error:
            get_logger().warning("a query took too long", error=str(error))
            raise RequestRefused(504) from None
        except K2Error as error:
            get_logger().error("the store does not answer", error=str(error))
            raise RequestRefused(503, headers={"Retry-After": "5"}) from None


def json_of(value: Any, status: int = 200) -> Response:
    """A document as an answer."""
    return Response(exactjson.encode(value), status, media_type="application/json")
