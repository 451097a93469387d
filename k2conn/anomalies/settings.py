"""Which kinds of anomalies are looked for, and from when on something is one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType

from k2conn.anomalies.kinds import AnomalyKind
from k2conn.errors import SettingsError

OFF = "off"
TIMES = "times"
QUIET = "quiet"
DEFAULTS: Mapping[str, str] = MappingProxyType({
    AnomalyKind.PRICE_MOVE: "0.01",
    AnomalyKind.SIZE_SPIKE: "50",
    AnomalyKind.WIDE_SPREAD: "0.01",
    AnomalyKind.CLOCK_AHEAD: "2",
    AnomalyKind.CLOCK_BEHIND: "30",
    TIMES: "10",
    QUIET: "60",
})
"""The thresholds: of price-move and wide-spread the least share of the price that is told, of size-spike how many times
what is usual, of the clock's kinds seconds. ``times``: how many times what is usual a move, a spread or a delay must
be. ``quiet``: seconds until the same is told again.
"""
LARGEST = Decimal(10**9)


class AnomalyMode(StrEnum):
    """What becomes of anomalies."""

    OFF = "off"
    """Nothing is looked for."""
    WATCH = "watch"
    """They are logged, counted and shown."""
    PUBLISH = "publish"
    """And they are records on a topic of their own."""


@dataclass(frozen=True, slots=True)
class AnomalySettings:
    """``said``: thresholds by name, as people write them, in place of the defaults; ``off`` for a kind that is not
    looked for. SettingsError for what cannot be, all problems at once.
    """

    mode: AnomalyMode = AnomalyMode.WATCH
    said: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Reads the numbers."""
        problems = []
        for name, text in self.said:
            if name not in (*AnomalyKind, TIMES, QUIET):
                problems.append(f"'{name}' is none of {', '.join((*AnomalyKind, TIMES, QUIET))}")
            elif text == OFF and name in tuple(AnomalyKind):
                continue
            elif name not in DEFAULTS:
                problems.append(f"{name} has no threshold: it is looked for, or {OFF}")
            elif _number(text) is None:
                problems.append(f"{name}={text[:40]}: a number above 0 is needed"
                                + (f", or {OFF}" if name in tuple(AnomalyKind) else ""))
        if problems:
            raise SettingsError(*problems)

    @property
    def kinds(self) -> frozenset[AnomalyKind]:
        """Those that are looked for."""
        off = {name for name, text in self.said if text == OFF}
        return frozenset(kind for kind in AnomalyKind if kind not in off)

    def number(self, name: str) -> float:
        """A threshold."""
        text = dict(self.said).get(name, DEFAULTS[name])
        found = _number(DEFAULTS[name] if text == OFF else text)
        assert found is not None
        return int(found * 1_000_000) / 1_000_000

    @property
    def quiet_us(self) -> int:
        """Microseconds until the same is told again."""
        return round(self.number(QUIET) * 1_000_000)


def read_thresholds(words: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """``NAME=VALUE`` each. SettingsError for what is not so written."""
    found = [tuple(part.strip() for part in word.partition("=")[::2]) for word in words]
    wrong = [name for name, text in found if not text]
    if wrong:
        example = f"{AnomalyKind.PRICE_MOVE}=0.02"
        raise SettingsError(*(f"'{name[:60]}': say NAME=VALUE, such as {example}" for name in wrong))
    return tuple((name, text) for name, text in found)


def _number(text: str) -> Decimal | None:
    """A number above 0 that people write; None for anything else."""
    if not text.isascii() or len(text) > 20 or not text.replace(".", "", 1).isdigit():
        return None
    found = Decimal(text)
    return found if Decimal("0.000001") <= found <= LARGEST else None
