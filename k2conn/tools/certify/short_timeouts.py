"""A plan with short timeouts: where a connector waits minutes on a real venue, it waits about a second here.

Only timeouts are changed; requests, decoding and mapping stay as in the connector file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from k2conn.plan import Backoff, Connection, Heartbeat, Json, Plan, Step

STALE = 2.0
"""Seconds without a frame after which a connection counts as stale."""
ANSWER = 1.5
"""Seconds that an acknowledgement or a heartbeat's answer may take."""
BEAT = 1.0
"""Seconds between heartbeats."""
POLL = 0.02
"""Seconds between requests of a connection that asks again and again."""
PING = 0.7
"""Seconds between protocol pings."""
_BACKOFF = Backoff(base=0.1, factor=2.0, cap=1.0)


def with_short_timeouts(plan: Plan) -> Plan:
    """The plan with shorter timeouts and without limits on how often it connects."""
    return replace(plan, connections=tuple(_connection(connection) for connection in plan.connections))


def _connection(connection: Connection) -> Connection:
    return replace(
        connection,
        reconnect=_BACKOFF,
        stale_after=STALE,
        limits=replace(connection.limits, connect=None, requests=None),
        poll=replace(connection.poll, every=POLL, within=ANSWER) if connection.poll else None,
        steps=tuple(_step(step) for step in connection.steps),
        heartbeat=_heartbeat(connection.heartbeat) if connection.heartbeat else None,
        notices=tuple(replace(notice, delay=min(notice.delay, 1.0)) for notice in connection.notices),
    )


def _step(step: Step) -> Step:
    if step.expect is None:
        return step
    return replace(step, expect=replace(step.expect, within=min(step.expect.within, ANSWER)))


def _heartbeat(beat: Heartbeat) -> Heartbeat:
    within = None if beat.within is None else min(beat.within, ANSWER)
    return replace(beat, every=_at_most(beat.every, BEAT), within=within)


def _at_most(every: Callable[[Mapping[str, Json]], float], most: float) -> Callable[[Mapping[str, Json]], float]:
    return lambda state: min(every(state), most)
