"""``/v1/stream``: records as they come, as server-sent events, or on a WebSocket under the same address."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, WebSocket
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from k2conn.api.asked import FILTERS, Asked, filters_of
from k2conn.api.live.hub import Listener
from k2conn.api.openapi import problems
from k2conn.api.parameters import NeededText, Text, texts_of
from k2conn.api.problems import RequestRefused, misunderstood
from k2conn.api.service import Service
from k2conn.ending_tasks import end_tasks
from k2conn.errors import known

QUIET = 15.0
"""Seconds without a record after which a sign of life is sent."""
MESSAGES = 10
"""What a WebSocket's client may say, which nobody reads."""
BEHIND = "you read more slowly than records come: some were left out"


class Wanted(BaseModel):
    """Which records are listened for."""

    model_config = ConfigDict(extra="forbid")

    kind: NeededText = "trades"
    symbol: Text = None
    exchange: Text = None
    currency: Text = None
    side: Text = None
    interval: Text = None
    asset_class: Text = None
    status: Text = None


def router(service: Service) -> APIRouter:
    """The routes."""
    found = APIRouter()
    description = ("Server-sent events: `event` is the kind, `id` the message_id, `data` the record. A WebSocket under "
                   "the same address gets `{\"kind\": ..., \"record\": ...}`.")

    @found.get("/v1/stream", tags=["stream"], summary="Records as they come", operation_id="stream",
               description=description, response_class=Response,
               responses={200: {"description": "Events, for ever.", "content": {"text/event-stream": {}}},
                          **problems(401, 422, 429, 503)})
    async def stream(said: Annotated[Wanted, Query()]) -> Response:
        return _Events(service, _asked(service, said.model_dump()))

    @found.websocket("/v1/stream")
    async def listen(socket: WebSocket) -> None:
        try:
            said = Wanted(**dict(socket.query_params))
        except ValidationError as error:
            raise misunderstood(error.errors()) from None
        asked = _asked(service, said.model_dump())
        with service.hub.listening(asked) as listener:
            await socket.accept()
            await _talk(socket, listener)

    return found


class _Events(Response):
    """An answer that goes on until the client or the server ends it."""

    def __init__(self, service: Service, asked: Asked) -> None:
        super().__init__(media_type="text/event-stream")
        self._service = service
        self._asked = asked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._service.hub.listening(self._asked) as listener:
            await send({"type": "http.response.start", "status": 200, "headers": [
                (b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no"),
            ]})
            await send({"type": "http.response.body", "body": b": listening\n\n", "more_body": True})
            gone = asyncio.ensure_future(_gone(receive))
            sending = asyncio.ensure_future(_send_events(listener, send))
            try:
                await asyncio.wait((gone, sending), return_when=asyncio.FIRST_COMPLETED)
                if sending.done():
                    sending.result()
                    last = f"event: behind\ndata: {BEHIND}\n\n" if listener.behind else "event: end\ndata: \n\n"
                    await send({"type": "http.response.body", "body": last.encode(), "more_body": False})
            finally:
                await end_tasks(gone, sending)


async def _send_events(listener: Listener, send: Send) -> None:
    async for one in listener.records(QUIET):
        text = b": \n\n"
        if one is not None:
            text = b"event: %s\nid: %s\ndata: %s\n\n" % (one.kind.encode(), one.id.encode(), one.text)
        await send({"type": "http.response.body", "body": text, "more_body": True})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _talk(socket: WebSocket, listener: Listener) -> None:
    gone = asyncio.ensure_future(_hear(socket))
    sending = asyncio.ensure_future(_send_messages(listener, socket))
    try:
        await asyncio.wait((gone, sending), return_when=asyncio.FIRST_COMPLETED)
        if gone.done() and not sending.done():
            if gone.result():
                await socket.close(1008, "this is for listening only")
        elif sending.exception() is None:
            await socket.close(*((1013, BEHIND) if listener.behind else (1001, "the server stops")))
    finally:
        await end_tasks(gone, sending)


async def _hear(socket: WebSocket) -> bool:
    """Until the client has gone (False), or has said too much (True)."""
    for _ in range(MESSAGES):
        if (await socket.receive())["type"] == "websocket.disconnect":
            return False
    return True


async def _send_messages(listener: Listener, socket: WebSocket) -> None:
    async for one in listener.records(QUIET):
        if one is not None:
            await socket.send_text(f'{{"kind":"{one.kind}","record":{one.text.decode()}}}')


def _asked(service: Service, said: Mapping[str, Any]) -> Asked:
    record = service.records.get(said["kind"])
    if record is None:
        raise RequestRefused(422, errors=[("kind", f"there is no such kind{known(said['kind'], service.records)}")])
    own = filters_of(record)
    wrong = [(name, f"{record.profile.plural} have no such field") for name in FILTERS
             if said.get(name) is not None and name not in own]
    if wrong:
        raise RequestRefused(422, errors=wrong)
    return Asked(record=record, texts=texts_of(record, said))
