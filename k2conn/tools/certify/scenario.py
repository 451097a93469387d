"""What an ordeal is, and what it may touch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

from k2conn.plan import Plan
from k2conn.tools.certify.proxy import Proxy
from k2conn.tools.mock.exchange import MockExchange


class Expectation(Enum):
    """What must be seen of a fault scenario."""

    RECONNECT = auto()
    """A new connection."""
    DEAD_LETTER = auto()
    WAIT = auto()
    """Records that waited for the sink."""


class Broker(Protocol):
    """A Kafka broker that may be stopped for a while."""

    def pause(self) -> None:
        """Freeze it."""

    def resume(self) -> None:
        """Let it go on."""


@dataclass(frozen=True, slots=True)
class ClusterProxies:
    """The proxies before the brokers and the registry (None: it cannot have one); whether the registry answers (a call
    that blocks); how many records the brokers have taken.
    """

    brokers: Proxy
    registry: Proxy | None
    registry_answers: Callable[[], bool]
    published: Callable[[], int]


@dataclass(slots=True)
class ScenarioContext:
    """What an ordeal may touch, and where it says what it saw."""

    plan: Plan
    exchange: MockExchange
    broker: Broker | None = None
    cluster: ClusterProxies | None = None
    seen: list[str] = field(default_factory=list)
    """For the report."""
    wrong: list[str] = field(default_factory=list)
    """What stands against passing."""


@dataclass(frozen=True, slots=True)
class FaultScenario:
    """One kind of misbehaviour. ``run`` lasts at least its seconds; None: it is played in lives of a process, see
    `lives`. ``applies`` says why it cannot show on this venue, ``needs`` what is not there to play it; empty where all
    is well.
    """

    name: str
    text: str
    run: Callable[[ScenarioContext, float], Awaitable[None]] | None
    expects: tuple[Expectation, ...] = ()
    applies: Callable[[Plan], str] = lambda plan: ""
    needs: Callable[[ScenarioContext], str] = lambda context: ""

    def skipped(self, context: ScenarioContext) -> str:
        """Why it is not played; empty where it is."""
        if why := self.applies(context.plan):
            return f"not applicable: {why}"
        return f"not run: {why}" if (why := self.needs(context)) else ""
