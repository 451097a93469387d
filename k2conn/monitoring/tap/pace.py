"""How many lines a second a listener is shown."""

from __future__ import annotations

from k2conn.clock import monotonic


class TapPace:
    """At most so many lines a second, of one source or of several.

    Of several each is kept its part for as long as it makes use of it (as it did the second before), so that a busy one
    leaves room for a quiet one.
    """

    def __init__(self, rate: int, sources: int = 1) -> None:
        self._rate = rate
        self._share = rate // sources
        self._second = 0.0
        self._offered = [0] * sources
        self._kept = [0] * sources
        self._passed = [0] * sources
        self._taken = 0
        """Lines of this second that have passed, or are kept for those that have not come yet."""

    def allows(self, source: int = 0) -> bool:
        """Whether a line that comes now is shown."""
        now = monotonic()
        if now - self._second >= 1.0:
            self._kept = [min(self._share, one) for one in self._offered] if now - self._second < 2.0 else self._zeros()
            self._offered, self._passed = self._zeros(), self._zeros()
            self._second, self._taken = now, sum(self._kept)
        self._offered[source] += 1
        if self._passed[source] >= self._kept[source]:
            if self._taken >= self._rate:
                return False
            self._taken += 1
        self._passed[source] += 1
        return True

    def _zeros(self) -> list[int]:
        return [0] * len(self._kept)
