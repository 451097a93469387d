"""An application of textual whose bugs are told as all others are: its own way shows the values of all variables, and
they may hold a secret or a venue's text.
"""

from __future__ import annotations

from textual.app import App
from textual.worker import WorkerFailed

VERSIONS = ">=8.2,<9"


class PlainApp(App[None]):
    """Ends at a bug without a word; the bug is then ``fault``."""

    fault: Exception | None = None

    def _handle_exception(self, error: Exception) -> None:
        """See `App`, but for what that prints."""
        found = error.error if isinstance(error, WorkerFailed) else error
        self.fault = self.fault or (found if isinstance(found, Exception) else error)
        self._return_code = 1
        if self._exception is None:  # what a test's pilot waits for
            self._exception = self.fault
            self._exception_event.set()
        self._close_messages_no_wait()
