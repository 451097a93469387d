"""The catalog behind the lake, and what can go wrong with it as our errors."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from k2conn.errors import K2Error, SettingsError, SinkError, Unreachable
from k2conn.files import make_folder
from k2conn.lake.settings import LakeSettings
from k2conn.variable_files import latest

Catalog = Any
"""pyiceberg's."""
IcebergTable = Any
"""pyiceberg's, at one snapshot."""

CATALOG_FILE = "catalog.db"
WAREHOUSE = "warehouse"
_BUSY = 20
"""Seconds that SQLite waits for another process's commit."""
_MISSING = "the lake needs packages more: pip install 'k2conn[lake]'"


def installed() -> None:
    """SettingsError where the extra is not there. Imports what takes long, so that no bound in time has to hold for
    that, too.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pydantic and SQLAlchemy, about each other's releases
        try:
            import pyarrow  # type: ignore[import-untyped] # noqa: F401
            import pyiceberg.catalog.rest
            import pyiceberg.catalog.sql
            import pyiceberg.io.pyarrow  # noqa: F401
        except ImportError:
            raise SettingsError(_MISSING) from None


def open_catalog(settings: LakeSettings, read_only: bool = False) -> Catalog:
    """The catalog. Unreachable where it does not answer; with ``read_only`` nothing is made, and SettingsError tells of
    a folder without a lake.
    """
    installed()
    from pyiceberg.catalog import load_catalog

    with sorted_errors(settings):
        if settings.catalog:
            return load_catalog("k2conn", type="rest", uri=settings.catalog, **_remote(settings))
        return load_catalog("k2conn", type="sql", **_embedded(settings, read_only), **_storage(settings))


def _embedded(settings: LakeSettings, read_only: bool) -> dict[str, str]:
    folder = settings.folder.absolute()
    file = folder / CATALOG_FILE
    if read_only:
        if not file.is_file():
            raise SettingsError(f"{settings.folder}: there is no lake; k2conn run --sink iceberg makes one")
    else:
        make_folder(folder, link=True)
    return {"uri": f"sqlite:///{quote(str(file))}?timeout={_BUSY}", "warehouse": _file_uri(folder / WAREHOUSE)}


def _file_uri(path: Path) -> str:
    return f"file://{path}"  # as pyiceberg reads it: nothing is quoted


def _remote(settings: LakeSettings) -> dict[str, str]:
    given = {"warehouse": settings.warehouse, "credential": latest(settings.credential),
             "token": latest(settings.token),
             "oauth2-server-uri": settings.oauth_url or f"{settings.catalog.rstrip('/')}/v1/oauth/tokens"}
    return {name: value for name, value in given.items() if value} | _storage(settings)


def _storage(settings: LakeSettings) -> dict[str, str]:
    given = {
        "s3.endpoint": settings.s3_endpoint, "s3.region": settings.s3_region,
        "s3.access-key-id": settings.s3_access_key_id, "s3.secret-access-key": latest(settings.s3_secret_access_key),
        "s3.connect-timeout": "10", "s3.request-timeout": "30",
    }
    return {name: value for name, value in given.items() if value}


def locations(catalog: Catalog, namespace: str) -> Mapping[str, str | None] | None:
    """Where the metadata of each table of a namespace are now, by the table's name: one cheap question. None where a
    catalog (REST) says so only by handing out a whole table.
    """
    from pyiceberg.catalog.sql import IcebergTables as Tables
    from pyiceberg.catalog.sql import SqlCatalog
    from sqlalchemy import select

    if not isinstance(catalog, SqlCatalog):
        return None
    question = select(Tables.table_name, Tables.metadata_location).where(
        Tables.catalog_name == catalog.name, Tables.table_namespace == namespace
    )
    with catalog.engine.connect() as connection:
        return {row.table_name: row.metadata_location for row in connection.execute(question)}


def make_namespace(catalog: Catalog, name: str) -> None:
    """Makes a namespace, unless it is there, or another writer makes it in the same moment."""
    from sqlalchemy.exc import IntegrityError

    with suppress(IntegrityError):  # between the embedded catalog's own look and its INSERT
        catalog.create_namespace_if_not_exists(name)


@contextmanager
def sorted_errors(settings: LakeSettings, what: str = "") -> Iterator[None]:
    """The block's errors as ours: Unreachable where nobody answers, SinkError (with ``what`` before it) where a table
    is in trouble.
    """
    from pyarrow import ArrowException
    from pyiceberg import exceptions as iceberg
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    away = (
        OSError, RequestException, SQLAlchemyError, iceberg.ServerError, iceberg.ServiceUnavailableError,
        iceberg.CommitStateUnknownException, iceberg.TooManyRequestsError, iceberg.UnauthorizedError,
        iceberg.ForbiddenError, iceberg.OAuthError, iceberg.AuthorizationExpiredError,
    )
    here = (
        iceberg.NoSuchTableError, iceberg.NoSuchNamespaceError, iceberg.RESTError, iceberg.ValidationError,
        iceberg.ValidationException, iceberg.CommitFailedException, ArrowException, ValueError, KeyError,
    )
    try:
        yield
    except K2Error:
        raise
    except away as error:
        raise Unreachable(f"lake {settings.place}: {_reason(error)}") from None
    except here as error:
        raise SinkError(f"{what or settings.place}: {_words(error)}") from None


def _reason(error: BaseException) -> str:
    text = str(error)
    if "Connection refused" in text:
        return "connection refused: nothing listens there"
    if "Name or service not known" in text or "NameResolution" in text:
        return "the name cannot be resolved"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return _words(error)


def _words(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 400 else f"{text[:400]}..."
