"""Who may look at the web console (docs/console.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from k2conn.settings.environment import Environment

SHORTEST_TOKEN = 16


class ConsoleSettings(NamedTuple):
    """``shown``: whether there is a console. ``token``: what must be shown to look; empty where nothing need be.
    ``hosts``: names under which the port is reached, in small letters.
    """

    shown: bool = True
    token: str = ""
    hosts: tuple[str, ...] = ()


def console_settings(environment: Mapping[str, str]) -> ConsoleSettings:
    """`K2_CONSOLE`, `K2_CONSOLE_TOKEN` (without it the token of the tap, which shows the same), `K2_CONSOLE_HOSTS`.
    SettingsError with all problems.
    """
    reader = Environment(environment)
    shown: bool | None = reader.get("K2_CONSOLE", "bool")
    token: str | None = reader.get("K2_CONSOLE_TOKEN", "secret")
    of_tap: str | None = reader.get("K2_TAP_TOKEN", "secret")
    hosts: list[str] | None = reader.get("K2_CONSOLE_HOSTS", "list")
    if token and (len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token):
        reader.problems.append(f"K2_CONSOLE_TOKEN: {SHORTEST_TOKEN} or more characters of ASCII without spaces, for it "
                               "to be none that can be guessed")
    reader.finish()
    return ConsoleSettings(shown is not False, token or of_tap or "", tuple(one.lower() for one in hosts or ()))
