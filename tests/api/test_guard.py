"""Who is let in, how often, with what; and what those hear who are not."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from k2conn.cli.serve import ServeOptions, api_settings
from k2conn.errors import SettingsError
from tests.servers.process import free_port
from tests.support.api import Serving, some_trades, written

KEY = "0123456789abcdef-key"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("api")
    written(found / "data", some_trades(0, 9))
    return found


@pytest.fixture(scope="module")
def serving(folder: Path) -> Iterator[Serving]:
    with Serving(folder) as running:
        yield running


def raw(port: int, data: bytes, within: float = 15) -> bytes:
    """What comes back until the end."""
    with socket.create_connection(("127.0.0.1", port), timeout=within) as connection:
        connection.sendall(data)
        found = b""
        while part := connection.recv(65536):
            found += part
        return found


def test_a_key_is_asked_for_where_one_is_set(folder: Path) -> None:
    with Serving(folder, K2_API_KEY=KEY) as serving:
        for headers in ({}, {"X-API-Key": ""}, {"X-API-Key": KEY[:-1]}, {"X-API-Key": KEY + "x"}, {"X-API-Key": "ü"}):
            answer = serving.get("/v1/trades", headers=headers)
            assert answer.status == 401, headers
            assert answer.headers["www-authenticate"].startswith("ApiKey")
            assert answer.json["status"] == 401
        assert serving.get("/v1/trades", headers={"X-API-Key": KEY}).status == 200
        assert serving.get("/nothing").status == 401, "what there is is nobody's business"
        assert serving.get("/health").json == {"status": "ok", "store": "files"}
        assert serving.get("/openapi.json").json["security"] == [{"key": []}]
    assert KEY not in json.dumps(serving.said)


def test_other_machines_are_let_in_with_a_key_only(folder: Path) -> None:
    refused = Serving(folder, "--host", "0.0.0.0")
    assert refused.ended() == 2
    assert "set a key (K2_API_KEY)" in refused.said[-1]["event"]
    with Serving(folder, "--host", "0.0.0.0", K2_API_KEY=KEY, K2_API_ALLOWED_HOSTS="api.example.com") as serving:
        shown = {"X-API-Key": KEY}
        assert serving.get("/v1/trades", headers=shown).status == 403
        assert serving.get("/v1/trades", headers={**shown, "Host": "API.example.com:8000"}).status == 200


@pytest.mark.parametrize("host", ["evil.example.com", "127.0.0.1.example.com:80", "localhost.example.com"])
def test_a_page_cannot_lead_its_own_name_here(serving: Serving, host: str) -> None:
    answer = serving.get("/v1/trades", headers={"Host": host})
    assert answer.status == 403
    assert "names another machine" in answer.json["detail"]
    assert serving.get("/v1/trades", headers={"Host": f"localhost:{serving.port}"}).status == 200


def test_request_ids_are_echoed_where_they_are_sane_and_are_in_the_log(serving: Serving) -> None:
    assert serving.get("/v1/trades", headers={"X-Request-ID": "abc-1.2"}).headers["x-request-id"] == "abc-1.2"
    for odd in ("a b", "x" * 65, "-a", "<script>", ""):
        made = serving.get("/v1/nothing", headers={"X-Request-ID": odd})
        assert len(made.headers["x-request-id"]) == 32
        assert made.json["request_id"] == made.headers["x-request-id"]
    end = time.monotonic() + 60
    while not any(one.get("request_id") == "abc-1.2" and one.get("status") == 200 for one in serving.said):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_problems_tell_what_is_wrong_and_nothing_of_the_inside(serving: Serving) -> None:
    answer = serving.get("/v1/trades", since="2026-01-02", limit=0, side="up", colour="red")
    assert answer.status == 422
    assert {one["name"] for one in answer.json["errors"]} == {"since", "limit", "colour"}
    assert serving.get("/v1/trades", side="up").json["errors"] == [
        {"name": "side", "detail": "one of BUY, SELL, SELL_SHORT, UNKNOWN is needed"}]
    assert serving.get("/v1/trades", symbol="a\x00b").status == 422
    assert serving.get("/v1/trades", symbol="x" * 101).status == 422
    assert serving.get("/v1/trades?limit=1&limit=2").json["errors"][0]["name"] == "limit"
    for path, method, status in (("/", "GET", 404), ("/v1/trades/", "GET", 404), ("/docs", "GET", 404),
                                 ("/v1/trades", "POST", 405), ("/v1/trades", "DELETE", 405)):
        refused = serving.get(path, method=method)
        assert refused.status == status, path
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.headers["x-content-type-options"] == "nosniff"


def test_sizes_are_bounded(serving: Serving) -> None:
    assert serving.get("/v1/trades", symbol="x" * 5000).status == 414
    assert serving.get("/v1/ohlcv/batch", method="POST", body=b" " * 70_000).status == 413
    assert b" 400 " in raw(serving.port, b"GET /" + b"x" * 40_000)[:20]
    two_hosts = b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n"
    assert b" 400 " in raw(serving.port, two_hosts)[:20]
    assert b" 400 " in raw(serving.port, b"\x16\x03\x01\x02\x00noise\r\n\r\n")[:20]
    assert serving.get("/health").status == 200


def test_who_does_not_ask_is_sent_away(serving: Serving) -> None:
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", serving.port), timeout=60) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
        assert connection.recv(100) == b""
    assert time.monotonic() - began > 5


def test_connections_are_bounded(folder: Path) -> None:
    with Serving(folder, K2_API_CONNECTIONS="5") as serving:
        held = [socket.create_connection(("127.0.0.1", serving.port)) for _ in range(5)]
        until(lambda: not answers(serving))
        for one in held:
            one.close()
        until(lambda: answers(serving))


def answers(serving: Serving) -> bool:
    try:
        return bool(serving.get("/health").status == 200)
    except (ConnectionError, http.client.HTTPException):
        return False


def until(holds: Callable[[], bool], within: float = 60) -> None:
    end = time.monotonic() + within
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_client_asks_so_often_and_no_more(folder: Path) -> None:
    with Serving(folder, K2_API_REQUESTS_PER_MINUTE="60") as serving:
        assert [serving.get("/v1/stats").status for _ in range(60)] == [200] * 60
        for _ in range(60):  # another one for each second that the sixty took
            if (last := serving.get("/v1/stats")).status != 200:
                break
        assert last.status == 429
        assert 1 <= int(last.headers["retry-after"]) <= 2
        time.sleep(1.1)
        assert serving.get("/v1/stats").status == 200


def test_pages_of_other_hosts_may_ask_where_they_are_named(folder: Path, serving: Serving) -> None:
    origin = {"Origin": "https://charts.example.com"}
    assert "access-control-allow-origin" not in serving.get("/v1/trades", headers=origin).headers
    ask = {**origin, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "X-API-Key"}
    with Serving(folder, K2_API_ALLOWED_ORIGINS="https://charts.example.com", K2_API_KEY=KEY) as open_one:
        allowed = open_one.get("/v1/trades", headers={**origin, "X-API-Key": KEY})
        assert allowed.headers["access-control-allow-origin"] == origin["Origin"]
        assert open_one.get("/v1/trades", method="OPTIONS", headers=ask).status == 200
        other = open_one.get("/v1/trades", headers={"Origin": "https://other.example.com", "X-API-Key": KEY})
        assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize(
    ("options", "variables", "said"),
    [
        ({"store": "oracle"}, {}, "--store='oracle'; known: postgres, lake, files"),
        ({"port": "http"}, {}, "--port 'http': a port from 0 to 65535 is needed"),
        ({}, {"K2_API_KEY": "short"}, "K2_API_KEY= needs 16 or more"),
        ({}, {"K2_API_QUERIES": "0"}, "K2_API_QUERIES=0"),
        ({}, {"K2_API_MOST_ROWS": "20000"}, "K2_API_MOST_ROWS=20000"),
        ({}, {"K2_API_KEYS": "x"}, "K2_API_KEYS is no setting; did you mean 'K2_API_KEY'?"),
        ({}, {"K2_API_ALLOWED_ORIGINS": "charts.example.com"}, "is no origin"),
    ],
)
def test_settings_that_cannot_be(options: dict[str, str], variables: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        api_settings(ServeOptions(**options), variables)
    assert said in str(refused.value)
    assert "short" not in str(refused.value)


@pytest.mark.parametrize(
    ("words", "variables", "said"),
    [
        (["--registry", "http://localhost:1", "--store", "x"], {}, ["--registry needs --kafka", "--store='x'"]),
        (["--store", "postgres"], {"K2_POSTGRES_DSN": "mysql://x"}, ["K2_POSTGRES_DSN= begins with postgresql://"]),
        (["--store", "lake"], {"K2_LAKE_RETRIES": "-1"}, ["K2_LAKE_RETRIES '-1': a whole number is needed"]),
    ],
)
def test_a_start_tells_all_that_is_wrong(
    folder: Path, words: list[str], variables: dict[str, str], said: list[str]
) -> None:
    serving = Serving(folder, *words, **variables)
    assert serving.ended() == 2
    for one in said:
        assert one in json.dumps(serving.said, ensure_ascii=False)


def test_a_store_that_is_away_and_a_port_that_is_taken(folder: Path) -> None:
    away = Serving(folder, "--store", "postgres", K2_POSTGRES_DSN="postgresql://u:geheim@127.0.0.1:9/k2")
    assert away.ended() == 69
    assert "postgres 127.0.0.1:9/k2: connection refused" in json.dumps(away.said)
    assert "geheim" not in json.dumps(away.said)
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        taken = Serving(folder, "--port", port)
        assert taken.ended() == 2
    assert f"cannot listen on 127.0.0.1:{port}" in json.dumps(taken.said)
