"""`k2conn plan`: sockets, frames, bytes and rates that running a connector would take."""

from __future__ import annotations

from k2conn.cli.capacity_lines import capacity_lines
from k2conn.cli.loading import load
from k2conn.cli.messages import show
from k2conn.cli.option_values import lasting, listed
from k2conn.cli.plan_words import limit_words, shown_steps, step_words
from k2conn.cli.screen import Column, line, screen, table
from k2conn.cli.stream_names import chosen_streams
from k2conn.engine.planning.capacity import capacity
from k2conn.engine.planning.forecast import broken_limits, forecast
from k2conn.runner.wanted_symbols import resolve

_COLUMNS = (Column("socket"), Column("symbols", right=True), Column("subscriptions", right=True),
            Column("frames", leaves=1, right=True), Column("bytes", leaves=2, right=True),
            Column("largest", leaves=4, right=True), Column("least time", leaves=3, right=True))

_WORDS = {"limits": "venue's limits"}


def run(
    connector: str, symbols: str | None, streams: str | None, show_frames: bool, intervals: str | None = None,
    rate: float | None = None, outage: str = "4h",
) -> int:
    """Prints the forecast; returns 0, or 78 where a declared limit would be broken. ``rate``: records a second, where
    what they take of a machine is wanted, too.
    """
    away = lasting("--outage", outage) or 0.0
    plan = load(connector)
    names = tuple(listed("--symbols", symbols)) if symbols else plan.symbols.default
    chosen = chosen_streams(plan, listed("--streams", streams), listed("--intervals", intervals))
    wanted = [s.name for s in plan.streams if s.default] if chosen is None else chosen
    own = [stream for stream in plan.streams if stream.name in wanted]
    sockets = forecast(plan, own, resolve(plan, names))
    console = screen()
    rows = [
        (socket.shard.name, str(len(socket.shard.symbols)), str(socket.subscriptions), str(len(socket.frames)),
         str(sum(len(frame.encode()) for frame in socket.frames)), str(socket.largest), f"{socket.seconds:g} s")
        for socket in sockets
    ]
    console.print(table(_COLUMNS, rows, console.width))
    for connection in plan.connections:
        if connection.reads_files:
            continue
        for word, text in limit_words(connection):
            line(console, f"{connection.name}: {_WORDS.get(word, word)}: {text}")
        for step in shown_steps(plan, connection):
            for word, text in step_words(step):
                line(console, f"{connection.name}: {word.strip()}: {text}")
        if connection.poll is not None:
            asking = sum(socket.shard.connection is connection for socket in sockets)
            line(console, f"{connection.name}: {asking / connection.poll.every:g} requests a second")
    for socket in sockets:
        for name in socket.later:
            line(console, f"{socket.shard.name}: '{name}' needs what only a live connection knows")
        for frame in socket.frames if show_frames else ():
            line(console, f"{socket.shard.name}  {frame}")
    if rate is not None:
        for text in capacity_lines(capacity(rate, len(resolve(plan, names)), len(own), away), outage):
            line(console, text)
    problems = broken_limits(plan, sockets)
    for problem in problems:
        show(f"limit broken: {problem}", error=True)
    return 78 if problems else 0
