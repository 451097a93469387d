"""Whoever looks at the board of one runner: the looks and latest records are kept for as long as somebody asks."""

from __future__ import annotations

import asyncio

from k2conn.clock import monotonic
from k2conn.monitoring.board.figures import BoardFigures, board_figures
from k2conn.monitoring.board.looks import LastRecords, Looks
from k2conn.monitoring.board.query import BoardQuery
from k2conn.runner import Runner

IDLE = 15.0
"""Seconds without a question after which nothing is kept any more."""


class BoardWatch:
    """Watches one runner while it is asked."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._looks = Looks()
        self._last = LastRecords()
        self._resting: asyncio.TimerHandle | None = None
        """When it has not been asked for a while; None while nobody asks."""

    def figures(self, query: BoardQuery) -> BoardFigures:
        """What there is now. The first answer has neither rates nor records: from then on they are kept."""
        if self._resting is None:
            self._runner.observers.add(self._last)
        else:
            self._resting.cancel()
        self._resting = asyncio.get_running_loop().call_later(IDLE, self.rest)
        return board_figures(self._runner, query, self._looks.between(self._runner, monotonic()), self._last)

    def rest(self) -> None:
        """Nobody asks any more."""
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
            self._runner.observers.remove(self._last)
            self._last.forget()
            self._looks.forget()
