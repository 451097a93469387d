"""`k2conn explain`: what a connector will send, recognise and make, in full."""

from __future__ import annotations

import os

from k2conn.cli.evidence import rests_on
from k2conn.cli.host_list import host_text
from k2conn.cli.instrument_text import instrument_text
from k2conn.cli.loading import load
from k2conn.cli.option_values import listed
from k2conn.cli.plan_tables import field_rows, sent_frames
from k2conn.cli.plan_words import connection_words, request_text, shown_steps, step_words, stream_words
from k2conn.cli.screen import Column, Console, Padding, Styled, line, screen, table
from k2conn.cli.variable_list import variable_lines
from k2conn.plan import Connection, Plan, Stream
from k2conn.runner.wanted_symbols import resolve

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
    line(console, f"evidence       {rests_on(plan.evidence)}")
    line(console, f"symbols        {', '.join(names)}   (read by {plan.symbols.description})")
    if plan.symbols.list is not None:
        line(console, f"list           {instrument_text(plan.symbols.list)}")
    if plan.symbols.all:
        line(console, f"all symbols    {plan.symbols.all}   (the venue's own word)")
    if plan.symbols.unlisted == "refuse":
        line(console, "not listed     refused")
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
        _say(console, "connects to", text)
    for request in connection.before:
        _say(console, "before", request_text(request))
    for word, text in connection_words(plan, connection):
        _say(console, word, text)
    for number, frame in enumerate(sent_frames(plan, connection, names), 1):
        _say(console, f"sends {number:>2}", frame)
    for step in shown_steps(plan, connection):
        for word, text in step_words(step):
            _say(console, word, text)
    if connection.heartbeat:
        beat = connection.heartbeat
        answer = f", answered by {beat.answer.text}" if beat.answer else ""
        within = f" within {beat.within:g} s" if beat.within is not None else ""
        _say(console, "heartbeat", f"every {beat.every_text}: {beat.text}{answer}{within}")
    for one in connection.answer:
        _say(console, "answers", f"when {one.when.text}: {one.text}")
    for capture in connection.capture:
        when = capture.when.text if capture.when else "always"
        key = f" by {capture.key_text}" if capture.key_text else ""
        data = ", of data too" if capture.data else ""
        data += ", and keeps it for the next connection" if capture.keep else ""
        _say(console, "captures", f"$state.{capture.into} = {capture.text}{key} when {when}{data}")
    for notice in connection.notices:
        words = "reconnects" if notice.reconnect else "logs an error"
        later = f", {notice.delay:g} s later" if notice.delay else ""
        why = f", reason {notice.reason_text}" if notice.reason_text else ""
        line(console, f"  {words} when {notice.when.text}{later}{why}")
    for match in connection.ignore:
        _say(console, "ignores", match.text)


def _stream(console: Console, stream: Stream, intervals: list[str]) -> None:
    state = "" if stream.default else "  (only when named)"
    line(console)
    line(console, Styled(f"stream {stream.written}", "bold"), f" -> {stream.kafka_topic}{state}")
    if intervals:
        _say(console, "intervals", f"{', '.join(intervals)}   (shown: {intervals[0]})")
    for word, text in stream_words(stream):
        _say(console, word, text)
    console.print(Padding(table(_COLUMNS, field_rows(stream), console.width - 2), (0, 0, 0, 2), expand=False))


def _say(console: Console, word: str, text: str) -> None:
    line(console, f"  {word:<12} {text}")
