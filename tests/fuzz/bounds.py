"""How long a run lasts, and what one input may cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """A run ends with ``executions`` or ``seconds``, whatever comes first; 0 is no bound."""

    executions: int = 0
    seconds: int = 0
    timeout: int = 20
    """Seconds of one input."""
    memory: int = 2048
    """MiB of the process."""
