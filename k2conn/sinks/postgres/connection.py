"""Connections to the database, and its errors as ours."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg  # type: ignore[import-untyped]

from k2conn.errors import K2Error, SinkError, Unreachable
from k2conn.net.tls import client_context, tls_trouble
from k2conn.sinks.batching import BatchRefused
from k2conn.sinks.postgres.settings import PostgresSettings
from k2conn.variable_files import latest

Connection = Any
"""asyncpg's; it comes without types."""

AGAIN = 0.5
"""Seconds between two attempts while the open timeout lasts."""
_ROWS = ("22", "23", "44", "54", "P0")
"""Classes of errors that a row is to blame for: its data, a constraint, a view's check, its size, a trigger."""
_SERVER = ("08", "53", "57", "58", "XX")
"""The whole server is in trouble: the connection, its resources, an operator, its files."""
_READ_ONLY = "25006"
"""What was a primary has become a standby."""
_STARTING = ("57P03", "53300")
_NOT_NULL = "23502"
_COLUMN = re.compile(r"^COPY \w+, line \d+, column (\w+)")


def _arguments(settings: PostgresSettings, within: float) -> dict[str, Any]:
    """What asyncpg is given to reach the database in at most ``within`` seconds."""
    arguments: dict[str, Any] = {
        "dsn": settings.dsn, "timeout": within, "command_timeout": settings.timeout_ms / 1000,
        # What we say is said in transactions of our own, and a pooler between does not know prepared statements.
        "statement_cache_size": 0,
        "server_settings": {"application_name": "k2conn", "timezone": "UTC", "search_path": settings.schema},
    }
    if settings.password is not None:
        arguments["password"] = latest(settings.password)
    if settings.checked_tls:
        arguments["ssl"] = client_context(settings.ca_file, True, settings.cert_file, settings.key_file)
    return arguments


async def connect(settings: PostgresSettings, within: float, **server_settings: str) -> Connection:
    """A connection, in at most ``within`` seconds. Unreachable with the address and the reason. ``server_settings`` are
    PostgreSQL's own, for this session.
    """
    arguments = _arguments(settings, within)
    arguments["server_settings"] |= server_settings
    try:
        return await asyncpg.connect(**arguments)
    except asyncpg.PostgresError as error:
        raise _Refused(f"postgres {settings.place}: {words(error)}", error.sqlstate in _STARTING) from None
    except (OSError, asyncpg.InterfaceError, ValueError, ssl.SSLError) as error:
        passing = isinstance(error, OSError) and not tls_trouble(error)
        raise _Refused(f"postgres {settings.place}: {_reason(error, within)}", passing) from None
    except Exception as error:  # whatever the client meets where somebody else answers than PostgreSQL
        raise _Refused(f"postgres {settings.place}: no PostgreSQL answers there ({error!r})", False) from None


async def connect_by(settings: PostgresSettings) -> Connection:
    """A connection, trying again until the open timeout is over. Unreachable at once where waiting is of no use."""
    now = asyncio.get_running_loop().time
    end = now() + settings.open_timeout_ms / 1000
    while True:
        try:
            return await connect(settings, max(0.1, end - now()))
        except _Refused as error:
            if not error.passing or now() + AGAIN > end:
                raise
            await asyncio.sleep(AGAIN)


class _Refused(Unreachable):
    """``passing``: it may be otherwise in a moment."""

    def __init__(self, text: str, passing: bool) -> None:
        super().__init__(text)
        self.passing = passing


@asynccontextmanager
async def sorted_errors(place: str, what: str, columns: frozenset[str] = frozenset()) -> AsyncIterator[None]:
    """The block's errors, as `BatchWriter.write` has them. ``columns`` are ours: where another one must not be empty,
    no row of ours is to blame, but the table.
    """
    try:
        yield
    except asyncpg.PostgresError as error:
        raise _sorted(place, what, error, columns) from None
    except (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:  # TimeoutError is an OSError
        raise Unreachable(f"postgres {place}: {_reason(error, 0)}") from None


def _sorted(place: str, what: str, error: Any, columns: frozenset[str]) -> K2Error:
    state, text = error.sqlstate or "", words(error)
    if state == _NOT_NULL and columns and error.column_name not in columns:
        return SinkError(f"{what}: {text}")
    if state.startswith(_ROWS):
        return BatchRefused(text)
    if state.startswith(_SERVER) or state == _READ_ONLY:
        return Unreachable(f"postgres {place}: {text}")
    return SinkError(f"{what}: {text}")


def words(error: Any) -> str:
    """What the database says: its message, its detail, its code."""
    column = _COLUMN.search(getattr(error, "context", None) or "")
    place = f"{column[1]}: " if column else ""
    detail = f" ({error.detail})" if getattr(error, "detail", None) else ""
    return f"{place}{error.args[0]}{detail} [{error.sqlstate}]".replace("\n", " ")


def _reason(error: BaseException, within: float) -> str:
    if trouble := tls_trouble(error):
        return trouble
    if isinstance(error, ConnectionRefusedError):
        return "connection refused: nothing listens there"
    if isinstance(error, socket.gaierror):
        return "the name cannot be resolved"
    if isinstance(error, TimeoutError):
        return f"no answer within {within:g} s" if within else "no answer in time"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
