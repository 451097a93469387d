"""``/v1/summary/{symbol}/{date}``: what was traded of a symbol on a day."""

from datetime import date as _date
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import AfterValidator, BaseModel, ConfigDict
from starlette.responses import Response

from k2conn.api.asked import Asked
from k2conn.api.openapi import answer, problems
from k2conn.api.parameters import LONGEST_TEXT, Text, texts_of, within_time
from k2conn.api.service import Service, json_of
from k2conn.api.wire import EPOCH, traded

TRADES = "trades"
_MICRO = timedelta(microseconds=1)
_DAY = timedelta(days=1) // _MICRO
_EPOCH = EPOCH.date()
_ANSWER = {
    "type": "object",
    "properties": {
        "symbol": {"type": "string"}, "date": {"type": "string", "format": "date"},
        "data": {"type": "array", "items": {"$ref": "#/components/schemas/Traded"}},
    },
    "required": ["symbol", "date", "data"],
    "additionalProperties": False,
}


class Summed(BaseModel):
    """Of which trades."""

    model_config = ConfigDict(extra="forbid")

    exchange: Text = None
    currency: Text = None


Symbol = Annotated[str, Path(min_length=1, max_length=LONGEST_TEXT, pattern=r"^[^\x00-\x1f\x7f/]+$",
                             description="In the shared spelling, such as BTCUSDT.")]


def _day(text: str) -> str:
    _date.fromisoformat(text)
    return text


Day = Annotated[
    str,
    Path(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description="Of UTC, such as 2026-01-02.",
         json_schema_extra={"format": "date"}),
    AfterValidator(_day),
]


def router(service: Service) -> APIRouter:
    """The route."""
    found = APIRouter()

    @found.get("/v1/summary/{symbol}/{date}", tags=["overview"], summary="What was traded of a symbol on a day of UTC",
               operation_id="summary", response_class=Response,
               responses={200: answer(_ANSWER), **problems(401, 422, 429, 503, 504)})
    async def summary(symbol: Symbol, date: Day, said: Annotated[Summed, Query()]) -> Response:
        record = service.records[TRADES]
        begin = (_date.fromisoformat(date) - _EPOCH) // _MICRO
        asked = Asked(record=record, texts=texts_of(record, {"symbol": symbol, **said.model_dump()}),
                      since=within_time(begin), until=within_time(begin + _DAY))
        sums = await service.ask(service.store.traded(asked))
        return json_of({"symbol": symbol, "date": date, "data": [traded(one) for one in sums]})

    return found
