"""The accounts: every record that was read is somewhere, at every instant.

For each topic::

    consumed = written + dead letters + in flight + released + lost

*in flight* records are with the sink, not yet durable, or wait for the registry. *released* ones were so when the group
gave their partition to another process, which reads them again. *lost* ones are dead letters that the sink did not
take: each with a line in the log, and an exit code of 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, TypedDict

from k2conn.merging import total


class TopicFigures(TypedDict):
    """The counts of one topic, or of all."""

    consumed: Annotated[int, total]
    written: Annotated[int, total]
    dead_letters: Annotated[int, total]
    in_flight: Annotated[int, total]
    released: Annotated[int, total]
    lost: Annotated[int, total]


class TopicAccount:
    """The counts of one topic."""

    def __init__(self) -> None:
        self.consumed = 0
        self.written = 0
        self.dead_letters = 0
        self.released = 0
        self.lost = 0
        self.in_flight = 0

    @property
    def balanced(self) -> bool:
        """Whether all that was read is somewhere: `in_flight` is counted by itself."""
        return self.consumed == self.written + self.dead_letters + self.in_flight + self.released + self.lost

    def figures(self) -> TopicFigures:
        """All counts."""
        return {
            "consumed": self.consumed, "written": self.written, "dead_letters": self.dead_letters,
            "in_flight": self.in_flight, "released": self.released, "lost": self.lost,
        }


class TopicAccounts:
    """The accounts of all topics, and why there were dead letters."""

    def __init__(self) -> None:
        self.by_topic: dict[str, TopicAccount] = {}
        self.reasons: Counter[str] = Counter()
        self.expired = 0
        """Records that Kafka had deleted before they were read."""

    def of(self, topic: str) -> TopicAccount:
        """The account of a topic, opened on first use."""
        found = self.by_topic.get(topic)
        if found is None:
            found = self.by_topic[topic] = TopicAccount()
        return found

    @property
    def balanced(self) -> bool:
        """Whether all accounts are."""
        return all(one.balanced for one in self.by_topic.values())

    def totals(self) -> TopicFigures:
        """The sums over all topics."""
        return sums(one.figures() for one in self.by_topic.values())

    def equation(self) -> str:
        """The accounts in one line."""
        one = self.totals()
        return (f"consumed {one['consumed']} = written {one['written']} + dead letters {one['dead_letters']} + "
                f"in flight {one['in_flight']} + released {one['released']} + lost {one['lost']}")


def sums(figures: Iterable[TopicFigures]) -> TopicFigures:
    """Figures added up."""
    found = TopicAccount().figures()
    for one in figures:
        for name in found:
            found[name] += one[name]  # type: ignore[literal-required] # the names are the shape's own
    return found
