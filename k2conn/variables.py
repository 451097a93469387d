"""Environment variables by name: which are k2conn's own settings, and which a connector file may read.

A file comes from a stranger and what it reads goes out to a host that it names. So it reads variables with its own
prefix, `K2_<CONNECTOR>_...`, and beyond that what the operator allows by name; settings of the process never.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from k2conn.variable_definitions import ALLOWED as ALLOWED
from k2conn.variable_definitions import CONNECTOR_VARIABLES as CONNECTOR_VARIABLES
from k2conn.variable_definitions import PROCESS_VARIABLES as PROCESS_VARIABLES
from k2conn.variable_definitions import PROXY_VARIABLES, ROOMS

_INTERNAL = ("K2_WORKER",)
"""What k2conn sets for processes that it starts."""
_CONNECTOR_ENDS = tuple(f"_{suffix}{end}" for suffix in CONNECTOR_VARIABLES for end in ("", "_FILE"))
_NAME = re.compile(r"[A-Z_][A-Z0-9_]*", re.ASCII)


def prefix_of(name: str) -> str:
    """What the variables of a connector, an exchange or a sink begin with: ``example-v1`` has ``K2_EXAMPLE_V1_``."""
    return "K2_" + "".join(letter if letter.isalnum() else "_" for letter in name.upper()) + "_"


def is_name(text: str) -> bool:
    """Whether a text can be a variable's name in a connector file: capitals, digits and _."""
    return _NAME.fullmatch(text) is not None


def is_setting(name: str) -> bool:
    """Whether a variable is, or by its prefix could be, a setting of the process."""
    return name in PROCESS_VARIABLES or name in PROXY_VARIABLES or name in _INTERNAL or name.startswith(tuple(ROOMS))


@dataclass(frozen=True, slots=True)
class Readable:
    """What connector files may read of the environment. Values are no matter here, only names."""

    allowed: Collection[str] = ()
    """Names that the operator allows beside a connector's own."""

    def refusal(self, name: str, connector: str) -> str:
        """Why a connector's file may not read a variable, and the way out; nothing where it may."""
        own = prefix_of(connector)
        if is_setting(name):
            return f"$env.{name} is a setting of k2conn itself, which no file may read: take another name"
        if name.startswith("K2_") and name.endswith(_CONNECTOR_ENDS):
            return f"$env.{name} is a setting of a connector, which no file may read: take another name"
        if name.startswith(own) or name in self.allowed:
            return ""
        rest = name.removeprefix("K2_").removeprefix(own.removeprefix("K2_"))
        return (f"a file reads variables of its own only: name it $env.{own}{rest}, or allow it with"
                f" --allow-env {name} ({ALLOWED}={name})")
