"""What a shell offers where a word is not finished: names and files of connectors, sinks, tables, words that are known.

It is asked at each press of the key, so nothing here imports what a command needs to run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

MOST = 200
"""Files of a folder that are offered; who has more of them types the name."""

Completer = Callable[[str], list[str]]


def connectors(incomplete: str) -> list[str]:
    """Names of shipped connectors, and YAML files of this folder; where a path is begun nothing, so that the shell
    completes it as any path.
    """
    if "/" in incomplete:
        return []
    from k2conn.resources import connectors_folder

    return _beginning(incomplete, (*(path.stem for path in connectors_folder().glob("*.yaml")), *_files_here()))


def sinks(incomplete: str) -> list[str]:
    """Kinds of sinks, those of installed packages too."""
    from k2conn.sinks import SINKS

    return _beginning(incomplete, SINKS.names())


def tables(incomplete: str) -> list[str]:
    """Record types as tables are called: trades, quotes, ..."""
    import tomllib

    from k2conn.resources import schemas_folder

    profiles = (tomllib.loads(path.read_text()) for path in schemas_folder().glob("*.profile.toml"))
    return _beginning(incomplete, (str(one["plural"]) for one in profiles))


def words(*known: str) -> Completer:
    """The words that an option takes."""

    def complete(incomplete: str) -> list[str]:
        return _beginning(incomplete, known)

    return complete


def commands(incomplete: str) -> list[str]:
    """The commands of k2conn."""
    from k2conn.cli.commands.registry import command_names

    return _beginning(incomplete, command_names())


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))


def _files_here() -> list[str]:
    try:
        with os.scandir() as found:
            names = sorted(one.name for one in found if one.name.endswith((".yaml", ".yml")))
    except OSError:
        return []
    return [name for name in names if not name.startswith(".")][:MOST]
