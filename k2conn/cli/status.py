"""`k2conn status`: how a running process does, by its /health."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from k2conn import exactjson
from k2conn.cli.amendment_text import amended
from k2conn.cli.messages import show_json
from k2conn.cli.screen import Cell, Column, Console, Styled, Table, line, screen, table
from k2conn.compiler.language.problems import known
from k2conn.consumer.status import SourceStatus
from k2conn.errors import SettingsError, Unreachable
from k2conn.monitoring.process_status import Health, ProcessStatus
from k2conn.net.http import Call, NoAnswer, exchange
from k2conn.runner.status import ConnectionStatus, StreamStatus

WITHIN = 5.0
FORMATS = ("text", "json")
_STYLES = {Health.OK: "green", Health.DEGRADED: "yellow", Health.FAILED: "red"}

_STREAM = (
    Column("stream"), Column("received", right=True, leaves=2), Column("published", right=True),
    Column("duplicates", right=True, leaves=5), Column("dead letters", right=True, leaves=1),
    Column("conflicts", right=True, leaves=7),
    Column("in flight", right=True, leaves=6), Column("lost", right=True), Column("gaps", right=True, leaves=4),
    Column("missing", right=True, leaves=3), Column("symbols", least=12),
)
_TOPIC = (
    Column("topic"), Column("lag", right=True), Column("consumed", right=True, leaves=2), Column("written", right=True),
    Column("dead letters", right=True, leaves=1), Column("in flight", right=True, leaves=4),
    Column("released", right=True, leaves=5), Column("lost", right=True), Column("partitions", right=True, leaves=3),
)
_SOCKET = (
    Column("socket"), Column("state", least=12), Column("host", leaves=3, least=12),
    Column("symbols", right=True, leaves=4), Column("confirmed", right=True, leaves=2),
    Column("connected", right=True, leaves=5), Column("last data", right=True, leaves=1),
)


def run(host: str, port: int, form: str) -> int:
    """Prints the state; returns 0 where it is ok, 1 where it is not. Raises Unreachable where nobody answers."""
    if form not in FORMATS:
        raise SettingsError(f"--format {form}{known(form, FORMATS)}")
    state = ask(host, port)
    if form == "json":
        show_json(state)
    else:
        show(state, screen())
    return 0 if state["status"] == Health.OK else 1


def ask(host: str, port: int) -> ProcessStatus:
    """What /health says."""
    name = f"[{host}]" if ":" in host else host
    try:
        state = exactjson.decode(exchange(Call("GET", f"http://{name}:{port}/health", within=WITHIN)).body)
    except NoAnswer as error:
        raise Unreachable(f"no k2conn answers on {host}:{port}: {error.reason}") from None
    except exactjson.JsonError:
        raise Unreachable(f"what answers on {host}:{port} is no k2conn") from None
    if not isinstance(state, dict) or "connectors" not in state:
        raise Unreachable(f"what answers on {host}:{port} is no k2conn")
    return cast(ProcessStatus, state)


def show(state: ProcessStatus, console: Console) -> None:
    """The state for people."""
    line(console, Styled(state["status"], _STYLES.get(state["status"], "")), f", k2conn {state['version']}")
    for waited in state["waiting_for"]:
        line(console, f"  waiting for {waited}")
    for text in state.get("degraded_by", ()):
        line(console, f"  {text}")
    _feed(state, console)
    sink = ", ".join(f"{key} {exactjson.spell(value)}" for key, value in state["sink"].items() if value is not None)
    line(console, f"sink: {sink}")
    if "source" in state:
        _source(state["source"], console)
    for name, connector in state["connectors"].items():
        line(console)
        line(console, f"{name}: {connector['state']}; {connector['ledger']}")
        console.print(_streams(connector["streams"], console.width))
        _silent(connector["streams"], console)
        console.print(_sockets(connector["sockets"], console.width))
        _copies(connector["sockets"], console)
        if left_out := connector.get("amendments"):
            line(console, f"  {amended(left_out)}")
        for trouble in connector.get("troubles", ()):
            words = ", ".join(f"{key} {exactjson.spell(value)}" for key, value in trouble["detail"].items())
            told = " ".join(filter(None, (trouble["time"], trouble["kind"], trouble["stream"], trouble["reason"])))
            line(console, f"  {told}: {words}")
        for connection, endpoints in connector["endpoints"].items():
            for one in endpoints:
                text = f"  {connection}: {one['host']} {one['breaker']}, out of order {one['opened']} times"
                line(console, text)


def _feed(state: ProcessStatus, console: Console) -> None:
    """What a feeder's dashboards ask for, where there is any of it. An older process says nothing of it."""
    if state.get("candles_processed"):
        durable = state["candles_in_db"]
        written = f", {durable} in the database" if durable is not None else ""
        line(console, f"candles: {state['candles_processed']}{written}, the latest of {state['last_candle_time']}")
    if state.get("errors_24h"):
        kinds = ", ".join(f"{kind} {count}" for kind, count in (state["details"]["errors_by_kind"] or {}).items())
        line(console, f"errors in 24 hours: {state['errors_24h']} ({kinds})")


def _source(source: SourceStatus, console: Console) -> None:
    """Topics, where records come from there."""
    line(console)
    line(console, f"{source['kind']} {source['where']}, group {source['group']}: {source['assigned']} partitions, "
                  f"lag {source['lag']}; {source['accounts']}")
    if source["expired"]:
        line(console, f"  {source['expired']} records were deleted by Kafka before they were read")
    if source.get("amendments"):
        line(console, f"  {amended({'candles': source['amendments']})}")
    rows: list[Sequence[Cell]] = []
    for name, one in source["topics"].items():
        counts = (str(one.get(column.name.replace(" ", "_"), 0)) for column in _TOPIC[1:-1])
        rows.append((name, *counts, str(len(one["partitions"]))))
    console.print(table(_TOPIC, rows, console.width))


def _streams(streams: Mapping[str, StreamStatus], width: int) -> Table:
    rows: list[Sequence[Cell]] = []
    for name, one in streams.items():
        states = ", ".join(f"{number} {state}" for state, number in one["states"].items())
        rows.append((name, *(str(one.get(column.name.replace(" ", "_"), 0)) for column in _STREAM[1:-1]), states))
    return table(_STREAM, rows, width)


def _silent(streams: Mapping[str, StreamStatus], console: Console) -> None:
    for name, one in streams.items():
        for worst in one["worst"]:
            silence = worst["seconds_since_data"]
            last = f", last heard {silence} s ago" if silence is not None else ""
            line(console, f"  {name} {worst['symbol']}: {worst['reason']}{last}")


def _sockets(sockets: Sequence[ConnectionStatus], width: int) -> Table:
    rows: list[Sequence[Cell]] = []
    for one in sockets:
        rows.append((
            one["socket"], f"{one['state']} {one['detail']}".strip(), one["host"] or "-", str(one["symbols"]),
            str(one["confirmed"]), _seconds(one["seconds_connected"]), _seconds(one["seconds_since_data"]),
        ))
    return table(_SOCKET, rows, width)


def _copies(sockets: Sequence[ConnectionStatus], console: Console) -> None:
    """Of sockets with the same subscriptions: whose records came first."""
    for one in sockets:
        if leg := one.get("leg"):
            line(console, f"  {one['socket']}: first {leg['first']}, late {leg['late']}, missing {leg['missing']}")


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"
