"""Dates as names of instruments have them: only digits, or a day, the first letters of a month, and a year."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Any

from k2conn.errors import RecordError

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_NAMED = r"(?P<day>\d{1,2})(?P<month>[A-Za-z]{3})"
_FORMS = {
    "yyyymmdd": re.compile(r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})\Z", re.ASCII),
    "yymmdd": re.compile(r"(?P<year>\d{2})(?P<month>\d{2})(?P<day>\d{2})\Z", re.ASCII),
    "ddmmmyy": re.compile(_NAMED + r"(?P<year>\d{2})\Z", re.ASCII),
    "ddmmmyyyy": re.compile(_NAMED + r"(?P<year>\d{4})\Z", re.ASCII),
}
DATE_UNITS = tuple(_FORMS)
"""The forms; a year of two digits is of this century."""
_EPOCH = date(1970, 1, 1).toordinal()


def days(form: str) -> Callable[[Any], int]:
    """A converter from such a date, as text or a whole number, to days since 1970; raises RecordError."""
    pattern = _FORMS[form]

    def read(value: Any) -> int:
        if value is None or value == "":
            raise RecordError(None, None, None, "missing-field", "the date is missing")
        text = str(value) if type(value) in (int, str) else ""
        found = pattern.match(text) if len(text) <= 10 else None
        if found is None:
            raise RecordError(None, None, None, "bad-time", f"'{str(value)[:40]}' is not a date as {form}")
        try:
            number = date(_year(found["year"]), _month(found["month"]), int(found["day"])).toordinal() - _EPOCH
        except ValueError as error:
            raise RecordError(None, None, None, "bad-time", f"'{text}': {error}") from None
        if number < 0:
            raise RecordError(None, None, None, "bad-time", f"'{text}' is before 1970")
        return number

    return read


def _year(text: str) -> int:
    return int(text) if len(text) == 4 else 2000 + int(text)


def _month(text: str) -> int:
    return int(text) if text.isdecimal() else _MONTHS.index(text.upper()) + 1
