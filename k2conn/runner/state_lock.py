"""The lock on connectors' state files: two processes that keep the state of one connector would each undo the
other's.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from k2conn.errors import SettingsError
from k2conn.files import lock_file


class StateLock:
    """The locks of some connectors in a state folder. The system releases them when the process ends, however it
    ends.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._handles: list[int] = []

    def take(self, names: Iterable[str]) -> None:
        """Locks the state of these connectors and makes the folder where need be. SettingsError where another process
        has one of them, or the folder cannot be written to.
        """
        taken: list[str] = []
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for name in names:
                handle = lock_file(self._folder / f"{name}.lock")
                if handle is None:
                    taken.append(name)
                else:
                    self._handles.append(handle)
        except OSError as error:
            raise SettingsError(f"K2_STATE_FOLDER {self._folder}: {error.strerror or error}") from None
        if taken:
            raise SettingsError(
                f"K2_STATE_FOLDER {self._folder}: another process has it for {', '.join(taken)}: "
                "stop that one, or give this one a folder of its own"
            )

    def release(self) -> None:
        """Gives all back."""
        while self._handles:
            os.close(self._handles.pop())
