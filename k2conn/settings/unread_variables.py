"""Variables that nobody reads, though they look as if somebody should."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from k2conn.consumer.settings import VARIABLES as CONSUMER_VARIABLES
from k2conn.settings import RECORD_VARIABLES, SPOOL_VARIABLES
from k2conn.sinks import SINKS
from k2conn.variable_files import SUFFIX
from k2conn.variables import CONNECTOR_VARIABLES, PROCESS_VARIABLES, prefix_of

NEAR = 0.84
"""How alike a misspelt name is: a letter or two."""


def unread(
    environment: Mapping[str, str], names: Sequence[str], sink: str | None = None, others: Iterable[str] = (),
    files: Iterable[str] = (),
) -> dict[str, str]:
    """Variables that nothing reads, each with what may be meant instead ("" where nobody knows): those that begin as
    settings of sinks, the spool, or these connectors or exchanges do, and those that are spelt nearly as a setting of
    the process, or of a connector of these ``names`` or of the ``others`` that there are. ``sink`` is the kind that is
    used; ``files`` are the variables that connector files read.
    """
    kinds = [*SINKS.built_in, *([sink] if sink and sink not in SINKS.built_in else [])]
    variables = {name: one for kind in kinds for name, one in SINKS.get(kind).read_from(kind).items()}
    prefixes = tuple(dict.fromkeys(prefix_of(name) for name in names))
    own = {*variables, *SPOOL_VARIABLES, *RECORD_VARIABLES, *CONSUMER_VARIABLES, *_of(prefixes), *files}
    read_ones = _or_in_files(own) | {*PROCESS_VARIABLES}
    sinks = [prefix for kind in kinds for prefix in (prefix_of(kind), prefix_of(f"sink {kind}"))
             if any(name.startswith(prefix) for name in variables)]
    ours = ("K2_SPOOL", *sinks, *prefixes)
    known = read_ones | _or_in_files(_of(prefix_of(name) for name in others))
    found: dict[str, str] = {}
    for name in sorted(environment):
        if not name.startswith("K2_") or name in (read_ones if name.startswith(ours) else known):
            continue
        near = get_close_matches(name, known, n=1, cutoff=NEAR)
        if near or name.startswith(ours):
            found[name] = near[0] if near else ""
    return found


def _or_in_files(names: set[str]) -> set[str]:
    return names | {f"{name}{SUFFIX}" for name in names}


def _of(prefixes: Iterable[str]) -> set[str]:
    return {f"{prefix}{suffix}" for prefix in prefixes for suffix in CONNECTOR_VARIABLES}
