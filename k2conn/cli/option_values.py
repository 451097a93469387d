"""Options whose text is a list or a duration; a SettingsError names the option."""

from __future__ import annotations

from collections.abc import Sequence

from k2conn.compiler.converters.times import times
from k2conn.errors import RecordError, SettingsError
from k2conn.settings.environment import shown
from k2conn.settings.values import seconds, text_list


def listed(option: str, given: str | Sequence[str] | None) -> list[str]:
    """The words of an option that takes a list, given once or several times; empty where it is not given."""
    found: list[str] = []
    for text in [given] if isinstance(given, str) else given or ():
        if not text.strip():
            raise SettingsError(f"{option}: the list is empty: name at least one")
        try:
            found += text_list(text.strip())
        except ValueError as error:
            raise SettingsError(f"{option}{shown(text)}: {error}") from None
    return list(dict.fromkeys(found))


def lasting(option: str, text: str | None) -> float | None:
    """The seconds of an option that takes a duration (``30s``, or a plain number); None where it is not given."""
    if text is None:
        return None
    try:
        return seconds(text)
    except ValueError as error:
        raise SettingsError(f"{option}{shown(text)}: {error}") from None


def moment(option: str, text: str | None) -> int | None:
    """The microseconds since the epoch of an option that takes a time (ISO 8601; UTC where it says no zone); None where
    it is not given.
    """
    if text is None:
        return None
    try:
        found: int = times("iso8601", "UTC")(text.strip())
        return found
    except RecordError:
        raise SettingsError(f"{option}{shown(text)}: a time is needed, such as 2026-01-31T08:30:00Z") from None
