"""The Kafka sink's settings: checked when they are made, so that a contradiction never reaches a broker."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

from k2conn.schemes import HTTP, in_the_clear
from k2conn.sinks.journal import JournalSettings
from k2conn.sinks.kafka.registry_addresses import registry_problems, registry_urls, wrong_url
from k2conn.sinks.settings import MiB, above, not_positive, one_of, refuse
from k2conn.variable_definitions import Variable

COMPRESSIONS = ("none", "gzip", "snappy", "lz4", "zstd")
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
OAUTH = "OAUTHBEARER"
AT_LEAST_ONCE = "at-least-once"
EXACTLY_ONCE = "exactly-once"
COMMIT_MS = (50, 5000)
LEAST_TIMEOUT_MS = 1000
LONGEST_ID = 1000
MOST_PARTITIONS = 4096
"""Of the state topic."""
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", OAUTH)
LARGEST_INT = 2**31 - 1
"""Of the protocol's numbers."""
COMPATIBILITIES = (
    "",
    "NONE",
    *(f"{rule}{reach}" for rule in ("BACKWARD", "FORWARD", "FULL") for reach in ("", "_TRANSITIVE")),
)

VARIABLES = {
    "K2_KAFKA_BOOTSTRAP_SERVERS": Variable("bootstrap", "text", "The brokers, host:port,..."),
    "K2_KAFKA_SCHEMA_REGISTRY_URL": Variable(
        "registry_url", "text", "A Confluent-compatible registry, or several addresses of one."
    ),
    "K2_KAFKA_ACKS": Variable("acks", "text", "all, or 1 without idempotence."),
    "K2_KAFKA_IDEMPOTENCE_ENABLED": Variable("idempotent", "bool", "The idempotent producer."),
    "K2_KAFKA_COMPRESSION_TYPE": Variable("compression", "text", "none, gzip, snappy, lz4 or zstd."),
    "K2_KAFKA_LINGER_MS": Variable("linger_ms", "ms", "How long a record waits for others."),
    "K2_KAFKA_BATCH_SIZE": Variable("batch_bytes", "int", "Bytes of a batch."),
    "K2_KAFKA_MAX_REQUEST_SIZE": Variable(
        "max_request_bytes", "int", "Bytes of the largest record; larger ones become dead letters."
    ),
    "K2_KAFKA_REQUEST_TIMEOUT_MS": Variable("request_timeout_ms", "ms", "Of one request."),
    "K2_KAFKA_DELIVERY_TIMEOUT_MS": Variable(
        "delivery_timeout_ms", "ms", "Without an acknowledgement; then the producer is made anew."
    ),
    "K2_KAFKA_DELIVERY": Variable(
        "delivery", "text", "at-least-once, or exactly-once: records and state in one transaction."
    ),
    "K2_KAFKA_COMMIT_MS": Variable("commit_ms", "ms", "Between two transactions, or two states: 50 to 5000."),
    "K2_KAFKA_TRANSACTIONAL_ID": Variable(
        "transactional_id", "text", "Whose transactions they are; by default it names the connectors."
    ),
    "K2_KAFKA_TRANSACTION_TIMEOUT_MS": Variable(
        "transaction_timeout_ms", "ms", "After which the broker ends a transaction of a process that is gone."
    ),
    "K2_KAFKA_STATE_TOPIC": Variable("state_topic", "text", "Where the state is kept; made where it is not there."),
    "K2_KAFKA_STATE_PARTITIONS": Variable("state_partitions", "int", "Of that topic, one a slot."),
    "K2_STATE": Variable("state", "text", "folder (K2_STATE_FOLDER, where it is set), or kafka: in the state topic."),
    "K2_KAFKA_CLIENT_ID": Variable("client_id", "text", "As Kafka's logs show it."),
    "K2_KAFKA_SUBJECT": Variable("subject", "text", "The registry's subject, of {topic}, {record} and {decimals}."),
    "K2_KAFKA_TOPIC_PREFIX": Variable("topic_prefix", "text", "Goes before the name of every topic, as in staging."),
    "K2_KAFKA_COMPATIBILITY": Variable(
        "compatibility", "text", "Set on the subject before registering: NONE, BACKWARD, ..."
    ),
    "K2_KAFKA_SCHEMA_REGISTER": Variable(
        "register", "bool", "Register schemas that are not there; false: look them up only."
    ),
    "K2_KAFKA_CREATE_TOPICS": Variable("create_topics", "bool", "Make topics that are missing."),
    "K2_KAFKA_PARTITIONS": Variable("partitions", "int", "Of topics that it makes."),
    "K2_KAFKA_REPLICATION_FACTOR": Variable("replication", "int", "Of topics that it makes."),
    "K2_KAFKA_SECURITY_PROTOCOL": Variable("security_protocol", "text", "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."),
    "K2_KAFKA_SASL_MECHANISM": Variable(
        "sasl_mechanism", "text", "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER."
    ),
    "K2_KAFKA_SASL_USERNAME": Variable("username", "text", "The login's name."),
    "K2_KAFKA_SASL_PASSWORD": Variable("password", "secret", "The login's password."),
    "K2_KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL": Variable(
        "oauth_token_url", "text", "Where tokens come from, by OAuth 2 client credentials."
    ),
    "K2_KAFKA_SASL_OAUTHBEARER_CLIENT_ID": Variable("oauth_client_id", "text", "The client's id there."),
    "K2_KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET": Variable("oauth_client_secret", "secret", "The client's secret there."),
    "K2_KAFKA_SASL_OAUTHBEARER_SCOPE": Variable("oauth_scope", "text", "Asked for with the token."),
    "K2_KAFKA_SASL_OAUTHBEARER_EXTENSIONS": Variable(
        "oauth_extensions", "text", "Sent beside the token, name=value,..."
    ),
    "K2_KAFKA_SASL_OAUTHBEARER_CA_FILE": Variable("oauth_ca_file", "path", "Authorities for the endpoint, PEM."),
    "K2_KAFKA_SSL_CA_FILE": Variable("ca_file", "path", "Authorities for the brokers, PEM."),
    "K2_KAFKA_SSL_CERT_FILE": Variable("cert_file", "path", "Our certificate, PEM."),
    "K2_KAFKA_SSL_KEY_FILE": Variable("key_file", "path", "Its key, PEM, without a password."),
    "K2_KAFKA_SCHEMA_REGISTRY_USERNAME": Variable("registry_username", "text", "The registry's login: name."),
    "K2_KAFKA_SCHEMA_REGISTRY_PASSWORD": Variable("registry_password", "secret", "The registry's login: password."),
    "K2_KAFKA_SCHEMA_REGISTRY_SSL_CA_FILE": Variable("registry_ca_file", "path", "Authorities for the registry, PEM."),
    "K2_KAFKA_SCHEMA_REGISTRY_SSL_CERT_FILE": Variable(
        "registry_cert_file", "path", "Our certificate for the registry, PEM."
    ),
    "K2_KAFKA_SCHEMA_REGISTRY_SSL_KEY_FILE": Variable("registry_key_file", "path", "Its key, PEM, without a password."),
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
    delivery: str = AT_LEAST_ONCE
    commit_ms: int = 500
    """Between two transactions of exactly-once delivery, or two states of at-least-once delivery."""
    transactional_id: str = ""
    """Unique in the cluster: who starts later under the same id ends who is at work. "" before it is known."""
    transaction_timeout_ms: int = 60_000
    state: str = "folder"
    state_topic: str = "k2conn.state"
    state_partitions: int = 64
    slot: int = 0
    """Whose state it is: the partition of the state topic that this one alone writes."""
    state_topic_made: bool = False
    """Whether somebody else sees to it that the state topic is there, and as it must be."""
    incarnation: str = field(default_factory=lambda: uuid4().hex, repr=False)
    """Tells this process from others that have had the same transactional id."""
    client_id: str = "k2conn"
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    oauth_token_url: str | None = None
    """Where OAUTHBEARER gets its tokens, by the client's id and secret (client credentials)."""
    oauth_client_id: str | None = None
    oauth_client_secret: str | None = field(default=None, repr=False)
    oauth_scope: str | None = None
    oauth_extensions: str = ""
    """Sent to the broker beside the token: ``name=value,...``."""
    oauth_ca_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    registry_username: str | None = None
    registry_password: str | None = field(default=None, repr=False)
    registry_ca_file: Path | None = None
    """The registry's authorities, client certificate and key; where they say nothing, those for Kafka are used."""
    registry_cert_file: Path | None = None
    registry_key_file: Path | None = None

    def __post_init__(self) -> None:
        """Refuse contradictions, all at once."""
        refuse(_contradictions(self))

    @property
    def exactly_once(self) -> bool:
        """Whether records and state are committed in one transaction."""
        return self.delivery == EXACTLY_ONCE

    @property
    def unit(self) -> str:
        """Whose transactions they are, as the cluster knows it: one of each slot."""
        return f"{self.transactional_id or 'k2conn'}-{self.slot}"

    @property
    def journal(self) -> JournalSettings | None:
        """How the state is kept in Kafka; None where it is not."""
        if not self.exactly_once and self.state != "kafka":
            return None
        return JournalSettings(
            self.state_topic, self.unit, self.incarnation, self.commit_ms / 1000, self.exactly_once
        )

    @property
    def registry_urls(self) -> tuple[str, ...]:
        """The registry's addresses, one or several."""
        return registry_urls(self.registry_url)

    @property
    def registry_files(self) -> tuple[Path | None, Path | None, Path | None]:
        """Authorities, client certificate and key for the registry."""
        authorities = self.registry_ca_file or self.ca_file
        if self.registry_cert_file is not None:
            return authorities, self.registry_cert_file, self.registry_key_file
        return authorities, self.cert_file, self.key_file


def _contradictions(given: KafkaSettings) -> list[str]:
    return [
        *_delivery(given),
        *_state(given),
        *one_of("compression", given.compression, COMPRESSIONS),
        *one_of("compatibility", given.compatibility, COMPATIBILITIES),
        *_look_up_only(given),
        *not_positive(given, "batch_bytes", "max_request_bytes", "request_timeout_ms", "open_timeout"),
        *not_positive(given, "partitions", "replication"),
        *above(given, LARGEST_INT, "batch_bytes", "max_request_bytes", "request_timeout_ms", "partitions"),
        *above(given, 2**15 - 1, "replication"),
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


def _state(given: KafkaSettings) -> list[str]:
    problems = [
        *one_of("delivery", given.delivery, (AT_LEAST_ONCE, EXACTLY_ONCE)),
        *one_of("state", given.state, ("folder", "kafka")),
        *not_positive(given, "state_partitions"),
        *above(given, MOST_PARTITIONS, "state_partitions"),
        *above(given, LARGEST_INT, "transaction_timeout_ms"),
    ]
    least, most = COMMIT_MS
    if not least <= given.commit_ms <= most:
        problems.append(f"commit_ms={given.commit_ms} is not from {least} to {most}")
    if not 0 <= given.slot < given.state_partitions:
        problems.append(f"slot={given.slot} is none of the {given.state_partitions} of state_partitions")
    if given.transaction_timeout_ms < LEAST_TIMEOUT_MS:
        problems.append(f"transaction_timeout_ms={given.transaction_timeout_ms} is below {LEAST_TIMEOUT_MS}")
    if len(given.transactional_id) > LONGEST_ID:
        problems.append(f"transactional_id has more than {LONGEST_ID} characters")
    if not given.state_topic or _prefix(given.state_topic):
        problems.append(f"state_topic {given.state_topic!r}: it has letters, digits, '.', '_' and '-' only")
    if given.exactly_once and not (given.idempotent and given.acks == "all"):
        problems.append(f"delivery={EXACTLY_ONCE} needs acks=all and the idempotent producer")
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
    oauth = given.sasl_mechanism == OAUTH
    if sasl and not oauth and not (given.username and given.password):
        problems.append(f"security_protocol={given.security_protocol} needs username=... and password=...")
    problems += _oauth(given) if oauth else []
    if not sasl and (given.sasl_mechanism or given.username or given.password):
        problems.append(f"SASL settings are given, but security_protocol={given.security_protocol} does not use them")
    if given.key_file and not given.cert_file:
        problems.append("key_file is given without cert_file")
    if given.registry_key_file and not given.registry_cert_file:
        problems.append("registry_key_file is given without registry_cert_file")
    secure_registry = any(url.startswith("https:") for url in given.registry_urls)
    if given.cert_file and not given.security_protocol.endswith("SSL") and not secure_registry:
        problems.append(f"cert_file is given, but security_protocol={given.security_protocol} does not use it, and "
                        "registry_url= is not https://")
    if given.registry_cert_file and not secure_registry:
        problems.append("registry_cert_file is given, but registry_url= is not https://")
    if bool(given.registry_username) != bool(given.registry_password):
        problems.append("registry_username and registry_password go together")
    return problems


def _oauth(given: KafkaSettings) -> list[str]:
    problems = []
    if not (given.oauth_token_url and given.oauth_client_id and given.oauth_client_secret):
        problems.append(f"sasl_mechanism={OAUTH} needs oauth_token_url, oauth_client_id and oauth_client_secret")
    if given.username or given.password:
        problems.append(f"username= and password= are given, but sasl_mechanism={OAUTH} does not use them")
    if given.oauth_token_url and (wrong := wrong_url(given.oauth_token_url)):
        problems.append(f"oauth_token_url {wrong}")
    elif given.oauth_token_url and in_the_clear(urlsplit(given.oauth_token_url), HTTP.get):
        problems.append("oauth_token_url is in the clear: a secret goes there, say https://")
    try:
        pairs(given.oauth_extensions)
    except ValueError:
        problems.append("oauth_extensions is written name=value,name=value")
    return problems


def pairs(text: str) -> dict[str, str]:
    """``name=value,...``; ValueError for anything else."""
    found = {}
    for part in text.split(",") if text.strip() else ():
        name, equals, value = part.strip().partition("=")
        if not (name and equals and value):
            raise ValueError(text)
        found[name] = value
    return found


def _addresses(given: KafkaSettings) -> list[str]:
    problems = []
    for address in given.bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        named = host and not any(letter.isspace() or letter in "/@" for letter in host)
        if not named or not (port.isascii() and port.isdecimal()) or len(port) > 6:
            shown = "'...'" if "@" in address else repr(address.strip())
            problems.append(f"bootstrap address {shown} is not host:port")
        elif not 0 < int(port) < 65536:
            problems.append(f"bootstrap address {address.strip()!r}: a port is a number from 1 to 65535")
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
