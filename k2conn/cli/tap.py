"""`k2conn tap`: what passes through a running process, as it passes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from k2conn import exactjson
from k2conn.cli.event_loop import on_event_loop, stop_on_signals
from k2conn.cli.loading import load
from k2conn.cli.messages import show, show_json
from k2conn.cli.record_text import record_text
from k2conn.cli.screen import Column, Console, line, screen, table
from k2conn.cli.tap_conditions import compiled_condition
from k2conn.cli.tracing import Tracer, rows
from k2conn.compiler.language.problems import known
from k2conn.errors import SettingsError, TransportError, Unreachable
from k2conn.net.streaming import lines_of
from k2conn.printable import visible
from k2conn.settings import tap_token

FORMATS = ("text", "json")
_TRACED = (Column("field"), Column("expression", least=16), Column("value", least=10),
           Column("converter", leaves=1, least=12), Column("result", least=10))


@dataclass(frozen=True, slots=True)
class TapOptions:
    """What the command line says."""

    connector: str | None
    at: str
    streams: str | None = None
    symbols: str | None = None
    kinds: str = "record,dead"
    where: str | None = None
    count: int = 0
    rate: int = 100
    trace: bool = False
    format: str = "text"


def run(options: TapOptions) -> int:
    """Shows what comes until it is told to stop, or has shown enough; returns the exit code."""
    if options.format not in FORMATS:
        raise SettingsError(f"--format {options.format}{known(options.format, FORMATS)}")
    if options.where is not None:
        try:
            compiled_condition(options.where)
        except SettingsError as error:
            raise SettingsError(f"--where: {error}") from None
    name = options.connector
    if name is not None and Path(name).suffix:
        name = load(name).name
    return on_event_loop(partial(_until_stopped, options, name))


async def _until_stopped(options: TapOptions, name: str | None) -> int:
    stop = asyncio.Event()
    stop_on_signals(asyncio.get_running_loop(), stop)
    showing = asyncio.ensure_future(_show_all(options, name))
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({showing, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not showing.done():
        showing.cancel()
        with suppress(asyncio.CancelledError):
            await showing
        return 0
    showing.result()
    return 0


async def _show_all(options: TapOptions, name: str | None) -> None:
    url = options.at if "://" in options.at else f"http://{options.at}"
    given = {"connector": name, "stream": options.streams, "symbol": options.symbols, "kind": options.kinds,
             "where": options.where, "rate": options.rate, "count": options.count, "trace": int(options.trace)}
    query = urlencode({key: value for key, value in given.items() if value is not None})
    token = tap_token(os.environ)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    shown = _Shown(options)
    try:
        async for raw in lines_of(f"{url.rstrip('/')}/tap?{query}", headers):
            try:
                found = exactjson.decode(raw)
            except exactjson.JsonError:
                raise Unreachable(f"what answers on {options.at} is no k2conn") from None
            shown.show(found)
    except TransportError as error:
        raise Unreachable(f"no tap at {options.at}: {error.detail}") from None


class _Shown:
    """Shows lines."""

    def __init__(self, options: TapOptions) -> None:
        self._options = options
        self._console = screen()
        self._tracers: dict[str, Tracer | None] = {}

    def show(self, said: dict[str, Any]) -> None:
        """One line of the tap."""
        if said.get("kind") == "lost":
            show(f"not shown so far: {said['lost']} lost because this is too slow, {said['sampled']} beyond --rate",
                 error=True)
            return
        source = said.pop("from", None)
        traced = self._traced(said, source) if self._options.trace and said.get("kind") == "record" else None
        if self._options.format == "json":
            if traced is not None:
                frame, fields = traced
                text = {"text": frame} if isinstance(frame, str) else {"bytes": len(frame)}
                said = {**said, "frame": text, "fields": rows(fields)}
            show_json(said)
            return
        line(self._console, text_of(said))
        if traced is not None:
            _show_trace(self._console, *traced)

    def _traced(self, said: dict[str, Any], source: Any) -> Any:
        tracer = self._tracer(str(said["connector"]))
        found = tracer.trace(said["record"], source) if tracer is not None and source else None
        if found is None:
            show("its frame is not known: it came before the tap, or the running file is another one", error=True)
        return found

    def _tracer(self, name: str) -> Tracer | None:
        if name not in self._tracers:
            given = self._options.connector
            self._tracers[name] = Tracer(load(given if given is not None and Path(given).suffix else name))
        return self._tracers[name]


def _show_trace(console: Console, frame: str | bytes, fields: Sequence[Any]) -> None:
    text = frame if isinstance(frame, str) else f"{len(frame)} bytes"
    line(console, f"  frame  {visible(text[:2000])}")
    console.print(table(_TRACED, [tuple(visible(one) for one in row) for row in fields], console.width - 2))


def text_of(said: dict[str, Any]) -> str:
    """A line for people. What a venue has said never becomes anything but text."""
    moment = said.get("time") or said.get("letter", {}).get("received_at") or 0
    when = f"{datetime.fromtimestamp(moment // 1_000_000, UTC):%H:%M:%S}.{moment % 1_000_000:06d} " if moment else ""
    kind, socket = said.get("kind", ""), said.get("socket")
    if socket and "worker" in said:
        socket = f"{said['worker']}/{socket}"  # as /health calls it
    words = [said.get("stream"), said.get("symbol"), socket]
    head = f"{when}{kind:<8} {said.get('connector', '')} {' '.join(str(one) for one in words if one)}"
    if kind == "record":
        body = record_text(said["record"])
    elif kind == "dead":
        letter = said["letter"]
        body = f"{letter.get('reason')} {letter.get('field') or ''} {exactjson.spell(letter.get('value'))}: "
        body += str(letter.get("detail"))
    elif "text" in said or "base64" in said:
        body = said.get("text") or f"base64 {said['base64']}"
    else:
        head_names = ("kind", "connector", "socket", "time", "worker")
        rest = {name: one for name, one in said.items() if name not in head_names}
        body = exactjson.encode(rest).decode()
    return visible(f"{head} {body}")[:4000]
