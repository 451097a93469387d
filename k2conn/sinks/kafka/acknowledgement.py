"""What becomes of a batch that was sent, for its one waiter, who is told in the very call that brings the answer.

A future would tell it in another turn of the event loop, which for a batch of one record takes as long as the record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Acknowledgement:
    """That of one batch; it has the methods of a future that are needed for that."""

    __slots__ = ("_cancelled", "_done", "_error", "_told")

    def __init__(self) -> None:
        self._done = self._cancelled = False
        self._error: BaseException | None = None
        self._told: Callable[[Acknowledgement], None] | None = None

    def add_done_callback(self, told: Callable[[Acknowledgement], None]) -> None:
        """``told`` hears of the end, at once where that has come. There is one at most."""
        self._told = told
        if self._done:
            self._tell()

    def done(self) -> bool:
        """Whether it has ended."""
        return self._done

    def cancelled(self) -> bool:
        """Whether the batch was given up."""
        return self._cancelled

    def exception(self) -> BaseException | None:
        """Why the batch was not taken; None where it was, or nobody knows yet."""
        return self._error

    def set_result(self) -> None:
        """The batch was taken."""
        self._end()

    def set_exception(self, error: BaseException) -> None:
        """It was not."""
        if not self._done:
            self._error = error
            self._end()

    def cancel(self) -> None:
        """It was given up."""
        if not self._done:
            self._cancelled = True
            self._end()

    def _end(self) -> None:
        if not self._done:
            self._done = True
            self._tell()

    def _tell(self) -> None:
        if self._told is None:
            return
        try:
            self._told(self)
        except Exception as bug:  # whoever brings the answer is to go on; the loop reports it as that of a callback
            asyncio.get_running_loop().call_soon(_raise, bug)


def _raise(bug: Exception) -> None:
    raise bug
