"""`k2conn explain`: what a connector will send, recognise and make, in full."""

from __future__ import annotations

import uuid

from rich.console import Console
from rich.table import Table

from k2conn.cli.loading import load
from k2conn.engine.frames import step_frames
from k2conn.engine.session import World, subscriptions_for
from k2conn.errors import MissingVariable
from k2conn.plan import Connection, Plan, SendScope, Stream


def run(connector: str, symbols: str | None) -> int:
    """Prints everything about one connector."""
    plan = load(connector)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 160
    names = [name.strip() for name in symbols.split(",")] if symbols else list(plan.symbols.default)
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
    for number, frame in enumerate(_frames(plan, connection, names), 1):
        console.print(f"  sends {number:>2}     {frame}", markup=False)
    if connection.heartbeat:
        beat = connection.heartbeat
        console.print(f"  heartbeat    every {beat.every_text}: {beat.text}", markup=False)
    for answer in connection.answers:
        console.print(f"  answers      when {answer.when.text}: {answer.text}", markup=False)
    for capture in connection.captures:
        when = capture.when.text if capture.when else "always"
        console.print(f"  captures     $state.{capture.into} when {when}", markup=False)
    for notice in connection.notices:
        words = "reconnects" if notice.reconnect else "logs an error"
        console.print(f"  {words} when {notice.when.text}", markup=False)
    for match in connection.ignore:
        console.print(f"  ignores      {match.text}", markup=False)


def _frames(plan: Plan, connection: Connection, names: list[str]) -> list[str]:
    """The frames as they would be sent now; a step that needs a captured or secret value is shown as written."""
    world = World(lambda: str(uuid.uuid4()), {})
    streams = [s for s in plan.streams if s.enabled and s.name in connection.streams]
    symbols = [found for name in names if (found := plan.symbols.resolve(name))]
    wanted = subscriptions_for(connection, streams, symbols, world)
    counter = iter(range(1, 1_000_000))
    scope = SendScope(lambda: 0, world.uuid, 0, {}, {})
    out: list[str] = []
    for step in connection.steps:
        own = [one for one in wanted if one.stream in step.streams]
        try:
            frames = step_frames(step, own, scope, lambda: next(counter), None)
            out += [frame.text or f"(waits: {step.name})" for frame in frames]
        except (MissingVariable, LookupError):
            out.append(step.text)
        except Exception as error:  # noqa: BLE001  # a value that only a live connection has: shown as written
            out.append(f"{step.text}   ({error})")
    return out


def _stream(console: Console, stream: Stream) -> None:
    state = "" if stream.enabled else "  (only when named)"
    console.print(f"\n[bold]stream {stream.name}[/] -> {stream.kafka_topic}{state}")
    console.print(f"  recognised   {stream.when.text}", markup=False)
    console.print(f"  items        {stream.each_text}", markup=False)
    for word, match in (("dropped", stream.drop_when), ("snapshot", stream.snapshot)):
        if match:
            console.print(f"  {word:<12} when {match.text}", markup=False)
    table = Table("field", "expression", "converter", "default", "speed", box=None, padding=(0, 2))
    own = [stream.symbol, *([stream.identity] if stream.identity else []), *stream.fields]
    own += [stream.currency] if stream.currency else []
    for field in own:
        table.add_row(field.name, field.expression, field.converter, field.default or "", field.speed)
    if stream.identity_fields:
        table.add_row(f"{stream.record}_id", ", ".join(stream.identity_fields), "time, digest, number among equals", "", "")
    for field in stream.vendor:
        table.add_row(f"vendor_data.{field.name}", field.expression, field.converter, "", field.speed)
    table.add_row("vendor_data.*", "everything unmapped" if stream.unmapped else "nothing else", "", "", "")
    console.print(table)
