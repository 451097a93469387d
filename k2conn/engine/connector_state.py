"""What a connector knows that outlives its connections, and its plan.

Connections come and go, and a reload replaces the plan; the ledger, the ids of what came before, the numbers by which
gaps are found, the gaps that are still to be filled, the venue's limits that are used up and what is usual for each
symbol go on. `ConnectorState.for_plan` gives the state of a connector that is to replace another one. The two share all
that means the same under both plans, because they are at work side by side until the new one has proved itself; at its
end the old one leaves its pending backfills to the new one with `hand_over`.

Pure: no clock, no connection.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import count

from k2conn.engine.accounting.ledger import MOST_SYMBOLS, Ledger
from k2conn.engine.backfill.gap_registry import GapRegistry
from k2conn.engine.backfill.pending_backfills import PendingBackfills
from k2conn.engine.held_messages import HeldMessages
from k2conn.engine.identity.dedup_window import REMEMBERED, DedupWindow
from k2conn.engine.mapping.stream_mapping import StreamMapping
from k2conn.engine.resilience.rate_limiter import RateLimiter
from k2conn.engine.resilience.replicas import ReplicaSet
from k2conn.engine.resilience.shared_limits import SharedLimits
from k2conn.engine.resilience.silence_detection import Baselines
from k2conn.engine.symbol_directory import SymbolDirectory
from k2conn.envelope import Envelope
from k2conn.plan import POLITE_CONNECTS, Connection, Plan
from k2conn.plan import Sequence as SequenceRule


class ConnectorState:
    """The state of one connector under one plan, shared by all of its connections."""

    def __init__(
        self, plan: Plan, streams: Sequence[str] | None = None, window: int = REMEMBERED, backfill: bool = False,
        *, most_symbols: int = MOST_SYMBOLS, most_accounts: int | None = None,
        predecessor: ConnectorState | None = None, shared_limits: SharedLimits | None = None, hold: bool = False,
    ) -> None:
        """``streams``: those that run; None for those that the plan enables. ``window``: how many ids each stream
        remembers at least. ``backfill``: whether somebody fills gaps. ``most_symbols``: that are known of the venue's
        list. ``most_accounts``: of the ledger, see there; None: as many. ``predecessor``: see `for_plan`.
        ``shared_limits``: those of the process. ``hold``: messages are kept, and mapped once they are released.
        """
        before = predecessor
        wanted = [stream.name for stream in plan.streams if stream.default] if streams is None else list(streams)
        self.plan = plan
        self.streams = tuple(stream for stream in plan.streams if stream.name in wanted)
        self.malformed_topic = (self.streams or plan.streams)[0].kafka_topic
        self.ledger: Ledger = (
            Ledger(plan.name, plan.exchange, most_accounts or most_symbols) if before is None else before.ledger
        )
        own = HeldMessages(self.ledger) if hold else None
        self.held: HeldMessages | None = own if before is None else before.held
        """Messages that wait for the state of the process before; None where none ever did."""
        self.epochs: Iterator[int] = count(1) if before is None else before.epochs
        """Numbers for connections."""
        self.baselines: Baselines = {} if before is None else before.baselines
        """How often each symbol has data."""
        self.most_listed: int = most_symbols if before is None else before.most_listed
        self.symbols = SymbolDirectory(plan.symbols, self.most_listed)
        self.shared_limits = SharedLimits() if shared_limits is None else shared_limits
        self.limit_share = self.shared_limits.share_of(plan.name)
        self.connect_limiters = {one.name: self._connect_limiter(one, before) for one in plan.connections}
        """The venue's limit on connecting, by the connection's name."""
        self.request_limiters = {one.name: self._request_limiter(one, before) for one in plan.connections}
        """The venue's limit on asking, for connections that ask again and again."""
        self.mappings = {
            stream.name: StreamMapping(plan, stream, self.ledger, _window(stream.name, window, before), self.symbols)
            for stream in self.streams
        }
        self.gaps = GapRegistry(plan, self.ledger, self.mappings, backfill)
        self.pending_backfills = PendingBackfills(self.gaps, partial(self.shared_limits.own, plan.name))
        self._replica_sets: dict[tuple[str, int], ReplicaSet] = {}
        if before is not None:
            self._replica_sets.update(before._replica_sets)
            self.pending_backfills.share_limits(before.pending_backfills)
            self._share_trackers(before)

    # -- from one plan to the next

    def for_plan(
        self, plan: Plan, streams: Sequence[str] | None = None, window: int = REMEMBERED, backfill: bool = False
    ) -> ConnectorState:
        """The state of a connector that is to replace this one, and runs beside it for a while: the same ledger, ids,
        baselines and connection numbers; the same sequence numbers where both plans count in the same way; and limits
        that count what either of the two does.
        """
        return ConnectorState(plan, streams, window, backfill, predecessor=self, shared_limits=self.shared_limits)

    def _share_trackers(self, predecessor: ConnectorState) -> None:
        for name, mapping in self.mappings.items():
            other = predecessor.mappings.get(name)
            if other is None:
                continue
            same_rule = _how_counted(mapping.stream.sequence) == _how_counted(other.stream.sequence)
            if mapping.gaps is not None and other.gaps is not None and same_rule:
                mapping.gaps = other.gaps
            if mapping.suspected_gaps is not None and other.suspected_gaps is not None:
                mapping.suspected_gaps = other.suspected_gaps

    def goes_on_in(self, successor: ConnectorState) -> bool:
        """Whether a successor goes on with all sequence numbers, so that no gap need be reported before its grace is
        over because this connector ends.
        """
        theirs = successor.mappings
        return self.mappings.keys() <= theirs.keys() and all(
            mapping.gaps is theirs[name].gaps and mapping.suspected_gaps is theirs[name].suspected_gaps
            for name, mapping in self.mappings.items()
        )

    def hand_over(self, successor: ConnectorState) -> int:
        """Leaves the pending backfills to a successor, as far as it can go on with them; how many. To be called when
        nobody fills them here any more.
        """
        return len(self.pending_backfills.hand_over(successor.pending_backfills))

    def _connect_limiter(self, connection: Connection, predecessor: ConnectorState | None) -> RateLimiter:
        limit = connection.limits.connect or POLITE_CONNECTS
        if (shared := self.shared_limits.limiter(self.plan.name, "connect", connection, limit)) is not None:
            return shared
        known = predecessor.connect_limiters.get(connection.name) if predecessor is not None else None
        return RateLimiter(limit, share=self.limit_share) if known is None else known.under(limit)

    def _request_limiter(self, connection: Connection, predecessor: ConnectorState | None) -> RateLimiter:
        limit = connection.limits.requests
        if (shared := self.shared_limits.limiter(self.plan.name, "requests", connection, limit)) is not None:
            return shared
        known = predecessor.request_limiters.get(connection.name) if predecessor is not None else None
        return RateLimiter(limit, share=self.limit_share) if known is None else known.under(limit)

    # -- gaps and replicas

    def gap_records(self, now_us: int) -> list[Envelope]:
        """Records of the gaps found or closed since the last call; ``now_us`` is microseconds since the epoch."""
        return self.gaps.records(now_us)

    def replica_set(self, connection: Connection, number: int) -> ReplicaSet:
        """What is known of the replicas of a connection's shard."""
        key = (connection.name, number)
        known = self._replica_sets.get(key)
        if known is None or known.count != connection.replicas:
            known = self._replica_sets[key] = ReplicaSet(connection.replicas)
        return known

    def keep_replica_sets(self, shards: set[tuple[str, int]]) -> None:
        """Forgets all but those of these shards, each a connection's name and a number."""
        self._replica_sets = {key: one for key, one in self._replica_sets.items() if key in shards}

    def expire_replicas(self, now_us: int) -> None:
        """Counts what replicas have not delivered when the time for it is over."""
        for one in self._replica_sets.values():
            one.expire(now_us)


def _window(stream: str, size: int, predecessor: ConnectorState | None) -> DedupWindow:
    known = predecessor.mappings.get(stream) if predecessor is not None else None
    return DedupWindow(size) if known is None else known.window


def _how_counted(rule: SequenceRule | None) -> tuple[object, ...] | None:
    """What two rules agree in whose numbers mean the same."""
    return None if rule is None else (rule.rule, rule.per, rule.expression)
