"""Ordeals of the broker and the registry: through a proxy, for the user's own are not ours to stop."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from k2conn.tools.certify.scenario import WAITED, Ordeal, Scene

DEAD = 5.5
"""Seconds that the brokers are away: longer than it takes until the spool is used."""
SLOW = 2.0
_NEWS = 0.5
"""Seconds until the news of what they took before their death is here, on top."""
_SENT_WITHIN = 15.0
_DELAY = 0.2
_RATE = 64 * 1024
_AWAY = 2.0
_KAFKA = "needs --kafka HOST:PORT and --registry URL"
_PLAIN = "needs a registry at an http:// address: a certificate is not the proxy's"


async def _freeze(scene: Scene, least: float) -> None:
    assert scene.broker is not None
    await asyncio.to_thread(scene.broker.pause)
    try:
        await asyncio.sleep(max(3.0, least))
    finally:
        await asyncio.to_thread(scene.broker.resume)


async def _slow(scene: Scene, least: float) -> None:
    assert scene.cluster is not None
    proxy = scene.cluster.brokers
    before = proxy.carried
    proxy.delay, proxy.rate = _DELAY, _RATE
    try:
        await asyncio.sleep(max(SLOW, least))
        with suppress(TimeoutError):  # a crowded machine takes longer to send anything
            await scene.exchange.wait_for(lambda: proxy.carried > before, within=_SENT_WITHIN)
    finally:
        proxy.mend()
    scene.seen.append(f"{proxy.carried - before:,} bytes went slowly")
    if proxy.carried == before:
        scene.wrong.append("nothing went to the brokers")


async def _dead(scene: Scene, least: float) -> None:
    assert scene.cluster is not None
    proxy = scene.cluster.brokers
    cuts, refused = proxy.cuts, proxy.refused
    proxy.cut()
    try:
        await asyncio.sleep(_NEWS)
        before = scene.cluster.published()
        await asyncio.sleep(max(DEAD, least))
        published = scene.cluster.published() - before
    finally:
        proxy.mend()
    cuts, refused = proxy.cuts - cuts, proxy.refused - refused
    scene.seen.append(f"connections cut: {cuts}, refused: {refused}")
    if not cuts or not refused:
        scene.wrong.append("nobody tried to reach the brokers")
    if published:
        scene.wrong.append(f"{published} records were published through dead brokers")


async def _registry(scene: Scene, least: float) -> None:
    """Records go on: their schemas are registered."""
    assert scene.cluster is not None
    assert scene.cluster.registry is not None
    before = scene.cluster.published()
    scene.cluster.registry.cut()
    try:
        await asyncio.sleep(max(_AWAY, least))
        if await asyncio.to_thread(scene.cluster.registry_answers):
            scene.wrong.append("the registry could be reached")
        published = scene.cluster.published() - before
    finally:
        scene.cluster.registry.mend()
    scene.seen.append(f"{published:,} records published meanwhile")
    if not published:
        scene.wrong.append("nothing was published while the registry was away")


def _kafka(scene: Scene) -> str:
    return "" if scene.cluster is not None else _KAFKA


def _plain(scene: Scene) -> str:
    if scene.cluster is None:
        return _KAFKA
    return "" if scene.cluster.registry is not None else _PLAIN


CLUSTER = (
    Ordeal("broker", "the Kafka broker freezes for three seconds", _freeze, (WAITED,),
           needs=lambda scene: "" if scene.broker is not None else "needs --broker-pid PID, a broker on this machine"),
    Ordeal("slow-broker", f"all bytes to and from the brokers take {_DELAY:g} s, {_RATE // 1024} KiB a second at most",
           _slow, (WAITED,), needs=_kafka),
    Ordeal("dead-broker", f"the brokers' connections are cut, new ones refused, for {DEAD:g} s", _dead, (WAITED,),
           needs=_kafka),
    Ordeal("registry-away", f"the schema registry is away for {_AWAY:g} s", _registry, needs=_plain),
    Ordeal("registry-start", "the schema registry is away when the process starts: for good, and for a moment", None,
           needs=_plain),
    Ordeal("kill", "kill -9 of the process in mid-stream, twice; a second later it is started again", None,
           needs=_kafka),
)
"""Those with ``run`` None are played in `lives`."""
