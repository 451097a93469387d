"""What a fault scenario is, and what it has access to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

from k2conn.plan import Plan
from k2conn.tools.certify.proxy import FaultProxy
from k2conn.tools.mock.exchange import MockExchange


class Expectation(Enum):
    """The effect that a fault scenario must have."""

    RECONNECT = auto()
    """A new connection."""
    DEAD_LETTER = auto()
    WAIT = auto()
    """Records had to wait for the sink."""


class Broker(Protocol):
    """A Kafka broker that can be paused."""

    def pause(self) -> None:
        """Pause it."""

    def resume(self) -> None:
        """Resume it."""


@dataclass(frozen=True, slots=True)
class ClusterProxies:
    """The proxies in front of the brokers and the registry (None: not possible); whether the registry answers (a
    blocking call); how many records the brokers have acknowledged.
    """

    brokers: FaultProxy
    registry: FaultProxy | None
    registry_answers: Callable[[], bool]
    published: Callable[[], int]


@dataclass(slots=True)
class ScenarioContext:
    """What a scenario has access to, and where it reports what it observed."""

    plan: Plan
    exchange: MockExchange
    broker: Broker | None = None
    cluster: ClusterProxies | None = None
    seen: list[str] = field(default_factory=list)
    """Observations for the report."""
    wrong: list[str] = field(default_factory=list)
    """Reasons why the scenario fails."""


@dataclass(frozen=True, slots=True)
class FaultScenario:
    """One kind of fault. ``run`` takes at least the given seconds; None where `crash_restart` runs it. ``applies``
    returns why the fault is not applicable to a plan, ``needs`` what is missing to run it; both an empty text where
    nothing prevents it.
    """

    name: str
    text: str
    run: Callable[[ScenarioContext, float], Awaitable[None]] | None
    expects: tuple[Expectation, ...] = ()
    applies: Callable[[Plan], str] = lambda plan: ""
    needs: Callable[[ScenarioContext], str] = lambda context: ""

    def skipped(self, context: ScenarioContext) -> str:
        """Why it is not run; empty where it is."""
        if why := self.applies(context.plan):
            return f"not applicable: {why}"
        return f"not run: {why}" if (why := self.needs(context)) else ""
