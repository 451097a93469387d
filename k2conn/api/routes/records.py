"""``/v1/<plural>`` and ``/v1/<plural>/recent`` of every record type, and candles under ``/v1/ohlcv``."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from k2conn.api.asked import Asked
from k2conn.api.openapi import page_of, problems, reference
from k2conn.api.parameters import NeededText, Text, Time, asked_of, page_model, recent_model, texts_of
from k2conn.api.service import Service, json_of
from k2conn.api.wire import counted
from k2conn.clock import wall_us
from k2conn.records import RecordType

BATCH = 20
"""Questions of one POST."""
BATCH_ROWS = 1000
"""Records of each."""


Interval = Annotated[str, Path(pattern=r"^[1-9][0-9]{0,3}[smhdwM]$", description="Such as 1m.")]
_NEXT = {"type": ["string", "null"], "description": "The cursor of the next page; null where this is the last."}


class Candles(BaseModel):
    """One question of a batch."""

    model_config = ConfigDict(extra="forbid")

    symbol: NeededText
    interval: NeededText = "1m"
    exchange: Text = None
    since: Time = None
    until: Time = None
    limit: Annotated[int, Field(ge=1, le=BATCH_ROWS)] = 100


def router(service: Service) -> APIRouter:
    """The routes."""
    found = APIRouter()
    for record in service.records.values():
        _page(found, service, record)
        if record.profile.made_by == "connectors":
            _recent(found, service, record)
    candle = next((one for one in service.records.values() if one.profile.interval == "interval"), None)
    if candle is not None:
        _ohlcv(found, service, candle)
    return found


def _page(routes: APIRouter, service: Service, record: RecordType) -> None:
    kind = record.profile.plural
    model = page_model(record, service.settings.most_rows)

    @routes.get(f"/v1/{kind}", tags=[kind], summary=f"{kind.title()}, the newest first", operation_id=f"list_{kind}",
                response_class=Response, responses=page_of(record, {"next": _NEXT}) | problems(401, 422, 429, 503, 504))
    async def page(said: Annotated[model, Query()]) -> Response:  # type: ignore[valid-type]  # made of the record type
        return await service.page(asked_of(record, _said(said), service.cursors))


def _recent(routes: APIRouter, service: Service, record: RecordType) -> None:
    kind = record.profile.plural
    model = recent_model(record, service.settings.most_rows)
    live = {"type": "boolean", "description": "Whether what the store has not yet is among them, by way of Kafka."}

    @routes.get(f"/v1/{kind}/recent", tags=[kind], summary=f"The newest {kind} of the last minutes",
                operation_id=f"recent_{kind}", response_class=Response,
                responses=page_of(record, {"live": live}) | problems(401, 422, 429, 503, 504))
    async def recent(said: Annotated[model, Query()]) -> Response:  # type: ignore[valid-type]
        words = _said(said)
        since = wall_us() - words["window_minutes"] * 60_000_000
        return await service.recent(Asked(record=record, texts=texts_of(record, words), since=since,
                                          limit=words["limit"]))


def _ohlcv(routes: APIRouter, service: Service, record: RecordType) -> None:
    model = page_model(record, service.settings.most_rows, interval=True)
    answers = page_of(record, {"next": _NEXT}) | problems(401, 422, 429, 503, 504)

    @routes.get("/v1/ohlcv/health", tags=["ohlcv"], summary="Which candles there are", operation_id="ohlcv_health",
                response_class=Response,
                responses={200: reference("Counted"), **problems(401, 422, 429, 503, 504)})
    async def health() -> Response:
        counts = await service.remembered("counts", service.store.counts)
        empty = {"kind": record.profile.plural, "rows": 0, "exact": True, "first": None, "last": None}
        return json_of(next((counted(one) for one in counts if one.kind == record.profile.plural), empty))

    @routes.get("/v1/ohlcv/{interval}", tags=["ohlcv"], summary="Candles of an interval, the newest first",
                operation_id="list_ohlcv", response_class=Response, responses=answers)
    async def ohlcv(interval: Interval, said: Annotated[model, Query()]) -> Response:  # type: ignore[valid-type]
        return await service.page(asked_of(record, {**_said(said), "interval": interval}, service.cursors))

    @routes.post("/v1/ohlcv/batch", tags=["ohlcv"], summary="Candles of several symbols at once",
                 operation_id="batch_ohlcv", response_class=Response,
                 responses=page_of(record, {}, batch=True) | problems(400, 401, 413, 422, 429, 503, 504))
    async def batch(questions: Annotated[list[Candles], Body(min_length=1, max_length=BATCH)]) -> Response:
        found = []
        for one in questions:
            asked = asked_of(record, {**one.model_dump(), "cursor": None}, service.cursors)
            rows = await service.ask(service.store.records(asked))
            found.append(service.documents(asked.kind, rows))
        return json_of({"data": found})


def _said(model: BaseModel) -> dict[str, Any]:
    return model.model_dump()
