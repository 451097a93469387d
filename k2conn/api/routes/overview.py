"""``/v1/symbols``, ``/v1/stats`` and ``/health``."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from k2conn import __version__
from k2conn.api.openapi import answer, problems
from k2conn.api.parameters import Text
from k2conn.api.service import Service, json_of
from k2conn.api.wire import counted, known_symbols
from k2conn.errors import K2Error
from k2conn.runner.event_log import get_logger

MOST_SYMBOLS = 5000
_LIST = {"type": "array", "items": {"$ref": "#/components/schemas/Symbol"}}
_STATS = {
    "type": "object",
    "properties": {
        "kinds": {"type": "array", "items": {"$ref": "#/components/schemas/Counted"}},
        "listeners": {"type": "integer"}, "listeners_dropped": {"type": "integer"}, "live": {"type": "string"},
        "version": {"type": "string"},
    },
    "required": ["kinds", "listeners", "listeners_dropped", "live", "version"],
    "additionalProperties": False,
}
_HEALTH = {
    "type": "object",
    "properties": {"status": {"type": "string", "enum": ["ok", "failed"]}, "store": {"type": "string"}},
    "required": ["status", "store"],
    "additionalProperties": False,
}


class Symbols(BaseModel):
    """What of the symbols is asked for."""

    model_config = ConfigDict(extra="forbid")

    exchange: Text = None
    currency: Text = None
    kind: Text = None
    limit: Annotated[int, Field(ge=1, le=MOST_SYMBOLS)] = MOST_SYMBOLS


def router(service: Service) -> APIRouter:
    """The routes."""
    found = APIRouter()

    @found.get("/v1/symbols", tags=["overview"], summary="Which symbols there are records of",
               operation_id="list_symbols", response_class=Response,
               responses={200: answer({"type": "object", "properties": {"data": _LIST}, "required": ["data"],
                                       "additionalProperties": False}), **problems(401, 422, 429, 503, 504)})
    async def symbols(said: Annotated[Symbols, Query()]) -> Response:
        known = await service.remembered("symbols", lambda: service.store.symbols(MOST_SYMBOLS))
        wanted = {"exchange": (said.exchange or "").upper(), "currency": (said.currency or "").upper(),
                  "kind": said.kind or ""}
        fit = [one for one in known if all(not text or getattr(one, name) == text for name, text in wanted.items())]
        return json_of({"data": known_symbols(fit)[: said.limit]})

    @found.get("/v1/stats", tags=["overview"], summary="How much there is, and who listens", operation_id="stats",
               response_class=Response, responses={200: answer(_STATS), **problems(401, 429, 503, 504)})
    async def stats() -> Response:
        counts = await service.remembered("counts", service.store.counts)
        return json_of({
            "kinds": [counted(one) for one in counts], "listeners": service.hub.listeners,
            "listeners_dropped": service.hub.dropped, "live": "kafka" if service.kafka else "store",
            "version": __version__,
        })

    @found.get("/health", tags=["overview"], summary="Whether the store answers; needs no key", operation_id="health",
               response_class=Response,
               responses={200: answer(_HEALTH), 503: answer(_HEALTH, "It does not."), **problems(429)})
    async def health() -> Response:
        try:
            await service.store.answers()
        except K2Error as error:
            get_logger().error("the store does not answer", error=str(error))
            return json_of({"status": "failed", "store": service.settings.store}, 503)
        return json_of({"status": "ok", "store": service.settings.store})

    return found


