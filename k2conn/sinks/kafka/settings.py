"""The Kafka sink's settings: checked when they are made, so that a contradiction never reaches a broker."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from k2conn.sinks.kafka.registry_addresses import registry_problems
from k2conn.sinks.settings import MiB, not_positive, one_of, refuse

COMPRESSIONS = ("none", "gzip", "snappy", "lz4", "zstd")
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
COMPATIBILITIES = (
    "",
    "NONE",
    *(f"{rule}{reach}" for rule in ("BACKWARD", "FORWARD", "FULL") for reach in ("", "_TRANSITIVE")),
)

VARIABLES = {
    "K2_KAFKA_BOOTSTRAP_SERVERS": ("bootstrap", "text"),
    "K2_KAFKA_SCHEMA_REGISTRY_URL": ("registry_url", "text"),
    "K2_KAFKA_ACKS": ("acks", "text"),
    "K2_KAFKA_IDEMPOTENCE_ENABLED": ("idempotent", "bool"),
    "K2_KAFKA_COMPRESSION_TYPE": ("compression", "text"),
    "K2_KAFKA_LINGER_MS": ("linger_ms", "int"),
    "K2_KAFKA_BATCH_SIZE": ("batch_bytes", "int"),
    "K2_KAFKA_MAX_REQUEST_SIZE": ("max_request_bytes", "int"),
    "K2_KAFKA_REQUEST_TIMEOUT_MS": ("request_timeout_ms", "int"),
    "K2_KAFKA_DELIVERY_TIMEOUT_MS": ("delivery_timeout_ms", "int"),
    "K2_KAFKA_CLIENT_ID": ("client_id", "text"),
    "K2_KAFKA_SUBJECT": ("subject", "text"),
    "K2_KAFKA_TOPIC_PREFIX": ("topic_prefix", "text"),
    "K2_KAFKA_COMPATIBILITY": ("compatibility", "text"),
    "K2_KAFKA_SCHEMA_REGISTER": ("register", "bool"),
    "K2_KAFKA_CREATE_TOPICS": ("create_topics", "bool"),
    "K2_KAFKA_PARTITIONS": ("partitions", "int"),
    "K2_KAFKA_REPLICATION_FACTOR": ("replication", "int"),
    "K2_KAFKA_SECURITY_PROTOCOL": ("security_protocol", "text"),
    "K2_KAFKA_SASL_MECHANISM": ("sasl_mechanism", "text"),
    "K2_KAFKA_SASL_USERNAME": ("username", "text"),
    "K2_KAFKA_SASL_PASSWORD": ("password", "secret"),
    "K2_KAFKA_SSL_CA_FILE": ("ca_file", "path"),
    "K2_KAFKA_SSL_CERT_FILE": ("cert_file", "path"),
    "K2_KAFKA_SSL_KEY_FILE": ("key_file", "path"),
    "K2_KAFKA_SCHEMA_REGISTRY_USERNAME": ("registry_username", "text"),
    "K2_KAFKA_SCHEMA_REGISTRY_PASSWORD": ("registry_password", "secret"),
}
"""Environment variable -> (KafkaSettings field, how its text is read)."""


@dataclass(frozen=True, kw_only=True)
class KafkaSettings:
    """How to reach and use a Kafka cluster and its schema registry. SettingsError for what cannot be.

    Times are in the unit of their name, ``open_timeout`` in seconds. Secrets are not in the repr.
    """

    bootstrap: str = "localhost:9092"
    registry_url: str = "http://localhost:8081"
    """One address, or several of one registry, comma-separated: the first that answers is used."""
    acks: str = "all"
    idempotent: bool = True
    compression: str = "lz4"
    linger_ms: float = 10
    batch_bytes: int = 256 * 1024
    """One batch a partition is under way at a time, to keep the order, so a batch must hold what arrives
    during a round trip: 256 KiB is about a thousand trades, which a slow broker (50 ms) still takes at 20,000
    a second.
    """
    max_request_bytes: int = MiB
    """The largest record; Kafka's own default for a topic."""
    request_timeout_ms: int = 30_000
    delivery_timeout_ms: int = 120_000
    """After so long without an acknowledgement the producer is made anew (nothing is given up)."""
    open_timeout: float = 10
    subject: str = "{topic}-value"
    """The registry's subject: ``{topic}`` is the topic's name, ``{record}`` the schema's full name, ``{decimals}`` the
    size of its decimals (18-8, 38-18).
    """
    topic_prefix: str = ""
    """Goes before the name of every topic."""
    compatibility: str = ""
    """Set on the subject before registering, where it is another; "" leaves it to the registry's owner."""
    register: bool = True
    """Whether schemas that are not there are registered; else they are looked up only."""
    create_topics: bool = False
    partitions: int = 6
    replication: int = 1
    client_id: str = "k2conn"
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    registry_username: str | None = None
    registry_password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse contradictions, all at once."""
        refuse(_contradictions(self))


def _contradictions(given: KafkaSettings) -> list[str]:
    return [
        *_delivery(given),
        *one_of("compression", given.compression, COMPRESSIONS),
        *one_of("compatibility", given.compatibility, COMPATIBILITIES),
        *_look_up_only(given),
        *not_positive(given, "batch_bytes", "max_request_bytes", "request_timeout_ms", "open_timeout"),
        *not_positive(given, "partitions", "replication"),
        *_subject(given.subject),
        *_prefix(given.topic_prefix),
        *_security(given),
        *_addresses(given),
    ]


def _delivery(given: KafkaSettings) -> list[str]:
    problems = []
    if given.acks not in ("all", "1"):
        problems.append(f"acks={given.acks}: known are all and 1 (0 would acknowledge nothing)")
    elif given.idempotent and given.acks != "all":
        problems.append(f"acks={given.acks} contradicts the idempotent producer, which needs acks=all")
    if given.linger_ms < 0:
        problems.append(f"linger_ms={given.linger_ms} is below 0")
    if given.batch_bytes > given.max_request_bytes:
        problems.append(f"batch_bytes={given.batch_bytes} is above max_request_bytes={given.max_request_bytes}")
    if given.delivery_timeout_ms < given.request_timeout_ms + given.linger_ms:
        problems.append(
            f"delivery_timeout_ms={given.delivery_timeout_ms} is below "
            f"request_timeout_ms + linger_ms = {given.request_timeout_ms + given.linger_ms}"
        )
    return problems


def _look_up_only(given: KafkaSettings) -> list[str]:
    if given.register or not given.compatibility:
        return []
    return [f"compatibility={given.compatibility} is to be set, but register=false changes nothing in the registry"]


def _security(given: KafkaSettings) -> list[str]:
    problems = one_of("security_protocol", given.security_protocol, PROTOCOLS)
    sasl = given.security_protocol.startswith("SASL_")
    if given.sasl_mechanism is not None:
        problems += one_of("sasl_mechanism", given.sasl_mechanism, MECHANISMS)
    if sasl and given.sasl_mechanism is None:
        problems.append(f"security_protocol={given.security_protocol} needs a sasl_mechanism: {', '.join(MECHANISMS)}")
    if sasl and not (given.username and given.password):
        problems.append(f"security_protocol={given.security_protocol} needs a username and a password")
    if not sasl and (given.sasl_mechanism or given.username or given.password):
        problems.append(f"SASL settings are given, but security_protocol={given.security_protocol} does not use them")
    if given.key_file and not given.cert_file:
        problems.append("key_file is given without cert_file")
    if given.cert_file and not given.security_protocol.endswith("SSL"):
        problems.append(f"cert_file is given, but security_protocol={given.security_protocol} does not use it")
    if bool(given.registry_username) != bool(given.registry_password):
        problems.append("registry_username and registry_password go together")
    return problems


def _addresses(given: KafkaSettings) -> list[str]:
    problems = []
    for address in given.bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        if not host or not port.isdecimal():
            problems.append(f"bootstrap address {address.strip()!r} is not host:port")
    problems += registry_problems(given.registry_url)
    return problems


def _subject(template: str) -> list[str]:
    try:
        template.format(topic="", record="", decimals="")
    except (KeyError, IndexError, ValueError, AttributeError):
        return [f"subject {template!r}: known are {{topic}}, {{record}} and {{decimals}}"]
    return []


def _prefix(text: str) -> list[str]:
    if all(letter.isascii() and (letter.isalnum() or letter in "._-") for letter in text):
        return []
    return [f"topic_prefix {text!r}: a topic's name has letters, digits, '.', '_' and '-' only"]
