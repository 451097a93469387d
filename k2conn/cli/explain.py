"""`k2conn explain`: what a connector will send, recognise and make, in full."""

from __future__ import annotations

import os

from k2conn.cli.host_list import host_text
from k2conn.cli.instrument_text import instrument_text
from k2conn.cli.loading import load
from k2conn.cli.option_values import listed
from k2conn.cli.plan_tables import field_rows, sent_frames
from k2conn.cli.screen import Column, Console, Padding, Styled, line, screen, table
from k2conn.cli.variable_list import variable_lines
from k2conn.plan import Connection, Plan, Stream
from k2conn.runner.connector import resolve

_COLUMNS = (Column("field"), Column("expression", least=16), Column("converter", least=16),
            Column("default", leaves=1, least=8), Column("speed", leaves=2))


def run(connector: str, symbols: str | None) -> int:
    """Prints everything about one connector."""
    plan = load(connector)
    console = screen()
    names = listed("--symbols", symbols) if symbols else list(plan.symbols.default)
    if symbols:
        resolve(plan, tuple(names))
    line(console, Styled(plan.name, "bold"), f": {plan.exchange}, {plan.asset_class}, {plan.market}")
    line(console, f"documentation  {plan.docs}")
    line(console, f"symbols        {', '.join(names)}   (read by {plan.symbols.description})")
    if plan.symbols.list is not None:
        line(console, f"list           {instrument_text(plan.symbols.list)}")
    line(console, f"talks to       {host_text(plan)}")
    for text in variable_lines(plan, os.environ):
        line(console, f"reads          {text}")
    for connection in plan.connections:
        _connection(console, plan, connection, names)
    for stream in plan.written:
        _stream(console, stream, plan.intervals(stream.written))
    return 0


def _connection(console: Console, plan: Plan, connection: Connection, names: list[str]) -> None:
    line(console)
    line(console, Styled(f"connection {connection.name}", "bold"))
    for text in connection.url_texts:
        line(console, f"  connects to  {text}")
    if connection.poll is not None:
        poll = connection.poll
        line(console, f"  asks         {poll.method} every {poll.every:g} s, each answer within {poll.within:g} s")
    elif connection.framing is not None:
        line(console, f"  frames       {connection.framing.text}")
    for name in connection.initial:
        line(console, f"  begins with  $state.{name}")
    for request in connection.before:
        line(console, f"  before       {request.method} {request.url_text}")
    for number, frame in enumerate(sent_frames(plan, connection, names), 1):
        line(console, f"  sends {number:>2}     {frame}")
    if connection.heartbeat:
        beat = connection.heartbeat
        line(console, f"  heartbeat    every {beat.every_text}: {beat.text}")
    for answer in connection.answer:
        line(console, f"  answers      when {answer.when.text}: {answer.text}")
    for capture in connection.capture:
        when = capture.when.text if capture.when else "always"
        kept = ", and keeps it for the next connection" if capture.keep else ""
        line(console, f"  captures     $state.{capture.into} when {when}{kept}")
    for notice in connection.notices:
        words = "reconnects" if notice.reconnect else "logs an error"
        line(console, f"  {words} when {notice.when.text}")
    for match in connection.ignore:
        line(console, f"  ignores      {match.text}")


def _stream(console: Console, stream: Stream, intervals: list[str]) -> None:
    state = "" if stream.default else "  (only when named)"
    line(console)
    line(console, Styled(f"stream {stream.written}", "bold"), f" -> {stream.kafka_topic}{state}")
    if intervals:
        line(console, f"  intervals    {', '.join(intervals)}   (shown: {intervals[0]})")
    line(console, f"  recognised   {stream.when.text}")
    line(console, f"  items        {stream.each_text}")
    for word, match in (("dropped", stream.drop_when), ("snapshot", stream.snapshot)):
        if match:
            line(console, f"  {word:<12} when {match.text}")
    if stream.states is not None:
        how = "as the item says" if stream.states.closed is not None else "when the next one opens"
        line(console, f"  over         {how}; what is not over is {'kept' if stream.states.keep_open else 'dropped'}")
    console.print(Padding(table(_COLUMNS, field_rows(stream), console.width - 2), (0, 0, 0, 2), expand=False))
