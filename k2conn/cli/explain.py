"""`k2conn explain`: what a connector will send, recognise and make, in full."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from k2conn.cli.loading import load
from k2conn.cli.option_values import listed
from k2conn.cli.plan_tables import field_rows, sent_frames
from k2conn.plan import Connection, Plan, Stream
from k2conn.runner.connector import resolve


def run(connector: str, symbols: str | None) -> int:
    """Prints everything about one connector."""
    plan = load(connector)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 160
    names = listed("--symbols", symbols) if symbols else list(plan.symbols.default)
    if symbols:
        resolve(plan, tuple(names))
    console.print(f"[bold]{plan.name}[/]: {plan.exchange}, {plan.asset_class}, {plan.market}")
    console.print(f"documentation  {plan.docs}")
    console.print(f"symbols        {', '.join(names)}   (read by {plan.symbols.description})")
    for connection in plan.connections:
        _connection(console, plan, connection, names)
    for stream in plan.streams:
        _stream(console, stream)
    return 0


def _connection(console: Console, plan: Plan, connection: Connection, names: list[str]) -> None:
    console.print(f"\n[bold]connection {connection.name}[/]")
    for text in connection.url_texts:
        console.print(f"  connects to  {text}", markup=False)
    for request in connection.before:
        console.print(f"  before       {request.method} {request.url_text}", markup=False)
    for number, frame in enumerate(sent_frames(plan, connection, names), 1):
        console.print(f"  sends {number:>2}     {frame}", markup=False)
    if connection.heartbeat:
        beat = connection.heartbeat
        console.print(f"  heartbeat    every {beat.every_text}: {beat.text}", markup=False)
    for answer in connection.answer:
        console.print(f"  answers      when {answer.when.text}: {answer.text}", markup=False)
    for capture in connection.capture:
        when = capture.when.text if capture.when else "always"
        console.print(f"  captures     $state.{capture.into} when {when}", markup=False)
    for notice in connection.notices:
        words = "reconnects" if notice.reconnect else "logs an error"
        console.print(f"  {words} when {notice.when.text}", markup=False)
    for match in connection.ignore:
        console.print(f"  ignores      {match.text}", markup=False)


def _stream(console: Console, stream: Stream) -> None:
    state = "" if stream.default else "  (only when named)"
    console.print(f"\n[bold]stream {stream.name}[/] -> {stream.kafka_topic}{state}")
    console.print(f"  recognised   {stream.when.text}", markup=False)
    console.print(f"  items        {stream.each_text}", markup=False)
    for word, match in (("dropped", stream.drop_when), ("snapshot", stream.snapshot)):
        if match:
            console.print(f"  {word:<12} when {match.text}", markup=False)
    table = Table("field", "expression", "converter", "default", "speed", box=None, padding=(0, 2))
    for row in field_rows(stream):
        table.add_row(*row)
    console.print(table)
