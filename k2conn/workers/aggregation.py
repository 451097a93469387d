"""Sums over workers: of what each says on /health, and of the final books.

Most of it is figures in nested objects, and these add up. What does not (states, sockets, the equation) is made of the
workers' own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from k2conn import __version__
from k2conn.engine.accounting.ledger import equation
from k2conn.engine.resilience.circuit_breaker import BreakerState
from k2conn.runner.connection_state import ConnectionState


def added(values: Sequence[Any]) -> Any:
    """Values of one kind as one: numbers are added, objects by their members, lists joined, flags true where all are,
    texts side by side where they differ.
    """
    known = [value for value in values if value is not None]
    if not known:
        return None
    first = known[0]
    if isinstance(first, bool):
        return all(known)
    if isinstance(first, int | Decimal | float):
        return sum(known)
    if isinstance(first, Mapping):
        keys = dict.fromkeys(key for one in known for key in one)
        return {key: added([one[key] for one in known if key in one]) for key in keys}
    if isinstance(first, list):
        return [item for one in known for item in one]
    return ", ".join(dict.fromkeys(map(str, known)))


def health(answers: Mapping[int, Any], workers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The health of a crew: what each worker says (None: nothing), and how the parent sees them."""
    said = {index: one for index, one in answers.items() if one is not None}
    waiting = [f"worker {index}" for index in answers if index not in said]
    waiting += [f"worker {index}: {text}" for index, one in said.items() for text in one["waiting_for"]]
    failed = len(said) == len(answers) and all(one["status"] == "failed" for one in said.values())
    names = dict.fromkeys(name for one in said.values() for name in one["connectors"])
    return {
        "status": "failed" if failed else "degraded" if waiting else "ok",
        "ready": not waiting,
        "waiting_for": waiting,
        "version": __version__,
        "workers": list(workers),
        "sink": _sink([one["sink"] for one in said.values()]) if said else {"reachable": None},
        "connectors": {
            name: _connector({at: one["connectors"][name] for at, one in said.items() if name in one["connectors"]})
            for name in names
        },
    }


def _sink(sinks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = added(sinks)
    if isinstance(found.get("spool"), dict):
        found["spool"]["full"] = any(one["spool"]["full"] for one in sinks)
    return found


def _connector(said: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = added(list(said.values()))
    found["state"] = ConnectionState.worst(one["state"] for one in said.values())
    found["sockets"] = [
        {**socket, "socket": f"{index}/{socket['socket']}", "worker": index}
        for index, one in said.items()
        for socket in one["sockets"]
    ]
    found["ledger"] = equation(found)
    found["endpoints"] = {
        name: [_endpoint(same) for same in zip(*(one["endpoints"][name] for one in said.values() if name in
                                                one["endpoints"]), strict=True)]
        for name in found["endpoints"]
    }
    return found


def _endpoint(same: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = added(same)
    found["breaker"] = BreakerState.worst(one["breaker"] for one in same)
    return found


def report(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The final books of a crew, of those of its workers (`Runner.report`)."""
    found: dict[str, Any] = added(reports) or {"records": 0, "sink": None, "connectors": {}}
    found["seconds"] = max((one["seconds"] for one in reports), default=0)
    return found
