"""Faults of the exchange, each for as long as it takes to have an effect; and the list of all scenarios."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from k2conn.codecs import CODECS
from k2conn.errors import SettingsError
from k2conn.plan import Plan
from k2conn.tools.certify.cluster_faults import CLUSTER
from k2conn.tools.certify.scenario import Expectation, FaultScenario, ScenarioContext
from k2conn.tools.certify.short_timeouts import ANSWER, PING, STALE
from k2conn.tools.mock.faults import Faults

_RECONNECT, _DEAD_LETTER = (Expectation.RECONNECT,), (Expectation.DEAD_LETTER,)
_MOMENT = 1.0
"""Seconds that a fault in the data needs to have an effect."""
_EXCESS = 64
_NOTICED = 2 * PING + STALE + ANSWER + 2.5
"""Seconds within which a dead socket must be noticed."""


def _faults(seconds: float = _MOMENT, **given: int | bool) -> Callable[[ScenarioContext, float], Awaitable[None]]:
    """A scenario that switches faults on for a while."""

    async def run(context: ScenarioContext, least: float) -> None:
        context.exchange.faults = Faults(**given)  # type: ignore[arg-type]
        await asyncio.sleep(max(seconds, least))
        context.exchange.faults = Faults()
        await context.exchange.release()

    return run


async def _stall(context: ScenarioContext, least: float) -> None:
    context.exchange.faults = Faults(stall_after=0, no_pong=True)
    await asyncio.sleep(max(STALE + 1.0, least))
    context.exchange.faults = Faults()


async def _half_open(context: ScenarioContext, least: float) -> None:
    await _abandon_clients(context, context.exchange.freeze_clients, least)


async def _slow_close(context: ScenarioContext, least: float) -> None:
    await _abandon_clients(context, context.exchange.close_without_ending, least)


async def _abandon_clients(context: ScenarioContext, leave: Callable[[], None], least: float) -> None:
    """Abandons all clients by calling ``leave``; waits until they have reconnected, or until the time for it is over.
    """
    exchange = context.exchange
    left, connects = tuple(exchange.clients), exchange.connects
    leave()
    with suppress(TimeoutError):
        await exchange.wait_for(lambda: exchange.connects >= connects + len(left), within=max(_NOTICED, least))
    await asyncio.sleep(least)
    for client in left:
        client.socket.transport.abort()


async def _cut(context: ScenarioContext, least: float) -> None:
    await context.exchange.drop_clients(None)
    await asyncio.sleep(least)


async def _lifetime(context: ScenarioContext, least: float) -> None:
    await context.exchange.drop_clients(1001)
    await asyncio.sleep(least)


async def _busy(context: ScenarioContext, least: float) -> None:
    context.exchange.faults = Faults(reject=len(context.exchange.clients), retry_after=1)
    await context.exchange.drop_clients(None)
    await asyncio.sleep(max(1.5, least))
    context.exchange.faults = Faults()


async def _silent(context: ScenarioContext, least: float) -> None:
    context.exchange.faults = Faults(silent=True)
    await context.exchange.drop_clients(None)
    await asyncio.sleep(max(ANSWER + 1.0, least))
    context.exchange.faults = Faults()


async def _oversize(context: ScenarioContext, least: float) -> None:
    most = max(connection.max_frame for connection in context.plan.connections)
    exchange = context.exchange
    connects = exchange.connects
    await exchange.broadcast(b" " * (most + _EXCESS), packed=False, broken=False, last=True)
    with suppress(TimeoutError):
        await exchange.wait_for(lambda: exchange.connects > connects, within=max(_NOTICED, least))
    await asyncio.sleep(max(_MOMENT, least))


async def _bomb(context: ScenarioContext, least: float) -> None:
    most = max(connection.codec.limit for connection in context.plan.connections)
    await context.exchange.broadcast(b" " * (most + _EXCESS))
    await asyncio.sleep(max(_MOMENT, least))


def can_expand(plan: Plan) -> bool:
    """Whether a small frame can decode to a large message."""
    steps = {step for connection in plan.connections for step in (*connection.codec.text, *connection.codec.binary)}
    return any(CODECS.get(step).expands for step in steps)


def _transports(plan: Plan) -> set[str]:
    return {connection.transport for connection in plan.connections}


def _only_asks(plan: Plan) -> str:
    """Where every connection asks again and again, an answer without news is one."""
    return "an answer without news is a sign of life" if all(one.poll for one in plan.connections) else ""


def _fits_no_frame(plan: Plan) -> str:
    """A length of few bytes cannot say that a frame is too large."""
    for connection in plan.connections:
        framing = connection.framing
        if framing is not None and framing.kind == "length" and connection.max_frame >> (8 * framing.size):
            return "its length cannot say that a frame is larger than the connector allows"
    return ""


def _has_heartbeats(plan: Plan) -> bool:
    return any(beat.send is not None and beat.within is not None
               for connection in plan.connections if (beat := connection.heartbeat) is not None)


def _has_acknowledgements(plan: Plan) -> bool:
    """Whether any step waits for an acknowledgement."""
    return any(step.expect is not None and step.expect.accepted is not None
               for connection in plan.connections for step in connection.steps)


FAULT_SCENARIOS = (
    FaultScenario("gap", "the exchange leaves ids out", _faults(skip_every=7)),
    FaultScenario("duplicates", "every third frame comes twice", _faults(duplicate_every=3)),
    FaultScenario("reorder", "every fourth frame comes after the next one", _faults(reorder_every=4)),
    FaultScenario(
        "garbage", "frames that are not messages arrive between the data", _faults(garbage_every=5), _DEAD_LETTER
    ),
    FaultScenario(
        "corrupt",
        "every sixth frame is damaged, packed ones so that they cannot be unpacked",
        _faults(corrupt_every=6),
        _DEAD_LETTER,
    ),
    FaultScenario(
        "bomb",
        "a small frame that unpacks to more than the connector allows",
        _bomb,
        _DEAD_LETTER,
        lambda plan: "" if can_expand(plan) else "its frames are not compressed",
    ),
    FaultScenario("oversize", "a frame larger than the connector allows", _oversize, _RECONNECT, _fits_no_frame),
    FaultScenario("stall", "the socket stays open, but no data arrives", _stall, _RECONNECT, _only_asks),
    FaultScenario(
        "half-open",
        "the socket is dead without being closed: no data, no answers, no pongs",
        _half_open,
        _RECONNECT,
    ),
    FaultScenario(
        "no-pong",
        "heartbeats are not answered",
        _faults(ANSWER + 2.0, no_pong=True),
        _RECONNECT,
        lambda plan: "" if _has_heartbeats(plan) else "it does not wait for answers to heartbeats",
    ),
    FaultScenario(
        "slow-close", "the exchange sends a close frame but leaves the socket open", _slow_close, _RECONNECT,
        lambda plan: "" if _transports(plan) <= {"websocket", "other"} else "only WebSockets have close frames",
    ),
    FaultScenario("cut", "all connections are cut without a close frame", _cut, _RECONNECT),
    FaultScenario("lifetime", "the exchange closes all connections, as after 24 hours", _lifetime, _RECONNECT),
    FaultScenario(
        "busy", "the next connects are answered with HTTP 429 and a Retry-After", _busy, _RECONNECT,
        lambda plan: "" if _transports(plan) <= {"websocket", "http", "other"} else "it connects without HTTP",
    ),
    FaultScenario(
        "lost-acks",
        "subscriptions are made but never acknowledged",
        _silent,
        (),
        lambda plan: "" if _has_acknowledgements(plan) else "nothing is acknowledged on this venue",
    ),
    *CLUSTER,
)


def chosen(names: str) -> tuple[FaultScenario, ...]:
    """The scenarios named in a comma-separated list, or all for `all`. Raises SettingsError for an unknown name."""
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if wanted in ([], ["all"]):
        return FAULT_SCENARIOS
    known = {scenario.name: scenario for scenario in FAULT_SCENARIOS}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise SettingsError(f"--faults: there is no {', '.join(unknown)}; known are {', '.join(known)}")
    return tuple(known[name] for name in wanted)
