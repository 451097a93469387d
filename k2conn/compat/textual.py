"""An application of textual whose bugs are told as all others are: its own way shows the values of all variables, and
they may hold a secret or a venue's text.
"""

from __future__ import annotations

import sys

from textual.app import App

VERSIONS = ">=8.2,<9"


class PlainApp(App[None]):
    """Ends at a bug without a word; the bug is then ``fault``."""

    fault: BaseException | None = None

    def _fatal_error(self) -> None:
        """See `App`: called while the exception is handled."""
        self.fault = self.fault or sys.exc_info()[1]
        self._close_messages_no_wait()
