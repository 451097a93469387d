"""The consumer's settings: checked when they are made."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import translate

from k2conn.sinks.kafka.settings import LARGEST_INT, KafkaSettings
from k2conn.sinks.settings import MiB, above, not_positive, refuse
from k2conn.variable_definitions import Variable

VARIABLES = {
    "K2_KAFKA_CONSUMER_TOPICS": Variable("topics", "list", "Topics, or patterns as of a shell (market.*)."),
    "K2_KAFKA_CONSUMER_GROUP": Variable("group", "text", "The consumer group."),
    "K2_KAFKA_CONSUMER_FROM_BEGINNING": Variable(
        "from_beginning", "bool", "A group that is new begins with all that is there."
    ),
    "K2_KAFKA_CONSUMER_COMMIT_MS": Variable(
        "commit_ms", "ms", "How often offsets are committed that the sink has confirmed."
    ),
    "K2_KAFKA_CONSUMER_REFRESH_MS": Variable(
        "refresh_ms", "ms", "How often the cluster is asked for topics that are new."
    ),
    "K2_KAFKA_CONSUMER_SESSION_TIMEOUT_MS": Variable(
        "session_timeout_ms", "ms", "After so long without a sign of life, others get its partitions."
    ),
    "K2_KAFKA_CONSUMER_FETCH_BYTES": Variable("fetch_bytes", "int", "Of one answer of a broker."),
    "K2_KAFKA_CONSUMER_PARTITION_FETCH_BYTES": Variable("partition_fetch_bytes", "int", "Of that, for one partition."),
}
"""Environment variable -> (ConsumerSettings field, how its text is read)."""

DEAD_SUFFIX = ".dlq"
_LONGEST = 249
"""Characters of a topic's name, by Kafka's own rule."""
_PATTERN = re.compile(r"[A-Za-z0-9._*?\[\]!-]+")


@dataclass(frozen=True, kw_only=True)
class ConsumerSettings:
    """Which topics are read, by which group. SettingsError for what cannot be.

    ``topics`` are names or shell patterns (``market.*``); topics of dead letters are read only where a pattern ends as
    their names do.
    """

    kafka: KafkaSettings = field(default_factory=KafkaSettings)
    topics: tuple[str, ...] = ()
    group: str = "k2conn"
    from_beginning: bool = False
    """Where a group that is new begins: with all that is there, or with what comes. Topics that appear later are read
    from their beginning in either case.
    """
    commit_ms: float = 1000
    """How often offsets are committed that the sink has confirmed."""
    refresh_ms: float = 30_000
    """How often the cluster is asked for topics that are new."""
    session_timeout_ms: int = 45_000
    """After so long without a sign of life the group gives a process's partitions to the others."""
    fetch_bytes: int = 16 * MiB
    """Of one answer of a broker."""
    partition_fetch_bytes: int = MiB
    """Of that, for one partition; a larger record comes alone."""

    def __post_init__(self) -> None:
        """Refuse what cannot be, all at once."""
        problems = [
            *not_positive(self, "commit_ms", "refresh_ms", "session_timeout_ms"),
            *not_positive(self, "fetch_bytes", "partition_fetch_bytes"),
            *above(self, LARGEST_INT, "session_timeout_ms", "fetch_bytes", "partition_fetch_bytes"),
        ]
        if not self.topics:
            problems.append("topics=: say which topics to read, such as 'market.*'")
        for one in self.topics:
            if not _PATTERN.fullmatch(one) or len(one) > _LONGEST:
                problems.append(f"topics={one[:60]!r}: letters, digits, '.', '_', '-', and the wildcards * ? [...]")
        if not self.group or len(self.group) > _LONGEST or not self.group.isprintable():
            problems.append("group=: a name of at most 249 characters")
        refuse(problems)

    @property
    def pattern(self) -> str:
        """A regular expression for the names of all topics that are read."""
        return "|".join(f"(?:{self._one(topic)})" for topic in self.topics)

    def _one(self, topic: str) -> str:
        wanted = translate(topic)
        return wanted if topic.endswith(DEAD_SUFFIX) else rf"(?!.*{re.escape(DEAD_SUFFIX)}\Z){wanted}"
