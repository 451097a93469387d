"""What all sinks have settings for, and how settings are checked: when they are made, all problems at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from k2conn.errors import SettingsError

MiB = 1024 * 1024
SPOOLS = ("always", "trouble", "never")


@dataclass(frozen=True, kw_only=True)
class SpoolSettings:
    """The spool on disk before a sink that is across a network. SettingsError for what cannot be.

    ``mode``: ``trouble`` spools while the sink cannot be reached or holds more than its bound, ``always`` puts every
    record on the disk first, ``never`` has no spool. ``folder`` may be shared by processes; each takes a part of it.
    """

    mode: str = "trouble"
    folder: Path = Path("spool")
    max_bytes: int = 1024 * MiB
    """What may be on the disk; the sink is crowded beyond."""
    fsync_ms: float = 200
    """What was written is forced to the disk this often: all that a power cut can take."""
    patience_ms: float = 1000
    """How long sockets wait for a sink that holds more than its bound, before the spool takes what comes: on a machine
    that is only busy, the disk would be more to do, not less.
    """

    def __post_init__(self) -> None:
        """Refuse what cannot be, all at once."""
        problems = one_of("mode", self.mode, SPOOLS)
        if self.max_bytes < MiB:
            problems.append(f"max_bytes={self.max_bytes} is below {MiB} (1 MiB)")
        if self.fsync_ms < 0:
            problems.append(f"fsync_ms={self.fsync_ms} is below 0")
        if self.patience_ms < 0:
            problems.append(f"patience_ms={self.patience_ms} is below 0")
        refuse(problems)

    @property
    def segment_bytes(self) -> int:
        """A new file when one has grown to this: a 64th of the bound, so that room comes back in small steps."""
        return max(64 * 1024, self.max_bytes // 64)


@dataclass(frozen=True, kw_only=True)
class SinkSettings:
    """Which sink, and how. ``kind`` is its name (see `k2conn.sinks.SINKS`), ``options`` are the settings that this kind
    declares (None: its defaults).

    ``buffer_bytes`` bounds what waits in memory before the sink is crowded.
    """

    kind: str = "kafka"
    options: Any = None
    buffer_bytes: int = 32 * MiB
    spool: SpoolSettings = field(default_factory=SpoolSettings)

    def __post_init__(self) -> None:
        """Refuse bounds that bound nothing."""
        refuse(not_positive(self, "buffer_bytes"))

    @property
    def kafka(self) -> Any:
        """The options where the sink is ``kafka``; None for any other."""
        return self.options if self.kind == "kafka" else None


def refuse(problems: list[str]) -> None:
    """Raise one SettingsError with all ``problems``, if there are any. Settings in them are called by their fields, as
    ``field=...`` or at the beginning; whoever knows what the user calls them puts that in place.
    """
    if problems:
        raise SettingsError(*problems)


def one_of(name: str, value: str, known: tuple[str, ...]) -> list[str]:
    """The problem of a value that is none of the known ones, if it is one."""
    return [] if value in known else [f"{name}={value!r}: known are {', '.join(filter(None, known))}"]


def above(given: object, most: int, *names: str) -> list[str]:
    """The problems of those settings that are above ``most``."""
    return [f"{name}={getattr(given, name)} is above {most}" for name in names if getattr(given, name) > most]


def not_positive(given: object, *names: str) -> list[str]:
    """The problems of those settings that are not above 0."""
    return [f"{name}={getattr(given, name)} is not above 0" for name in names if getattr(given, name) <= 0]
