"""Environment variables that connector files may read beside their own: `--allow-env` and `K2_ALLOW_ENV`."""

from __future__ import annotations

import os
from collections.abc import Sequence

from k2conn.errors import SettingsError
from k2conn.variables import ALLOWED, Readable, is_name, is_setting

FLAG = "--allow-env"


def allow(names: Sequence[str]) -> None:
    """Reads the flag, which is the variable for this process and for those that it starts."""
    said = _listed(FLAG, names)
    _check(said, FLAG)
    os.environ[ALLOWED] = ",".join([*said, *_said()])


def readable() -> Readable:
    """What connector files may read; SettingsError where that allows what nobody can."""
    said = _said()
    _check(said, ALLOWED)
    return Readable(frozenset(said))


def _said() -> list[str]:
    text = os.environ.get(ALLOWED, "").strip()
    return _listed(ALLOWED, [text]) if text else []


def _listed(said: str, texts: Sequence[str]) -> list[str]:
    from k2conn.cli.option_values import listed  # with it come all settings: most commands need none

    return listed(said, texts)


def _check(names: Sequence[str], said: str) -> None:
    problems = [f"{said} {name}: no name of a variable, in capitals" for name in names if not is_name(name)]
    problems += [f"{said} {name}: a setting of k2conn itself, which no connector file may read" for name in names
                 if is_name(name) and is_setting(name)]
    if problems:
        raise SettingsError(*problems)
