"""Where the lake is and how it is written: checked when they are made."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from k2conn.files import unwritable
from k2conn.loopback import is_loopback
from k2conn.sinks.settings import above, not_positive, one_of, refuse
from k2conn.variable_definitions import Variable

VARIABLES = {
    "K2_LAKE_FOLDER": Variable("folder", "path", "The folder of the embedded catalog (SQLite) and its tables."),
    "K2_LAKE_CATALOG": Variable("catalog", "text", "A REST catalog's address instead, http(s)://..."),
    "K2_LAKE_WAREHOUSE": Variable("warehouse", "text", "What that catalog calls the warehouse."),
    "K2_LAKE_CREDENTIAL": Variable("credential", "secret", "client:secret for that catalog."),
    "K2_LAKE_OAUTH_URL": Variable("oauth_url", "text", "Who gives a token for the credential; else the catalog."),
    "K2_LAKE_TOKEN": Variable("token", "secret", "A bearer token for that catalog."),
    "K2_LAKE_S3_ENDPOINT": Variable("s3_endpoint", "text", "The object store's address."),
    "K2_LAKE_S3_REGION": Variable("s3_region", "text", "Its region."),
    "K2_LAKE_S3_ACCESS_KEY_ID": Variable("s3_access_key_id", "text", "The id of our key there."),
    "K2_LAKE_S3_SECRET_ACCESS_KEY": Variable("s3_secret_access_key", "secret", "Our key there."),
    "K2_LAKE_NAMESPACE": Variable("namespace", "text", "The namespace of all tables."),
    "K2_LAKE_TABLE": Variable("table", "text", "A record type's table, of {plural} (trades) or {record} (trade)."),
    "K2_LAKE_CREATE": Variable("create", "bool", "Make missing tables at start."),
    "K2_LAKE_VENDOR_DATA": Variable("vendor_data", "text", "How a new table has maps: map, or text of json."),
    "K2_LAKE_COMMIT_ROWS": Variable("commit_rows", "int", "A commit is made with so many rows."),
    "K2_LAKE_COMMIT_MS": Variable("commit_ms", "ms", "A commit is made after so long."),
    "K2_LAKE_DEDUPE": Variable("dedupe", "bool", "Leave out what the table has already."),
    "K2_LAKE_SNAPSHOTS": Variable("snapshots", "int", "Snapshots that a writer keeps."),
    "K2_LAKE_RETRIES": Variable("retries", "int", "Attempts after the first, before the spool takes what comes."),
    "K2_LAKE_TIMEOUT_MS": Variable("timeout_ms", "ms", "Of one commit."),
    "K2_LAKE_OPEN_TIMEOUT_MS": Variable("open_timeout_ms", "ms", "Of the start."),
    "K2_LAKE_LOOK_MS": Variable("look_ms", "ms", "How old what readers know of the tables may be."),
}
"""Environment variable -> (LakeSettings field, how its text is read)."""

MAPS = ("map", "json")
MOST_ROWS = 500_000
MOST_SNAPSHOTS = 10_000
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,63}")
_TEMPLATE = re.compile(r"[a-z0-9_]*\{(?:plural|record)\}[a-z0-9_]*")


@dataclass(frozen=True, kw_only=True)
class LakeSettings:
    """Which lake, and how it is written. SettingsError for what cannot be."""

    folder: Path = Path("lake")
    """Where the embedded catalog (SQLite) and its tables are; unused with a ``catalog``."""
    catalog: str = ""
    """The address of a REST catalog, ``http(s)://...``; empty: the embedded one in ``folder``."""
    warehouse: str = ""
    """What the REST catalog calls the warehouse, such as ``s3://bucket``."""
    credential: str | None = field(default=None, repr=False)
    """``client:secret`` for a REST catalog."""
    oauth_url: str = ""
    """Who gives a token for the credential; empty: the catalog itself."""
    token: str | None = field(default=None, repr=False)
    """A bearer token for a REST catalog."""
    s3_endpoint: str = ""
    s3_region: str = ""
    s3_access_key_id: str = ""
    s3_secret_access_key: str | None = field(default=None, repr=False)
    namespace: str = "market_data"
    table: str = "{plural}_v2"
    """The name of a record type's table: ``{plural}`` (trades) or ``{record}`` (trade)."""
    create: bool = True
    """Whether a start makes the tables that are not there."""
    vendor_data: str = "map"
    """How a new table has maps: as ``map``, or as text of ``json``."""
    commit_rows: int = 50_000
    commit_ms: float = 3000
    """A commit is made with so many rows of a table, or after so long."""
    dedupe: bool = True
    """Whether a record that is in the table already is left out."""
    snapshots: int = 100
    """The latest snapshots that a writer keeps; beyond twice as many it lets the older ones go."""
    retries: int = 3
    """Attempts after the first, before the spool takes what comes."""
    timeout_ms: float = 60_000
    """For one commit."""
    open_timeout_ms: float = 10_000
    look_ms: float = 1000
    """How old what the API knows of the tables may be when it answers."""

    def __post_init__(self) -> None:
        """Refuse what cannot be, all at once."""
        problems = [
            *not_positive(self, "commit_rows", "commit_ms", "snapshots", "timeout_ms", "open_timeout_ms",
                           "look_ms"),
            *above(self, MOST_ROWS, "commit_rows"), *above(self, MOST_SNAPSHOTS, "snapshots"),
            *one_of("vendor_data", self.vendor_data, MAPS),
            *_address("catalog", self.catalog, self.credential or self.token),
            *_address("oauth_url", self.oauth_url, self.credential),
            *_address("s3_endpoint", self.s3_endpoint, self.s3_secret_access_key),
        ]
        if self.retries < 0:
            problems.append(f"retries={self.retries} is below 0")
        if not _NAME.fullmatch(self.namespace):
            problems.append(f"namespace={self.namespace!r}: small letters, digits and _, at most 64")
        if not _TEMPLATE.fullmatch(self.table) or len(self.table) > 64:
            problems.append(f"table={self.table!r}: small letters, digits and _ around {{plural}} or {{record}}")
        if not self.catalog:
            problems += [f"{name}= is for a REST catalog: say catalog="
                         for name in ("warehouse", "credential", "oauth_url", "token") if getattr(self, name)]
        if bool(self.s3_access_key_id) != bool(self.s3_secret_access_key):
            problems.append("s3_access_key_id= and s3_secret_access_key= go together")
        refuse(problems)

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return f"{self.catalog} {self.warehouse}".strip() if self.catalog else str(self.folder)

    def wrong_folder(self) -> list[str]:
        """Why nothing can be written into the folder, where it is used."""
        text = "" if self.catalog else unwritable(self.folder)
        return [f"folder={self.folder}: {text}"] if text else []


def _address(name: str, address: str, secret: str | None) -> list[str]:
    """What is wrong with an address; no text repeats it, for it may hold a password."""
    if not address:
        return []
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return [f"{name}= is no address: http(s)://host:port"]
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return [f"{name}= begins with http:// or https://"]
    if parts.username or parts.password:
        return [f"{name}= holds a password: it has a setting of its own"]
    if secret and parts.scheme == "http" and not is_loopback(parts.hostname):
        return [f"{name}= is http:// on another machine: a secret goes there over https:// only"]
    return []
