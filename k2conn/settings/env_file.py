"""Files of variables, as containers and service managers have them: ``NAME=VALUE``, a line each.

Empty lines and those that begin with ``#`` say nothing; ``export`` before a name is passed over, and quotes around a
whole value are taken off. Everything else is the value as it stands: nothing is expanded, looked up or run. Values may
be secrets, so no problem quotes one.
"""

from __future__ import annotations

import re
from pathlib import Path

from k2conn.errors import SettingsError

LARGEST = 256 * 1024
"""Bytes."""
_LINE = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*(.*)", re.ASCII)


def read_env_file(path: Path) -> dict[str, str]:
    """The variables of one file. SettingsError with all problems, each with its line."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except OSError as error:
        raise SettingsError(f"--env-file {path}: {error.strerror or error}") from None
    if len(raw) > LARGEST:
        raise SettingsError(f"--env-file {path}: it is larger than {LARGEST // 1024} KiB")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SettingsError(f"--env-file {path}: it is no text in UTF-8") from None
    found: dict[str, str] = {}
    problems: list[str] = []
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        problem = _take(line.strip(), found)
        if problem:
            problems.append(f"--env-file {path}, line {number}: {problem}")
    if problems:
        raise SettingsError(*problems)
    return found


def _take(line: str, found: dict[str, str]) -> str:
    """Takes in one line; what is wrong with it, without its value."""
    one = _LINE.fullmatch(line)
    if one is None:
        return "it is not NAME=VALUE"
    name, value = one.groups()
    if any(letter < " " and letter != "\t" for letter in value):
        return f"the value of {name} has control characters"
    if value[:1] in ("'", '"'):
        if len(value) < 2 or value[-1] != value[0]:
            return f"the value of {name} begins with a quote and does not end with it"
        value = value[1:-1]
    if name in found and found[name] != value:
        return f"{name} has another value further up"
    found[name] = value
    return ""
