"""How old what a store knows may be when it answers."""

from __future__ import annotations

import threading
from collections.abc import Callable

from k2conn.clock import monotonic
from k2conn.errors import K2Error


class Freshness:
    """Looks (``look``, which blocks) so often that nothing known is older than ``within`` seconds in any answer. From
    half of that on it looks in a thread beside the answers, so that none waits for it while questions are steady. For
    several threads at a time.
    """

    def __init__(self, look: Callable[[], None], within: float) -> None:
        self._look = look
        self._within = within
        self._looking = threading.Lock()
        self._known = monotonic() - within
        """When the last look that succeeded began."""

    def ensure(self) -> None:
        """Returns once what is known is fresh enough; raises what the look raises."""
        age = monotonic() - self._known
        if age >= self._within:
            with self._looking:
                if monotonic() - self._known >= self._within:  # else another thread has looked meanwhile
                    self._once()
        elif age >= self._within / 2 and self._looking.acquire(blocking=False):
            threading.Thread(target=self._ahead, name="k2-freshness", daemon=True).start()

    def _once(self) -> None:
        began = monotonic()
        self._look()
        self._known = began

    def _ahead(self) -> None:
        try:
            self._once()
        except K2Error:  # the answer that has to wait for a look says why
            pass
        finally:
            self._looking.release()
