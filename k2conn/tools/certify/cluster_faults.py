"""Fault scenarios of the broker and the registry. They go through a proxy, because the user's own cluster must not be
stopped.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from k2conn.tools.certify.scenario import Expectation, FaultScenario, ScenarioContext

_WAIT = (Expectation.WAIT,)
DEAD = 5.5
"""Seconds that the brokers are unreachable: longer than it takes until the spool is used."""
SLOW = 2.0
_SETTLING = 0.5
"""Additional seconds for acknowledgements that were sent just before."""
_SENT_WITHIN = 15.0
_DELAY = 0.2
_RATE = 64 * 1024
_AWAY = 2.0
_KAFKA = "needs --kafka HOST:PORT and --registry URL"
_PLAIN = "needs a registry at an http:// address: the proxy has no certificate"


async def _freeze(context: ScenarioContext, least: float) -> None:
    assert context.broker is not None
    await asyncio.to_thread(context.broker.pause)
    try:
        await asyncio.sleep(max(3.0, least))
    finally:
        await asyncio.to_thread(context.broker.resume)


async def _slow(context: ScenarioContext, least: float) -> None:
    assert context.cluster is not None
    proxy = context.cluster.brokers
    before = proxy.carried
    proxy.delay, proxy.rate = _DELAY, _RATE
    try:
        await asyncio.sleep(max(SLOW, least))
        with suppress(TimeoutError):  # an overloaded machine takes longer to send anything
            await context.exchange.wait_for(lambda: proxy.carried > before, within=_SENT_WITHIN)
    finally:
        proxy.mend()
    context.seen.append(f"{proxy.carried - before:,} bytes were delayed")
    if proxy.carried == before:
        context.wrong.append("nothing was sent to the brokers")


async def _dead(context: ScenarioContext, least: float) -> None:
    assert context.cluster is not None
    proxy = context.cluster.brokers
    cuts, refused = proxy.cuts, proxy.refused
    proxy.cut()
    try:
        await asyncio.sleep(_SETTLING)
        before = context.cluster.published()
        await asyncio.sleep(max(DEAD, least))
        published = context.cluster.published() - before
    finally:
        proxy.mend()
    cuts, refused = proxy.cuts - cuts, proxy.refused - refused
    context.seen.append(f"connections cut: {cuts}, refused: {refused}")
    if not cuts or not refused:
        context.wrong.append("the connector did not try to reach the brokers")
    if published:
        context.wrong.append(f"{published} records were published although the brokers were unreachable")


async def _registry(context: ScenarioContext, least: float) -> None:
    """Records must still be published: their schemas are already registered."""
    assert context.cluster is not None
    assert context.cluster.registry is not None
    before = context.cluster.published()
    context.cluster.registry.cut()
    try:
        await asyncio.sleep(max(_AWAY, least))
        if await asyncio.to_thread(context.cluster.registry_answers):
            context.wrong.append("the registry was still reachable")
        published = context.cluster.published() - before
    finally:
        context.cluster.registry.mend()
    context.seen.append(f"{published:,} records published meanwhile")
    if not published:
        context.wrong.append("nothing was published while the registry was unreachable")


def _kafka(context: ScenarioContext) -> str:
    return "" if context.cluster is not None else _KAFKA


def _plain(context: ScenarioContext) -> str:
    if context.cluster is None:
        return _KAFKA
    return "" if context.cluster.registry is not None else _PLAIN


CLUSTER = (
    FaultScenario(
        "broker",
        "the Kafka broker freezes for three seconds",
        _freeze,
        _WAIT,
        needs=lambda context: "" if context.broker is not None else "needs --broker-pid PID, a broker on this machine",
    ),
    FaultScenario(
        "slow-broker",
        f"all bytes to and from the brokers take {_DELAY:g} s, {_RATE // 1024} KiB a second at most",
        _slow,
        _WAIT,
        needs=_kafka,
    ),
    FaultScenario(
        "dead-broker",
        f"the brokers' connections are cut, new ones refused, for {DEAD:g} s",
        _dead,
        _WAIT,
        needs=_kafka,
    ),
    FaultScenario("registry-away", f"the schema registry is unreachable for {_AWAY:g} s", _registry, needs=_plain),
    FaultScenario(
        "registry-start",
        "the schema registry is unreachable when the process starts: permanently, and for a moment",
        None,
        needs=_plain,
    ),
    FaultScenario(
        "kill", "kill -9 of the process in mid-stream, twice; a second later it is started again", None, needs=_kafka
    ),
)
"""Scenarios with ``run`` None are run by `crash_restart`."""
