"""What is made of a bug that ended a connector: it is logged with its traceback, counted, and waited for.

The connector is started again after a delay that grows from crash to crash; the others go on meanwhile. One that ran
well for a while begins with the shortest delay again.
"""

from __future__ import annotations

import random
from types import TracebackType

from k2conn.engine.resilience.backoff import BackoffDelays
from k2conn.plan import Backoff
from k2conn.runner.connector import Connector
from k2conn.runner.event_log import get_logger

AGAIN = Backoff(base=2.0, cap=300.0)
"""Between half of this bound and all of it is waited: one to two seconds at first."""
GOOD_LIFE = 300.0
"""Seconds after which a connector counts as one that runs well."""


class Crashes:
    """The crashes of all connectors of a runner."""

    def __init__(self) -> None:
        self._delays: dict[str, BackoffDelays] = {}
        """By the connector's name: whoever takes a connector's place inherits its delay."""
        self._log = get_logger()

    def note(self, connector: Connector, bug: BaseException, lasted: float) -> float:
        """A bug has ended a connector that ran for so many seconds; how many seconds it is to stay away."""
        name = connector.plan.name
        delays = self._delays.setdefault(name, BackoffDelays(AGAIN, lambda: random.uniform(0.5, 1.0)))
        if lasted >= GOOD_LIFE:
            delays.reset()
        delay = delays.next()
        connector.connector_state.ledger.crashes += 1
        # Not its text, which is not ours and may repeat what nobody should see.
        connector.trouble = f"ended by a bug ({type(bug).__name__}), see the log"
        self._log.error("a bug of k2conn ended this connector, the others go on; please report it", connector=name,
                        bug=described(bug), crashes=connector.connector_state.ledger.crashes,
                        again_in=f"{delay:.1f} s", exc_info=bug)
        return delay

    def note_late(self, connector: Connector, bug: BaseException) -> None:
        """A bug met a connector that has ended already, or is about to."""
        connector.connector_state.ledger.crashes += 1
        self._log.error("a bug of k2conn at the end of this connector; please report it", connector=connector.plan.name,
                        bug=described(bug), exc_info=bug)


def described(error: BaseException) -> str:
    """An error in a line."""
    text = str(error).splitlines()
    return f"{type(error).__name__}: {text[0][:200]}" if text else type(error).__name__


def innermost(error: BaseException) -> BaseException:
    """The bug itself, out of the groups of tasks it went through."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def foreign(error: BaseException) -> bool:
    """Whether an error is a library's own: it went through lines of one whose callbacks run in our loop, and through
    none of ours.
    """
    at: TracebackType | None = error.__traceback__
    packages: set[str] = set()
    while at is not None:
        packages.add(str(at.tb_frame.f_globals.get("__name__", "")).partition(".")[0])
        at = at.tb_next
    return __name__.partition(".")[0] not in packages and not packages.isdisjoint(_LIBRARIES)


_LIBRARIES = ("aiokafka", "websockets")
