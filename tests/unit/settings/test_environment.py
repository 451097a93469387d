"""Environment variables: each that is documented is read, contradictions are refused all at once."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from k2conn.anomalies.settings import AnomalyMode, AnomalySettings
from k2conn.candles.settings import CandleSettings
from k2conn.engine.resilience.circuit_breaker import BreakerSettings
from k2conn.errors import SettingsError
from k2conn.features.settings import FeatureSettings
from k2conn.net.proxy import Proxy
from k2conn.runner import Overrides
from k2conn.secret_mask import HIDDEN, SECRETS
from k2conn.settings import (
    connector_settings,
    is_enabled,
    sink_settings,
    state_folder,
)
from k2conn.settings.unread_variables import unread
from k2conn.settings.values import text_list
from k2conn.sinks.kafka.settings import VARIABLES as KAFKA_VARIABLES
from k2conn.sinks.settings import SpoolSettings
from k2conn.variables import CONNECTOR_VARIABLES
from tests.support.certificates import Authority

KAFKA: dict[str, tuple[str, str, Any]] = {
    "K2_KAFKA_BOOTSTRAP_SERVERS": ("kafka:9092", "bootstrap", "kafka:9092"),
    "K2_KAFKA_SCHEMA_REGISTRY_URL": ("https://registry", "registry_url", "https://registry"),
    "K2_KAFKA_ACKS": ("all", "acks", "all"),
    "K2_KAFKA_IDEMPOTENCE_ENABLED": ("false", "idempotent", False),
    "K2_KAFKA_COMPRESSION_TYPE": ("zstd", "compression", "zstd"),
    "K2_KAFKA_LINGER_MS": ("25", "linger_ms", 25),
    "K2_KAFKA_BATCH_SIZE": ("16384", "batch_bytes", 16384),
    "K2_KAFKA_MAX_REQUEST_SIZE": ("2000000", "max_request_bytes", 2_000_000),
    "K2_KAFKA_REQUEST_TIMEOUT_MS": ("5000", "request_timeout_ms", 5000),
    "K2_KAFKA_DELIVERY_TIMEOUT_MS": ("60000", "delivery_timeout_ms", 60_000),
    "K2_KAFKA_DELIVERY": ("exactly-once", "delivery", "exactly-once"),
    "K2_KAFKA_COMMIT_MS": ("250", "commit_ms", 250),
    "K2_KAFKA_TRANSACTIONAL_ID": ("prices", "transactional_id", "prices"),
    "K2_KAFKA_TRANSACTION_TIMEOUT_MS": ("90000", "transaction_timeout_ms", 90_000),
    "K2_KAFKA_STATE_TOPIC": ("state", "state_topic", "state"),
    "K2_KAFKA_STATE_PARTITIONS": ("16", "state_partitions", 16),
    "K2_STATE": ("kafka", "state", "kafka"),
    "K2_KAFKA_CLIENT_ID": ("me", "client_id", "me"),
    "K2_KAFKA_SUBJECT": ("{record}", "subject", "{record}"),
    "K2_KAFKA_TOPIC_PREFIX": ("staging.", "topic_prefix", "staging."),
    "K2_KAFKA_COMPATIBILITY": ("FULL", "compatibility", "FULL"),
    "K2_KAFKA_SCHEMA_REGISTER": ("false", "register", False),
    "K2_KAFKA_CREATE_TOPICS": ("yes", "create_topics", True),
    "K2_KAFKA_PARTITIONS": ("40", "partitions", 40),
    "K2_KAFKA_REPLICATION_FACTOR": ("3", "replication", 3),
    "K2_KAFKA_SSL_CA_FILE": ("/ca.pem", "ca_file", Path("/ca.pem")),
    "K2_KAFKA_SCHEMA_REGISTRY_SSL_CA_FILE": ("/ca.pem", "registry_ca_file", Path("/ca.pem")),
}
SECURE = {
    "K2_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "K2_KAFKA_SASL_MECHANISM": "PLAIN",
    "K2_KAFKA_SASL_USERNAME": "me",
    "K2_KAFKA_SASL_PASSWORD": "hunter2",
    "K2_KAFKA_SSL_CERT_FILE": "/c.pem",
    "K2_KAFKA_SSL_KEY_FILE": "/k.pem",
    "K2_KAFKA_SCHEMA_REGISTRY_URL": "https://registry",
    "K2_KAFKA_SCHEMA_REGISTRY_SSL_CERT_FILE": "/rc.pem",
    "K2_KAFKA_SCHEMA_REGISTRY_SSL_KEY_FILE": "/rk.pem",
    "K2_KAFKA_SCHEMA_REGISTRY_USERNAME": "reg",
    "K2_KAFKA_SCHEMA_REGISTRY_PASSWORD": "hunter3",
}


OAUTH = {
    "K2_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "K2_KAFKA_SASL_MECHANISM": "OAUTHBEARER",
    "K2_KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL": "https://login.example/token",
    "K2_KAFKA_SASL_OAUTHBEARER_CLIENT_ID": "me",
    "K2_KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET": "hunter2",
    "K2_KAFKA_SASL_OAUTHBEARER_SCOPE": "kafka",
    "K2_KAFKA_SASL_OAUTHBEARER_EXTENSIONS": "logicalCluster=lkc-1,identityPoolId=pool-2",
    "K2_KAFKA_SASL_OAUTHBEARER_CA_FILE": "/oauth.pem",
}


def test_every_variable_is_tried_here() -> None:
    assert set(KAFKA_VARIABLES) == {*KAFKA, *SECURE, *OAUTH}


@pytest.mark.parametrize("name", sorted(KAFKA))
def test_a_kafka_variable_is_read(name: str) -> None:
    text, setting, value = KAFKA[name]
    assert getattr(sink_settings({name: text}, "kafka").options, setting) == value


@pytest.mark.parametrize("given", [SECURE, OAUTH], ids=["password", "oauth"])
def test_the_secure_variables_are_read(given: dict[str, str]) -> None:
    kafka = sink_settings(given, "kafka").options
    for name, text in given.items():
        assert str(getattr(kafka, KAFKA_VARIABLES[name][0])) == text
    assert "hunter" not in repr(kafka)


def test_the_password_of_a_secret_address_is_hidden_by_itself_too() -> None:
    dsn = "postgresql://trader:s3same@127.0.0.1:5432/market?target_session_attrs=read-write"
    sink_settings({"K2_POSTGRES_DSN": dsn}, "postgres")
    shown = SECRETS.hide(f"{dsn}: s3same of trader, read-write")
    assert shown == "postgresql://[hidden]: [hidden] of trader, read-write"


def test_a_secret_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hunter2\n")
    given = {key: text for key, text in SECURE.items() if key != "K2_KAFKA_SASL_PASSWORD"}
    settings = sink_settings({**given, "K2_KAFKA_SASL_PASSWORD_FILE": str(tmp_path / "password")}, "kafka")
    assert settings.options.password == "hunter2"
    with pytest.raises(SettingsError, match=r"K2_KAFKA_SASL_PASSWORD_FILE .*other: No such file"):
        sink_settings({**given, "K2_KAFKA_SASL_PASSWORD_FILE": str(tmp_path / "other")})


def test_of_a_secret_address_the_scheme_is_none() -> None:
    """A text that ends with such a word stays whole; the rest of the address is hidden, whatever stands before it."""
    address = "postgresql://k2:hunter22@db.example:5432/market"
    sink_settings({"K2_POSTGRES_DSN": address}, "postgres")
    assert SECRETS.hide("k2conn.sinks.postgres") == "k2conn.sinks.postgres"
    assert SECRETS.hide(f"no way to {address}") == f"no way to postgresql://{HIDDEN}"
    assert "hunter22" not in SECRETS.hide("the password hunter22 is wrong")


def test_the_spool_is_read() -> None:
    assert sink_settings({}).spool == SpoolSettings()
    assert (SpoolSettings().mode, SpoolSettings().max_bytes, SpoolSettings().fsync_ms) == ("trouble", 1 << 30, 200)
    given = {"K2_SPOOL": "always", "K2_SPOOL_FOLDER": "/s", "K2_SPOOL_MAX_BYTES": "1048576", "K2_SPOOL_FSYNC_MS": "50",
             "K2_SPOOL_PATIENCE_MS": "300"}
    spool = SpoolSettings(mode="always", folder=Path("/s"), max_bytes=1 << 20, fsync_ms=50, patience_ms=300)
    assert sink_settings(given).spool == spool
    with pytest.raises(SettingsError, match=r"K2_SPOOL='maybe': known are .*; K2_SPOOL_MAX_BYTES=5 is "):
        sink_settings({"K2_SPOOL": "maybe", "K2_SPOOL_MAX_BYTES": "5"})
    assert list(unread({"K2_SPOOL": "always", "K2_SPOOL_SIZE": "1"}, [])) == ["K2_SPOOL_SIZE"]


def test_a_flag_comes_before_a_variable() -> None:
    environment = {"K2_KAFKA_BOOTSTRAP_SERVERS": "a:1", "K2_SINK": "file", "K2_SINK_FOLDER": "/env"}
    assert sink_settings(environment).kind == "file"
    assert sink_settings(environment).options.folder == Path("/env")
    assert sink_settings(environment, folder=Path("/flag")).options.folder == Path("/flag")
    given = sink_settings(environment, kind="kafka", kafka="b:2", registry="http://r", folder="/flag")
    assert (given.kind, given.options.bootstrap, given.options.registry_url) == ("kafka", "b:2", "http://r")


def test_an_address_means_kafka_and_none_means_files() -> None:
    assert sink_settings({"K2_KAFKA_BOOTSTRAP_SERVERS": "a:1"}).kind == "kafka"
    assert sink_settings({}, kafka="a:1").kind == "kafka"
    assert sink_settings({}).kind == "file"


@pytest.mark.parametrize(
    ("environment", "flags", "text"),
    [
        ({"K2_KAFKA_ACKS": "1"}, {}, "K2_KAFKA_ACKS=1 contradicts the idempotent producer"),
        ({"K2_KAFKA_BATCH_SIZE": "0"}, {}, "K2_KAFKA_BATCH_SIZE=0 is not above 0"),
        ({"K2_KAFKA_BATCH_SIZE": "4000000"}, {}, "K2_KAFKA_BATCH_SIZE=4000000 is above K2_KAFKA_MAX_REQUEST_SIZE=1"),
        ({}, {"options": ["batch_bytes=0"], "kind": "kafka"}, "--sink-option batch_bytes=0 is not above 0"),
        ({"K2_KAFKA_PARTITIONS": "9999999999"}, {}, "K2_KAFKA_PARTITIONS=9999999999 is above"),
        ({"K2_KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "K2_KAFKA_SASL_MECHANISM": "PLAIN"}, {},
         "needs K2_KAFKA_SASL_USERNAME=... and K2_KAFKA_SASL_PASSWORD=..."),
        ({"K2_KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "K2_KAFKA_SASL_MECHANISM": "OAUTHBEARER"}, {},
         "needs K2_KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL, K2_KAFKA_SASL_OAUTHBEARER_CLIENT_ID and "),
        ({"K2_KAFKA_BOOTSTRAP_SERVERS": "a:70000"}, {}, "K2_KAFKA_BOOTSTRAP_SERVERS address 'a:70000': a port is"),
        ({}, {"kafka": "a:1", "registry": "http://a:99999"}, "--registry 'http://a:99999'"),
        ({"K2_KAFKA_SCHEMA_REGISTRY_URL": "http://a:1,http://b:port"}, {}, "_SCHEMA_REGISTRY_URL '...' is no address"),
        ({"K2_KAFKA_SCHEMA_REGISTRY_URL": ","}, {}, "K2_KAFKA_SCHEMA_REGISTRY_URL: there is an empty address"),
        ({"K2_KAFKA_SCHEMA_REGISTRY_URL": "http://[::1:8081"}, {}, "K2_KAFKA_SCHEMA_REGISTRY_URL"),
        ({"K2_KAFKA_LINGER_MS": "ten"}, {}, "K2_KAFKA_LINGER_MS 'ten': a whole number"),
        ({"K2_KAFKA_CREATE_TOPICS": "maybe"}, {}, "K2_KAFKA_CREATE_TOPICS 'maybe': say true or false"),
        ({}, {"kind": "file", "kafka": "a:1"}, "need the kafka sink"),
        ({"K2_KAFKA_BOOTSTRAP_SERVERS": "nowhere"}, {}, "not host:port"),
    ],
)
def test_contradictions_are_refused(environment: dict[str, str], flags: dict[str, str], text: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(text)) as caught:
        sink_settings(environment, **flags)
    assert caught.value.exit_code == 2


# -- connectors


def given(**variables: str) -> Overrides:
    environment = {f"K2_VENUE_{name}": text for name, text in variables.items()}
    return connector_settings(environment, "VENUE", "venue").overrides


CASES: list[tuple[str, str, Overrides]] = [
    ("WEBSOCKET_URL", "wss://v.example/ws", Overrides(urls=("wss://v.example/ws",))),
    ("WEBSOCKET_URL", "ws://127.0.0.1:8765", Overrides(urls=("ws://127.0.0.1:8765",))),
    ("FAILOVER_URLS", "wss://a,wss://b", Overrides(failover=("wss://a", "wss://b"))),
    ("HTTP_URL", "http://localhost:8", Overrides(http_url="http://localhost:8")),
    ("INSTRUMENT_LIST", "lists/v.json", Overrides(instruments=Path("lists/v.json"))),
    ("ALLOW_EXEC", "/bin/sh 'a b' c", Overrides(program=("/bin/sh", "a b", "c"))),
    ("ALLOW_PRIVATE_HOSTS", "true", Overrides(allow_private_hosts=True)),
    ("SSL_VERIFY", "false", Overrides(verify=False)),
    ("PROXY", "socks5h://me:p%40ss@proxy.example", Overrides(
        proxy=Proxy("K2_VENUE_PROXY", "socks5h", "proxy.example", 1080, "me", "p@ss"))),
    ("PROXY", "direct", Overrides(proxy=Proxy("K2_VENUE_PROXY", "direct"))),
    ("RECONNECT_DELAY", "5", Overrides(base_delay=5)),
    ("RECONNECT_DELAY", "500ms", Overrides(base_delay=0.5)),
    ("MAX_RECONNECT_ATTEMPTS", "10", Overrides(attempts=10)),
    ("HEALTH_CHECK_TIMEOUT", "30", Overrides(stale_after=30)),
    ("HEALTH_CHECK_TIMEOUT", "0", Overrides(stale_after=0)),
    ("HEALTH_CHECK_TIMEOUT", "2m", Overrides(stale_after=120)),
    ("CONNECTION_MAX_LIFETIME_HOURS", "4", Overrides(max_age=14_400)),
    ("CONNECTION_MAX_LIFETIME_HOURS", "90m", Overrides(max_age=5_400)),
    ("PING_INTERVAL_SECONDS", "180", Overrides(ping_every=180)),
    ("PING_INTERVAL_SECONDS", "3m", Overrides(ping_every=180)),
    ("PING_TIMEOUT_SECONDS", "10", Overrides(ping_timeout=10)),
    ("BACKFILL", "false", Overrides(backfill=False)),
    ("REPLICAS", "2", Overrides(replicas=2)),
    ("KEEP_OPEN", "true", Overrides(keep_open=True)),
    ("KEEP_OPEN", "false", Overrides(keep_open=False)),
    ("REMEMBERED_IDS", "100000", Overrides(remembered=100_000)),
    ("MAX_SYMBOLS", "50000", Overrides(most_symbols=50_000)),
    ("AUDIT", "true", Overrides(audit=True)),
    ("DRIFT", "false", Overrides(drift=False)),
    ("ANOMALIES", "publish", Overrides(anomalies=AnomalySettings(AnomalyMode.PUBLISH))),
    ("ANOMALY_THRESHOLDS", "price-move=0.02, locked-quote=off", Overrides(
        anomalies=AnomalySettings(said=(("price-move", "0.02"), ("locked-quote", "off"))))),
    ("BAD_DATA_SHARE", "0.2", Overrides(bad_data_share=0.2)),
    ("BREAKER_FAILURES", "5", Overrides(breaker_settings=BreakerSettings(failures=5))),
    ("BREAKER_OPEN_SECONDS", "2m", Overrides(breaker_settings=BreakerSettings(seconds=120))),
    ("BREAKER_OPEN_SECONDS", "120", Overrides(breaker_settings=BreakerSettings(seconds=120))),
    ("BREAKER_SUCCESSES", "1", Overrides(breaker_settings=BreakerSettings(successes=1))),
]


@pytest.mark.parametrize(("name", "text", "expected"), CASES)
def test_a_connector_variable_is_read(name: str, text: str, expected: Overrides) -> None:
    assert given(**{name: text}) == expected


def test_a_connector_s_authorities_are_read(tmp_path: Path) -> None:
    file = str(Authority(tmp_path).file)
    assert given(CUSTOM_CA_BUNDLE=file) == Overrides(ca_file=file)


def test_backfill_may_be_off_for_all_but_one() -> None:
    environment = {"K2_BACKFILL": "false", "K2_VENUE_BACKFILL": "true"}
    assert connector_settings(environment, "VENUE", "venue").overrides.backfill
    assert not connector_settings(environment, "OTHER", "other").overrides.backfill
    assert connector_settings({}, "OTHER", "other").overrides.backfill


def test_the_state_folder_is_read() -> None:
    assert state_folder({"K2_STATE_FOLDER": "/state"}) == Path("/state")
    assert state_folder({}) is None


def test_every_connector_variable_is_tried_here() -> None:
    elsewhere = {
        "CANDLES", "ENABLED", "FEATURES", "SYMBOLS", "STREAMS", "INTERVALS", "ALLOW_INSECURE", "CUSTOM_CA_BUNDLE",
    }
    assert set(CONNECTOR_VARIABLES) == {name for name, _, _ in CASES} | elsewhere


def test_intervals_are_a_list() -> None:
    assert connector_settings({"K2_VENUE_INTERVALS": "1m, 1h"}, "VENUE", "venue").intervals == ("1m", "1h")
    assert connector_settings({}, "VENUE", "venue").intervals is None


@pytest.mark.parametrize(
    "text", ["BTC-USD, ETH-USD", '["BTC-USD","ETH-USD"]', "BTC-USD,ETH-USD,", "BTC-USD ETH-USD",
    "BTC-USD\nETH-USD,BTC-USD"]
)
def test_lists_have_several_spellings(text: str) -> None:
    found = connector_settings({"K2_VENUE_SYMBOLS": text, "K2_VENUE_STREAMS": "trade"}, "VENUE", "venue")
    assert found.symbols == ("BTC-USD", "ETH-USD")
    assert found.streams == ("trade",)


@pytest.mark.parametrize(
    ("text", "problem"),
    [('["a"', "JSON list"), ("[1]", "JSON list"), ("A;B", "semicolons"), ('["A;B"]', "semicolons"),
     ("'A','B'", "quotes"), (",", "empty"), ("[]", "empty"), ('["", " "]', "empty"), (";", "semicolons")],
)
def test_a_list_that_is_none_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        text_list(text)
    with pytest.raises(SettingsError, match=f"K2_VENUE_SYMBOLS '.*': .*{problem}"):
        connector_settings({"K2_VENUE_SYMBOLS": text}, "VENUE", "venue")


def test_a_connector_s_own_name_comes_before_its_exchange_s() -> None:
    environment = {"K2_VENUE_SYMBOLS": "A", "K2_VENUE_FUTURES_SYMBOLS": "B", "K2_VENUE_RECONNECT_DELAY": "5"}
    found = connector_settings(environment, "VENUE", "venue-futures")
    assert found.symbols == ("B",)
    assert found.overrides.base_delay == 5


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("WEBSOCKET_URL", "ftp://x", "starts with wss://"),
        ("WEBSOCKET_URL", "http://x", "http:// is for this machine only: say https://"),
        ("ALLOW_EXEC", "bridge --quiet", "whole path"),
        ("ALLOW_EXEC", "/no/such/program", "no program of that path"),
        ("WEBSOCKET_URL", "wss://", "names a host"),
        ("WEBSOCKET_URL", "ws://exchange.example/?key=hunter2", "ws:// is for this machine only"),
        ("FAILOVER_URLS", "wss://a,ws://b", "ws:// is for this machine only"),
        ("HTTP_URL", "http://elsewhere", "http:// is for this machine only"),
        ("CUSTOM_CA_BUNDLE", "/nowhere", "no such file"),
        ("CUSTOM_CA_BUNDLE", __file__, "no certificates"),
        ("WEBSOCKET_URL", "wss://v.example:70000/?key=hunter2", "port is a number from 1 to 65535"),
        ("WEBSOCKET_URL", "wss://v.example:0", "port is a number from 1 to 65535"),
        ("WEBSOCKET_URL", "wss://[::1/?key=hunter2", "an address is needed"),
        ("WEBSOCKET_URL", "wss://v.example/a b?key=hunter2", "no white space"),
        ("FAILOVER_URLS", "wss://a,wss://b:port", "port is a number"),
        ("PROXY", "ftp://me:hunter2@proxy", "starts with http://"),
        ("PROXY", "https://me:hunter2@proxy", "say http://"),
        ("PROXY", "http://me:hunter2@proxy:99999", "port is a number"),
        ("PROXY", "http://me:hunt#er2@proxy:1", "host and a port|ends with its port|port is a number"),
        ("RECONNECT_DELAY", "soon", "such as 5, 5s"),
        ("RECONNECT_DELAY", "5 parsecs", "such as 5, 5s"),
        ("RECONNECT_DELAY", "-1", "such as 5, 5s"),
        ("MAX_RECONNECT_ATTEMPTS", "1e3", "whole number"),
        ("REPLICAS", "9", "1 to 8"),
        ("CONNECTION_MAX_LIFETIME_HOURS", "0", "1 to 24"),
        ("CONNECTION_MAX_LIFETIME_HOURS", "25", "1 to 24"),
        ("PING_INTERVAL_SECONDS", "0", "above 0"),
        ("BREAKER_FAILURES", "0", "above 0"),
        ("SSL_VERIFY", "sometimes", "say true or false"),
    ],
)
def test_what_cannot_be_is_refused_by_name(name: str, text: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem) as caught:
        given(**{name: text})
    assert f"K2_VENUE_{name}" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_the_open_may_be_allowed() -> None:
    assert given(WEBSOCKET_URL="ws://mock:8765", ALLOW_INSECURE="true").urls == ("ws://mock:8765",)


def test_all_problems_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        given(WEBSOCKET_URL="x", RECONNECT_DELAY="soon", SSL_VERIFY="?")
    assert str(caught.value).count(";") == 2


def test_enabled_in_every_spelling_and_refused_in_none() -> None:
    for text in ("true", "TRUE", "1", "yes", "on"):
        assert is_enabled({"K2_VENUE_FUTURES_ENABLED": text}, "venue-futures")
    for text in ("false", "0", "", "off"):
        assert not is_enabled({"K2_VENUE_ENABLED": text}, "venue")
    with pytest.raises(SettingsError, match="K2_VENUE_ENABLED 'si'"):
        is_enabled({"K2_VENUE_ENABLED": "si"}, "venue")


def test_variables_that_nothing_reads_are_found() -> None:
    environment = {"K2_KAFKA_RETRIES": "3", "K2_KAFKA_ACKS": "all", "K2_VENUE_SYMBOL": "x", "K2_VENUE_SYMBOLS": "x",
                   "K2_KAFKA_SASL_PASSWORD_FILE": "x", "K2_OTHER_SYMBOL": "x", "K2_API_KEY": "x"}
    found = unread(environment, ["venue", "VENUE"])
    assert found == {"K2_KAFKA_RETRIES": found["K2_KAFKA_RETRIES"], "K2_VENUE_SYMBOL": "K2_VENUE_SYMBOLS"}


@pytest.mark.parametrize(
    ("name", "meant"),
    [("K2_KRAKN_SYMBOLS", "K2_KRAKEN_SYMBOLS"), ("K2_KRAKEN_SYMBOL", "K2_KRAKEN_SYMBOLS"),
     ("K2_STATE_FOLDR", "K2_STATE_FOLDER"), ("K2_METRIC_PORT", "K2_METRICS_PORT"),
     ("K2_SPOL_FOLDER", "K2_SPOOL_FOLDER")],
)
def test_a_misspelt_variable_is_found_with_what_is_meant(name: str, meant: str) -> None:
    assert unread({name: "x"}, ["venue"], None, ["kraken", "binance"]) == {name: meant}


def test_what_others_read_is_not_taken_for_misspelt() -> None:
    environment = {"K2_KRAKEN_SYMBOLS": "x", "K2_API_KEY": "x", "K2_KRAKEN_API_KEY": "x", "K2_METRICS_PORT": "1"}
    assert unread(environment, ["venue"], None, ["kraken", "binance"]) == {}


def test_features_of_candles_for_all_for_one_and_for_none() -> None:
    environment = {"K2_FEATURES": "1m", "K2_FEATURES_WINDOW": "20", "K2_FEATURES_WARM_UP": "5"}
    said = FeatureSettings(("1m",), 20, 5)
    assert connector_settings(environment, "VENUE", "venue").overrides.features == said
    environment |= {"K2_VENUE_FEATURES": "1m,5m", "K2_OTHER_FEATURES": "none"}
    found = connector_settings(environment, "VENUE", "venue").overrides.features
    assert found == replace(said, names=("1m", "5m"))
    assert connector_settings(environment, "OTHER", "other").overrides.features is None
    assert connector_settings({}, "VENUE", "venue").overrides.features is None
    assert FeatureSettings().first == 30


def test_candles_of_trades_for_all_for_one_and_for_none() -> None:
    environment = {
        "K2_CANDLES": "1m,1h", "K2_CANDLES_DELAY": "500ms", "K2_CANDLES_LATENESS": "1h", "K2_CANDLES_EMPTY": "repeat",
    }
    said = CandleSettings(("1m", "1h"), 500_000, 3_600_000_000, "repeat")
    assert connector_settings(environment, "VENUE", "venue").overrides.candles == said
    environment |= {"K2_VENUE_CANDLES": "5m", "K2_OTHER_CANDLES": "none"}
    assert connector_settings(environment, "VENUE", "venue").overrides.candles == replace(said, names=("5m",))
    assert connector_settings(environment, "OTHER", "other").overrides.candles is None
    assert connector_settings({}, "VENUE", "venue").overrides.candles is None
