"""Variables whose value is in a file: where ``NAME`` is not set, ``NAME_FILE`` may name the file that holds it, as
secrets of containers and clusters are kept. This is the one place where such a file is read.

A file may change while the process runs: whoever connects asks for the value again, and has what the file says by then.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Mapping

from k2conn.errors import SettingsError
from k2conn.secret_mask import SECRETS

SUFFIX = "_FILE"
LARGEST = 64 * 1024
"""Bytes of a file that is read."""
log = logging.getLogger(__name__)


def value_of(name: str, variables: Mapping[str, str]) -> str:
    """What a variable says, or the file that its `SUFFIX` names, without white space around it; empty where neither is
    set. SettingsError, by the variable and the file, where both are set, or the file cannot be read.
    """
    text, file = variables.get(name, "").strip(), file_of(name, variables)
    if not file:
        return text
    if text:
        raise SettingsError(f"{name} and {name}{SUFFIX} are both set: keep one of them")
    return _read(f"{name}{SUFFIX}", file)


def file_of(name: str, variables: Mapping[str, str]) -> str:
    """The file that is to say a variable's value; empty where none is named."""
    return variables.get(f"{name}{SUFFIX}", "").strip()


def is_set(name: str, variables: Mapping[str, str]) -> bool:
    """Whether a variable says something, or a file is to."""
    return bool(variables.get(name, "").strip() or file_of(name, variables))


class FileSecret(str):
    """A secret as its file said it when it was read."""

    __slots__ = ("_file", "_variable")
    _variable: str
    _file: str

    @classmethod
    def read(cls, name: str, text: str, variables: Mapping[str, str]) -> str:
        """A variable's value with the file it came from; the plain ``text`` where it came from none."""
        file = file_of(name, variables)
        if not file:
            return text
        found = cls(text)
        found._variable, found._file = f"{name}{SUFFIX}", file
        return found

    @property
    def latest(self) -> str:
        """What the file says now; where it cannot be read, what it said before, with a warning."""
        try:
            return hidden(_read(self._variable, self._file))
        except SettingsError as error:
            tell_unreadable(error)
            return str(self)


def latest(secret: str | None) -> str | None:
    """A secret as it is now, for whoever makes a new connection with it."""
    return secret.latest if isinstance(secret, FileSecret) else secret


def hidden(text: str) -> str:
    """The same text, which is in nothing that is said from then on."""
    SECRETS.add(text)
    return text


def tell_unreadable(error: SettingsError) -> None:
    """A file that could be read before cannot be read now."""
    log.warning("a secret's file cannot be read, the latest value goes on: %s", error)


def _read(variable: str, file: str) -> str:
    try:
        with open(file, "rb", opener=_not_waiting) as opened:
            if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                raise SettingsError(f"{variable} {file}: it is no file")
            raw = opened.read(LARGEST + 1)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in its name
        raise SettingsError(f"{variable} {file}: {getattr(error, 'strerror', None) or error}") from None
    if len(raw) > LARGEST:
        raise SettingsError(f"{variable} {file}: it is larger than {LARGEST // 1024} KB: a secret is short")
    try:
        text = raw.decode().strip()
    except UnicodeDecodeError:
        raise SettingsError(f"{variable} {file}: it is no text in UTF-8") from None
    if not text:
        raise SettingsError(f"{variable} {file}: it is empty")
    return text


def _not_waiting(path: str, flags: int) -> int:
    """A pipe without a writer would be waited for."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
