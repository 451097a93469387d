"""What the environment changes about a connector's connections and streams."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from k2conn.anomalies.settings import AnomalySettings
from k2conn.candles.settings import CandleSettings
from k2conn.engine.resilience.circuit_breaker import BreakerSettings
from k2conn.features.settings import FeatureSettings
from k2conn.net.proxy import Proxy
from k2conn.plan import Connection, Plan, Stream
from k2conn.runner.secret_values import hidden_from_then_on

BAD_DATA_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Overrides:
    """None (or empty): nothing is changed. Times are seconds."""

    urls: tuple[str, ...] = ()
    """Instead of the plan's; a connection other than the first gets its name as a last path segment. Where the plan's
    address names symbols, its path and query go behind the given one."""
    failover: tuple[str, ...] = ()
    """Instead of the plan's addresses after the first: used while those before are out of order."""
    http_url: str | None = None
    """Scheme and host instead of those of the HTTP calls that the plan declares."""
    instruments: Path | None = None
    """A file with the venue's instrument list, read in place of asking the venue."""
    verify: bool = True
    ca_file: str | None = None
    proxy: Proxy | None = None
    """Its own, for all of its addresses; None: what the environment says for each."""
    program: tuple[str, ...] = field(default=(), repr=False)
    """The command that runs where the file says exec://NAME; none: no program does."""
    program_by: str = field(default="K2_<X>_ALLOW_EXEC", compare=False)
    """The variable that says so."""
    allow_private_hosts: bool = False
    """Whether it may connect to addresses that are not public (see `k2conn.net.destinations`)."""
    private_hosts_by: str = field(default="K2_<X>_ALLOW_PRIVATE_HOSTS", compare=False)
    """The variable that says so."""
    ping_every: float | None = None
    ping_timeout: float | None = None
    stale_after: float | None = None
    """0: silence is never taken for death."""
    attempts: int | None = None
    """0: never give up."""
    base_delay: float | None = None
    max_age: float | None = None
    """A connection older than this is replaced by a new one."""
    backfill: bool = True
    """False: gaps are reported only."""
    replicas: int | None = None
    """Sockets with the same subscriptions."""
    keep_open: bool | None = None
    """Whether the states of what is not over are records, too (candles that still grow)."""
    breaker_settings: BreakerSettings = field(default_factory=BreakerSettings)
    """When an address is out of order."""
    remembered: int | None = None
    """The least number of ids by which each stream knows what came before."""
    most_symbols: int | None = None
    """Accounts of the connector, one for each symbol of each stream; all others are one account a stream."""
    candles: CandleSettings | None = None
    """Candles that are made of its trades; None: none are."""
    features: FeatureSettings | None = None
    """Features that are made of its candles; None: none are."""
    audit: bool = False
    """Whether its trades are compared with the venue's candles, where the file says how."""
    drift: bool = True
    """Whether changes of the venue's messages are looked for."""
    anomalies: AnomalySettings = field(default_factory=AnomalySettings)
    """What is done about odd records, and what is odd."""
    bad_data_share: float = BAD_DATA_SHARE
    """The share of dead letters, or of unknown messages, in a minute above which a connector is degraded."""


def overridden(plan: Plan, given: Overrides) -> Plan:
    """The plan with what the environment says about all its connections and streams."""
    connections = tuple(_overridden(connection, given) for connection in plan.connections)
    streams = tuple(_kept_open(stream, given.keep_open) for stream in plan.streams)
    return replace(plan, connections=connections, streams=streams)


def _kept_open(stream: Stream, keep_open: bool | None) -> Stream:
    if stream.states is None or keep_open is None:
        return stream
    return replace(stream, states=replace(stream.states, keep_open=keep_open))


def _overridden(connection: Connection, given: Overrides) -> Connection:
    backoff, stale = connection.reconnect, connection.stale_after
    if given.base_delay is not None:
        backoff = replace(backoff, base=given.base_delay, cap=max(backoff.cap, given.base_delay))
    if given.attempts is not None:
        backoff = replace(backoff, attempts=given.attempts or None)
    if given.stale_after is not None:
        stale = given.stale_after or None
    replicas = connection.replicas if given.replicas is None else given.replicas
    sign = hidden_from_then_on(connection.sign) if connection.sign else None
    return replace(connection, reconnect=backoff, stale_after=stale, replicas=replicas, sign=sign)
