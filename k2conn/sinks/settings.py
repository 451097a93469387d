"""Sink settings: checked when they are made, so that a contradiction never reaches a broker."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from k2conn.errors import SettingsError

MiB = 1024 * 1024
COMPRESSIONS = ("none", "gzip", "snappy", "lz4", "zstd")
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
SPOOLS = ("always", "trouble", "never")
COMPATIBILITIES = (
    "",
    "NONE",
    *(f"{rule}{reach}" for rule in ("BACKWARD", "FORWARD", "FULL") for reach in ("", "_TRANSITIVE")),
)


@dataclass(frozen=True, kw_only=True)
class KafkaSettings:
    """How to reach and use a Kafka cluster and its schema registry. SettingsError for what cannot be.

    Times are in the unit of their name, ``open_timeout`` in seconds. Secrets are not in the repr.
    """

    bootstrap: str = "localhost:9092"
    registry_url: str = "http://localhost:8081"
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
    """The registry's subject: ``{topic}`` is the topic's name, ``{record}`` the schema's full name."""
    topic_prefix: str = ""
    """Goes before the name of every topic."""
    compatibility: str = "BACKWARD"
    """Set on the subject before registering; "" leaves it as the registry has it."""
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


@dataclass(frozen=True, kw_only=True)
class SpoolSettings:
    """The spool on disk before a sink that is across a network. SettingsError for what cannot be.

    ``mode``: ``trouble`` spools while the sink cannot be reached or holds more than its bound, ``always`` puts every
    record on the disk first, ``never`` has no spool. ``folder`` may be shared by processes; each takes a part of it.
    """

    mode: str = "trouble"
    folder: Path = Path("spool")
    max_bytes: int = 1024 * MiB
    """What may be on the disk; the sink is crowded beyond."""
    fsync_ms: float = 200
    """What was written is forced to the disk this often: all that a power cut can take."""
    patience_ms: float = 1000
    """How long sockets wait for a sink that holds more than its bound, before the spool takes what comes: on a machine
    that is only busy, the disk would be more to do, not less.
    """

    def __post_init__(self) -> None:
        """Refuse what cannot be, all at once."""
        problems = _one_of("spool", self.mode, SPOOLS)
        if self.max_bytes < MiB:
            problems.append(f"max_bytes={self.max_bytes} is below {MiB} (1 MiB)")
        if self.fsync_ms < 0:
            problems.append(f"fsync_ms={self.fsync_ms} is below 0")
        if self.patience_ms < 0:
            problems.append(f"patience_ms={self.patience_ms} is below 0")
        refuse(problems)

    @property
    def segment_bytes(self) -> int:
        """A new file when one has grown to this: a 64th of the bound, so that room comes back in small steps."""
        return max(64 * 1024, self.max_bytes // 64)


@dataclass(frozen=True, kw_only=True)
class SinkSettings:
    """Which sink, and how. ``kind`` names a file in ``k2conn/sinks``.

    ``buffer_bytes`` bounds what waits in memory before the sink is crowded. ``folder`` and ``rotation_bytes``
    (a new file when one has grown beyond it) are the file sink's.
    """

    kind: str = "kafka"
    folder: Path = Path("data")
    rotation_bytes: int = 128 * MiB
    buffer_bytes: int = 32 * MiB
    kafka: KafkaSettings = field(default_factory=KafkaSettings)
    spool: SpoolSettings = field(default_factory=SpoolSettings)

    def __post_init__(self) -> None:
        """Refuse bounds that bound nothing."""
        refuse(_not_positive(self, "rotation_bytes", "buffer_bytes"))


def refuse(problems: list[str]) -> None:
    """Raise one SettingsError with all ``problems``, if there are any."""
    if problems:
        raise SettingsError("; ".join(problems))


def _contradictions(given: KafkaSettings) -> list[str]:
    return [
        *_delivery(given),
        *_one_of("compression", given.compression, COMPRESSIONS),
        *_one_of("compatibility", given.compatibility, COMPATIBILITIES),
        *_not_positive(given, "batch_bytes", "max_request_bytes", "request_timeout_ms", "open_timeout"),
        *_not_positive(given, "partitions", "replication"),
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


def _security(given: KafkaSettings) -> list[str]:
    problems = _one_of("security_protocol", given.security_protocol, PROTOCOLS)
    sasl = given.security_protocol.startswith("SASL_")
    if given.sasl_mechanism is not None:
        problems += _one_of("sasl_mechanism", given.sasl_mechanism, MECHANISMS)
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
    url = urlsplit(given.registry_url)
    if "@" in url.netloc:
        # Not repeated in the text: it holds a password.
        problems.append("registry_url carries credentials; give registry_username and registry_password instead")
    elif url.scheme not in ("http", "https") or not url.hostname:
        problems.append(f"registry_url {given.registry_url!r} is not an http:// or https:// address")
    return problems


def _subject(template: str) -> list[str]:
    try:
        template.format(topic="", record="")
    except (KeyError, IndexError, ValueError, AttributeError):
        return [f"subject {template!r}: known are {{topic}} and {{record}}"]
    return []


def _prefix(text: str) -> list[str]:
    if all(letter.isascii() and (letter.isalnum() or letter in "._-") for letter in text):
        return []
    return [f"topic_prefix {text!r}: a topic's name has letters, digits, '.', '_' and '-' only"]


def _one_of(name: str, value: str, known: tuple[str, ...]) -> list[str]:
    return [] if value in known else [f"{name}={value!r}: known are {', '.join(filter(None, known))}"]


def _not_positive(given: object, *names: str) -> list[str]:
    return [f"{name}={getattr(given, name)} is not above 0" for name in names if getattr(given, name) <= 0]
