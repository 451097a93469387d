"""`k2conn status`: how a running process does, by its /health."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from k2conn import exactjson
from k2conn.compiler.language.problems import known
from k2conn.errors import SettingsError, Unreachable
from k2conn.monitoring.process_status import Health, ProcessStatus
from k2conn.net.http import Call, NoAnswer, exchange
from k2conn.runner.status import ConnectionStatus, StreamStatus

WITHIN = 5.0
FORMATS = ("text", "json")
_STYLES = {Health.OK: "green", Health.DEGRADED: "yellow", Health.FAILED: "red"}


def run(host: str, port: int, form: str) -> int:
    """Prints the state; returns 0 where it is ok, 1 where it is not. Raises Unreachable where nobody answers."""
    if form not in FORMATS:
        raise SettingsError(f"--format {form}{known(form, FORMATS)}")
    state = ask(host, port)
    if form == "json":
        print(exactjson.encode(state).decode())
    else:
        console = Console(highlight=False, soft_wrap=True)
        if not console.is_terminal:
            console.width = 160
        show(state, console)
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
    console.print(f"[{_STYLES.get(state['status'], '')}]{state['status']}[/], k2conn {escape(state['version'])}")
    for waited in state["waiting_for"]:
        console.print(f"  waiting for {waited}", markup=False)
    for text in state.get("degraded_by", ()):
        console.print(f"  {text}", markup=False)
    sink = ", ".join(f"{key} {exactjson.spell(value)}" for key, value in state["sink"].items() if value is not None)
    console.print(f"sink: {sink}", markup=False)
    for name, connector in state["connectors"].items():
        console.print(f"\n{name}: {connector['state']}; {connector['ledger']}", markup=False)
        console.print(_streams(connector["streams"]))
        _silent(connector["streams"], console)
        console.print(_sockets(connector["sockets"]))
        for one in connector.get("troubles", ()):
            words = ", ".join(f"{key} {exactjson.spell(value)}" for key, value in one["detail"].items())
            told = " ".join(filter(None, (one["time"], one["kind"], one["stream"], one["reason"])))
            console.print(f"  {told}: {words}", markup=False)
        for connection, endpoints in connector["endpoints"].items():
            for at in endpoints:
                text = f"  {connection}: {at['host']} {at['breaker']}, out of order {at['opened']} times"
                console.print(text, markup=False)


def _streams(streams: Mapping[str, StreamStatus]) -> Table:
    columns = (
        "received", "published", "duplicates", "dead_letters", "conflicts", "in_flight", "lost", "gaps", "missing",
    )
    table = Table("stream", *(name.replace("_", " ") for name in columns), "symbols", box=None)
    for name, one in streams.items():
        states = ", ".join(f"{number} {state}" for state, number in one["states"].items())
        table.add_row(name, *(str(one.get(column, 0)) for column in columns), states)
    return table


def _silent(streams: Mapping[str, StreamStatus], console: Console) -> None:
    for name, one in streams.items():
        for worst in one["worst"]:
            silence = worst["seconds_since_data"]
            last = f", last heard {silence} s ago" if silence is not None else ""
            console.print(f"  {name} {worst['symbol']}: {worst['reason']}{last}", markup=False)


def _sockets(sockets: Sequence[ConnectionStatus]) -> Table:
    table = Table("socket", "state", "host", "symbols", "confirmed", "connected", "last data", "copies", box=None)
    for one in sockets:
        leg = one.get("leg")
        copies = f"first {leg['first']}, late {leg['late']}, missing {leg['missing']}" if leg else ""
        table.add_row(
            one["socket"], escape(f"{one['state']} {one['detail']}".strip()), escape(one["host"] or "-"),
            str(one["symbols"]), str(one["confirmed"]), _seconds(one["seconds_connected"]),
            _seconds(one["seconds_since_data"]), copies,
        )
    return table


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"
