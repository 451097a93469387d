"""`--progress`: when a run says in its log how far it is."""

from __future__ import annotations

from k2conn.errors import SettingsError
from k2conn.runner.progress import ProgressSettings
from k2conn.settings.environment import shown
from k2conn.settings.values import integer, seconds, text_list


def progress_setting(option: str, text: str) -> ProgressSettings:
    """When a run says how far it is: ``10s``, ``100`` (records), both with a comma between, or ``off``."""
    records: int | None = None
    pause: float | None = None
    if text.strip().lower() == "off":
        return ProgressSettings(None, None)
    try:
        for word in text_list(text.strip()):
            if word.isdecimal() and word.isascii():
                records = integer(word, 1, 10**12, "a whole number of records from 1 on")
            else:
                pause = seconds(word)
        if records is None and pause is None:
            raise ValueError("such as 10s, 100 (records), 100,10s or off")
    except ValueError as error:
        raise SettingsError(f"{option}{shown(text)}: {error}") from None
    return ProgressSettings(records, pause)
