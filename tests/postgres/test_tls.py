"""TLS towards PostgreSQL: the certificate and the name are checked; and what the settings make of an address."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from k2conn.errors import SettingsError, Unreachable
from k2conn.sinks.postgres.settings import PostgresSettings
from k2conn.sinks.questdb import QuestDbSettings
from tests.servers import Postgres
from tests.support.certificates import Authority
from tests.support.databases import drive, numbered
from tests.support.sinks import Book


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A server with a certificate for 127.0.0.1."""
    made = Postgres(tmp_path_factory.mktemp("postgres"), fsync="off")
    with made:
        data = Path(made.query("SHOW data_directory")[0][0])
        for file, name in zip(authority.signed("db.test"), ("server.crt", "server.key"), strict=True):
            shutil.copy(file, data / name)
            (data / name).chmod(0o600)
            if os.geteuid() == 0:
                shutil.chown(data / name, "nobody", "nogroup")
        made.query("ALTER SYSTEM SET ssl = on")
        made.restart()
        yield made


def write(dsn: str, **given: object) -> None:
    book = Book()

    async def work(sink: object) -> None:
        sink.put(numbered(1))  # type: ignore[attr-defined]
        assert await sink.flush(60) == 0  # type: ignore[attr-defined]

    drive(dsn, book, work, **given)
    assert len(book.settled) == 1


def test_a_certificate_of_our_authority_is_accepted(server: Postgres, authority: Authority) -> None:
    write(f"{server.dsn}?sslmode=verify-full", ca_file=authority.file)
    assert server.query("SELECT count(*) FROM trades_v2") == [["1"]]


def test_one_of_nobodys_is_not(server: Postgres) -> None:
    with pytest.raises(Unreachable, match=r"postgres 127\.0\.0\.1:\d+/k2: the certificate is not accepted"):
        write(f"{server.dsn}?sslmode=verify-full")


@pytest.mark.deploy
def test_one_for_another_name_is_not(server: Postgres, authority: Authority) -> None:
    address = server.dsn.replace("127.0.0.1", "localhost")
    with pytest.raises(Unreachable, match=r"the certificate is not accepted: .*localhost"):
        write(f"{address}?sslmode=verify-full", ca_file=authority.file)


@pytest.mark.deploy
def test_a_server_without_tls_is_not_spoken_to_where_it_is_wanted(own_postgres: Postgres) -> None:
    with pytest.raises(Unreachable, match="rejected SSL"):
        write(f"{own_postgres.dsn}?sslmode=verify-full")


@pytest.mark.parametrize(
    ("dsn", "checked", "place"),
    [
        ("postgresql://u:p@db.example:6000/market", True, "db.example:6000/market"),
        ("postgresql://u:p@db.example/market?sslmode=disable", False, "db.example:5432/market"),
        ("postgres://localhost/k2", False, "localhost:5432/k2"),
        ("postgresql://127.0.0.1:5433/k2?sslmode=verify-full", True, "127.0.0.1:5433/k2"),
        ("postgresql://[::1]/k2", False, "[::1]:5432/k2"),
        ("postgresql://u@/k2?host=/run/postgresql", False, "/run/postgresql:5432/k2"),
    ],
)
def test_elsewhere_the_certificate_is_checked_unless_the_address_says_otherwise(
    dsn: str, checked: bool, place: str
) -> None:
    settings = PostgresSettings(dsn=dsn, password="geheim")
    assert (settings.checked_tls, settings.place) == (checked, place)
    assert "geheim" not in repr(settings)
    assert "u:p@" not in repr(settings)


@pytest.mark.parametrize("address", ["http://db.example:9000", "ftp://localhost", "http://u:p@localhost:9000"])
def test_questdb_gets_no_secret_in_the_clear(address: str) -> None:
    with pytest.raises(SettingsError, match="address="):
        QuestDbSettings(address=address, token="geheim")
    assert QuestDbSettings(address="http://localhost:9000", token="geheim")
