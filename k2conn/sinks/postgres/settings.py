"""The PostgreSQL sink's settings: checked when they are made."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from k2conn.errors import SettingsError
from k2conn.loopback import is_loopback
from k2conn.net.tls import client_context
from k2conn.sinks.settings import above, not_positive, refuse
from k2conn.variable_definitions import Variable

VARIABLES = {
    "K2_POSTGRES_DSN": Variable("dsn", "secret", "postgresql://user:password@host:port/database"),
    "K2_POSTGRES_PASSWORD": Variable("password", "secret", "Where the address holds none."),
    "K2_POSTGRES_SCHEMA": Variable("schema", "text", "The schema of all tables."),
    "K2_POSTGRES_TABLE": Variable("table", "text", "A record type's table, of {plural} (trades) or {record} (trade)."),
    "K2_POSTGRES_MIGRATE": Variable("migrate", "bool", "Make what is missing at start; false: only look."),
    "K2_POSTGRES_DEAD_LETTERS": Variable(
        "dead_letters", "path", "A folder for dead letters; else the table dead_letters."
    ),
    "K2_POSTGRES_BATCH_ROWS": Variable("batch_rows", "int", "A batch goes with so many rows."),
    "K2_POSTGRES_BATCH_MS": Variable("batch_ms", "ms", "A batch goes after so long."),
    "K2_POSTGRES_UPDATE_ROWS": Variable(
        "update_rows", "int", "The same for records that replace rows, such as candles."
    ),
    "K2_POSTGRES_UPDATE_MS": Variable("update_ms", "ms", "The same for records that replace rows, such as candles."),
    "K2_POSTGRES_RETRIES": Variable("retries", "int", "Attempts after the first, before the spool takes what comes."),
    "K2_POSTGRES_TIMEOUT_MS": Variable("timeout_ms", "ms", "Of one batch."),
    "K2_POSTGRES_OPEN_TIMEOUT_MS": Variable("open_timeout_ms", "ms", "Of the start."),
    "K2_POSTGRES_COMPRESS_AFTER_DAYS": Variable(
        "compress_after_days", "int", "Of TimescaleDB's chunks, when a table is made; 0: never."
    ),
    "K2_POSTGRES_RETENTION_DAYS": Variable(
        "retention_days", "int", "Of TimescaleDB's chunks, when a table is made; 0: never."
    ),
    "K2_POSTGRES_SSL_CA_FILE": Variable("ca_file", "path", "Authorities for the server, PEM."),
    "K2_POSTGRES_SSL_CERT_FILE": Variable("cert_file", "path", "Our certificate, PEM."),
    "K2_POSTGRES_SSL_KEY_FILE": Variable("key_file", "path", "Its key, PEM."),
}
"""Environment variable -> (PostgresSettings field, how its text is read)."""

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,39}")
_TEMPLATE = re.compile(r"[a-z0-9_]*\{(?:plural|record)\}[a-z0-9_]*")
MOST_BATCH = 50_000
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


@dataclass(frozen=True, kw_only=True)
class PostgresSettings:
    """How to reach and use a database. SettingsError for what cannot be."""

    dsn: str = field(default="postgresql://localhost:5432/k2", repr=False)
    """``postgresql://user:password@host:port/database``. A server on another machine must have a certificate that is
    accepted, unless ``?sslmode=`` says otherwise.
    """
    password: str | None = field(default=None, repr=False)
    """Where the address holds none."""
    schema: str = "public"
    table: str = "{plural}_v2"
    """The name of a record type's table: ``{plural}`` (trades) or ``{record}`` (trade)."""
    migrate: bool = True
    """Whether a start makes the tables that are not there; else it only looks at them."""
    dead_letters: Path | None = None
    """A folder for them, as JSON lines; None: the table ``dead_letters``."""
    batch_rows: int = 5000
    batch_ms: float = 500
    """A batch goes with so many rows, or after so long."""
    update_rows: int = 10
    update_ms: float = 1000
    """The same for records that replace the row of their key, such as candles."""
    retries: int = 3
    """Attempts after the first, before the spool takes what comes."""
    timeout_ms: float = 30_000
    """For one batch."""
    open_timeout_ms: float = 10_000
    compress_after_days: int = 7
    retention_days: int = 0
    """Of TimescaleDB; 0: never."""
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be, all at once."""
        problems = [
            *_address(self.dsn),
            *not_positive(self, "batch_rows", "batch_ms", "update_rows", "update_ms", "timeout_ms", "open_timeout_ms"),
            *above(self, MOST_BATCH, "batch_rows", "update_rows"),
        ]
        for name in ("retries", "compress_after_days", "retention_days"):
            if getattr(self, name) < 0:
                problems.append(f"{name}={getattr(self, name)} is below 0")
        if not _NAME.fullmatch(self.schema):
            problems.append(f"schema={self.schema!r}: small letters, digits and _, at most 40")
        if not _TEMPLATE.fullmatch(self.table) or len(self.table) > 40:
            problems.append(f"table={self.table!r}: small letters, digits and _ around {{plural}} or {{record}}")
        if self.key_file and not self.cert_file:
            problems.append("key_file= is given without cert_file=")
        refuse(problems)

    @property
    def place(self) -> str:
        """Host, port and database, without what is secret."""
        parts = urlsplit(self.dsn)
        host = _host(parts)
        shown = f"[{host}]" if ":" in host else host
        return f"{shown}:{parts.port or 5432}/{unquote(parts.path.lstrip('/')) or 'postgres'}"

    @property
    def checked_tls(self) -> bool:
        """Whether TLS with a certificate that is checked is asked for by us: a server elsewhere, and nothing said."""
        parts = urlsplit(self.dsn)
        mode = parse_qs(parts.query).get("sslmode", [""])[-1]
        host = _host(parts)
        return mode == "verify-full" or bool(not mode and not host.startswith("/") and not is_loopback(host))

    def wrong_files(self) -> list[str]:
        """What is wrong with the files for TLS."""
        try:
            client_context(self.ca_file, True, self.cert_file, self.key_file)
        except SettingsError as error:
            return list(error.problems)
        return []


def _host(parts: SplitResult) -> str:
    return parts.hostname or parse_qs(parts.query).get("host", ["localhost"])[-1]


def _address(dsn: str) -> list[str]:
    """What is wrong with it; no text repeats it, for it may hold a password."""
    try:
        parts = urlsplit(dsn)
        port = parts.port
    except ValueError:
        return ["dsn= is no address: postgresql://user:password@host:port/database"]
    if parts.scheme not in ("postgresql", "postgres"):
        return ["dsn= begins with postgresql://"]
    if port == 0 or "," in parts.netloc:
        return ["dsn= names one host, and a port from 1 to 65535 if any"]
    mode = parse_qs(parts.query).get("sslmode", ["disable"])[-1]
    return [] if mode in _SSL_MODES else [f"dsn= has a sslmode that is none of {', '.join(_SSL_MODES)}"]
