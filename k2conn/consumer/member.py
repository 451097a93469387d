"""A member of a consumer group: the one door to the Kafka client's consumer, whose errors become ours here.

Where a partition begins is decided here and nowhere else (the client itself resets nothing): where the group has
committed, or as far as the sink says that it is; else as `ConsumerSettings.from_beginning` says.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import aiokafka.errors as kafka_errors  # type: ignore[import-untyped]
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient  # type: ignore[import-untyped]
from aiokafka.structs import OffsetAndMetadata  # type: ignore[import-untyped]

from k2conn.consumer.settings import ConsumerSettings
from k2conn.consumer.stage import Place
from k2conn.errors import SinkError, Unreachable
from k2conn.sinks.kafka.client_log import ClientLogHandler
from k2conn.sinks.kafka.diagnosis import likely_cause
from k2conn.sinks.kafka.producer import client_options
from k2conn.sinks.positions import Positions, SourcePartition

AGAIN = 0.5
"""Seconds before something is tried again."""
STOP_WITHIN = 5.0
COMMIT_WITHIN = 30.0
"""Seconds for one commit: the client waits for a coordinator without an end, and says nothing meanwhile."""
_SETTLES_IN = 0.05
_PASSING = (
    kafka_errors.CommitFailedError, kafka_errors.IllegalStateError, kafka_errors.RebalanceInProgressError,
    kafka_errors.IllegalGenerationError, kafka_errors.UnknownMemberIdError,
)
"""The group is being divided anew: what could not be committed is read again, by whoever has it then."""

Assigned = Callable[[Mapping[SourcePartition, Place]], None]
Revoked = Callable[[Collection[SourcePartition]], Awaitable[None]]

log = logging.getLogger("k2conn.consumer")


class GroupMember:
    """One member, from ``join`` to ``leave``. ``revoked`` is awaited before partitions go to others, and may commit;
    ``assigned`` is told all partitions that it has now, with the places they begin at. ``notes``: what is committed
    has notes, which are asked for.
    """

    def __init__(
        self, settings: ConsumerSettings, assigned: Assigned, revoked: Revoked, *, notes: bool = False
    ) -> None:
        self._settings = settings
        self._assigned = assigned
        self._revoked = revoked
        self._notes = notes
        self._client: Any = None
        self._log_of_client = ClientLogHandler()
        self._topics_at_start: set[str] = set()
        self._new_group = True
        self.stored: Callable[[], Awaitable[Positions]] | None = None
        """Asks the sink how far it is, where it says so: whenever partitions are given, for whoever had them before has
        gone on meanwhile. Unreachable and SinkError are waited out.
        """
        self.joined = False
        """Whether it was ever given its share, which may be no partition at all."""
        self._bug: Exception | None = None
        self.expired = 0
        """Records that Kafka had deleted before they were read."""

    async def join(self) -> None:
        """Reach the cluster and ask to be a member. Unreachable, with the address and the reason, within the open
        timeout.
        """
        given = self._settings.kafka
        self._log_of_client.attach()
        try:
            async with asyncio.timeout(given.open_timeout):
                await self._join()
        except (TimeoutError, OSError, kafka_errors.KafkaError) as error:
            await self.leave()
            cause = (await likely_cause(given)).text
            text = cause or self._log_of_client.reason(str(error) or f"no answer in {given.open_timeout:.0f} s")
            raise Unreachable(f"kafka {given.bootstrap}: {text}") from None
        except BaseException:  # whatever it is, cancelled above all: a client that was started is closed
            await self.leave()
            raise

    async def _join(self) -> None:
        given = self._settings
        self._new_group = not await self._when_ready(self._has_committed)
        self._client = AIOKafkaConsumer(
            **client_options(given.kafka), group_id=given.group, enable_auto_commit=False, auto_offset_reset="none",
            isolation_level="read_committed", session_timeout_ms=given.session_timeout_ms,
            heartbeat_interval_ms=max(100, min(3000, given.session_timeout_ms // 3)),
            rebalance_timeout_ms=max(given.session_timeout_ms, 60_000), fetch_max_bytes=given.fetch_bytes,
            max_partition_fetch_bytes=given.partition_fetch_bytes, metadata_max_age_ms=int(given.refresh_ms),
        )
        await self._client.start()
        self._topics_at_start = set(await self._client.topics())
        self._client.subscribe(pattern=given.pattern, listener=_Listener(self))

    async def _when_ready(self, ask: Callable[[], Awaitable[bool]]) -> bool:
        """Asks until the cluster has a coordinator for the group: one that is just starting has none yet."""
        while True:
            try:
                return await ask()
            except (kafka_errors.GroupCoordinatorNotAvailableError, kafka_errors.NotCoordinatorForGroupError,
                    kafka_errors.GroupLoadInProgressError) as error:
                log.info("kafka: %s", _text(error))
            await asyncio.sleep(AGAIN)

    async def _has_committed(self) -> bool:
        """Whether the group is there already."""
        admin = AIOKafkaAdminClient(**client_options(self._settings.kafka))
        try:
            await admin.start()
            return bool(await admin.list_consumer_group_offsets(self._settings.group))
        finally:
            await admin.close()

    async def leave(self) -> None:
        """Leave the group and close, within a few seconds; nothing is committed."""
        client, self._client = self._client, None
        try:
            if client is not None:
                async with asyncio.timeout(STOP_WITHIN):
                    await client.stop()
        except (TimeoutError, OSError, kafka_errors.KafkaError) as error:
            log.warning("kafka: the consumer did not leave in good order: %s", error or type(error).__name__)
        finally:
            self._log_of_client.detach()

    @contextmanager
    def noting_bugs(self) -> Iterator[None]:
        """What ends the block is a bug: the client, which calls it, would only log it. `poll` raises it."""
        try:
            yield
        except Exception as bug:
            self._bug = bug
            raise

    @property
    def has_topics(self) -> bool:
        """Whether any topic matches."""
        return self._client is None or bool(self._client.subscription())

    # --- reading

    async def poll(self, within: float, most: int) -> dict[SourcePartition, list[Any]]:
        """The next messages, at most ``most``, in order for each partition. Unreachable for what may pass: nothing is
        skipped by it.
        """
        if self._bug is not None:
            raise self._bug
        try:
            found = await self._client.getmany(timeout_ms=int(within * 1000), max_records=most)
        except (kafka_errors.NoOffsetForPartitionError, kafka_errors.OffsetOutOfRangeError) as error:
            await self._begin_again(error)
            await asyncio.sleep(_SETTLES_IN)  # where the group is just giving it, that says where
            return {}
        except (kafka_errors.KafkaError, OSError) as error:
            raise Unreachable(f"kafka: {_text(error)}") from None
        return {SourcePartition(one.topic, one.partition): messages for one, messages in found.items()}

    def pause(self, wanted: Collection[SourcePartition]) -> None:
        """Read from all assigned partitions but these."""
        assigned = self._client.assignment()
        paused = self._client.paused()
        held = {one for one in assigned if (one.topic, one.partition) in wanted}
        if more := held - paused:
            self._client.pause(*more)
        if less := (paused & assigned) - held:
            self._client.resume(*less)

    async def ends(self, partitions: Collection[SourcePartition]) -> dict[SourcePartition, int]:
        """Where partitions end now. Unreachable."""
        try:
            found = await self._client.end_offsets([TopicPartition(*one) for one in partitions])
        except (kafka_errors.KafkaError, OSError) as error:
            raise Unreachable(f"kafka: {_text(error)}") from None
        return {SourcePartition(one.topic, one.partition): end for one, end in found.items()}

    async def commit(self, places: Mapping[SourcePartition, Place]) -> bool:
        """Commits; False where the group is being divided anew. Unreachable where it may be tried again."""
        offsets = {TopicPartition(*one): OffsetAndMetadata(*at) for one, at in places.items()}
        try:
            async with asyncio.timeout(COMMIT_WITHIN):
                await self._client.commit(offsets)
        except TimeoutError:
            text = f"kafka: offsets were not committed: no answer in {COMMIT_WITHIN:.0f} s"
            raise Unreachable(text) from None
        except _PASSING as error:
            log.info("kafka: offsets were not committed: %s", _text(error))
            return False
        except (kafka_errors.KafkaError, OSError) as error:
            raise Unreachable(f"kafka: offsets were not committed: {_text(error)}") from None
        return True

    # --- where a partition begins

    async def _given(self, partitions: Collection[Any]) -> None:
        """The group has given its partitions to this member."""
        client = self._client
        if client is None:
            return  # it is leaving
        while True:
            try:
                stored = await self.stored() if self.stored is not None and partitions else {}
                starts = {one: await self._start(client, one, stored) for one in partitions}
                notes = await self._noted(partitions)
                break
            except (kafka_errors.KafkaError, OSError, Unreachable, SinkError) as error:
                log.warning("cannot tell where to begin: %s", _text(error))
                await asyncio.sleep(AGAIN)
        held = client.assignment()  # less, where the group was divided anew (or left) while Kafka was asked
        starts = {one: start for one, start in starts.items() if one in held}
        for one, start in starts.items():
            client.seek(one, start)
        self.joined = True
        self._assigned({
            SourcePartition(one.topic, one.partition): Place(start, notes.get(one, "")) for one, start in starts.items()
        })

    async def _noted(self, partitions: Collection[Any]) -> dict[Any, str]:
        """The notes that were committed; the consumer itself does not tell them."""
        if not self._notes or not partitions:
            return {}
        admin = AIOKafkaAdminClient(**client_options(self._settings.kafka))
        try:
            await admin.start()
            found = await admin.list_consumer_group_offsets(self._settings.group, partitions=list(partitions))
            return {one: at.metadata for one, at in found.items() if at.offset >= 0 and at.metadata}
        finally:
            await admin.close()

    async def _start(self, client: Any, one: Any, positions: Positions) -> int:
        own = SourcePartition(one.topic, one.partition)
        committed, stored = await client.committed(one), positions.get(own)
        known = [offset for offset in (committed, stored) if offset is not None]
        if known:
            if committed is not None and stored is not None and stored < committed:
                log.warning("%s: the sink has it up to offset %d only, the group is at %d: read again from there", own,
                            stored, committed)
            return int(min(known))
        first: int = (await client.beginning_offsets([one]))[one]
        if self._settings.from_beginning or not self._new_group or one.topic not in self._topics_at_start:
            return first
        end: int = (await client.end_offsets([one]))[one]
        if end > first:
            log.warning("%s: the group %s is new and begins at its end: %d records before are not read "
                        "(--from-beginning reads them)", own, self._settings.group, end - first)
        return end

    async def _begin_again(self, error: Any) -> None:
        """Some partitions have no position, or one that Kafka does not have."""
        lost = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
        for one, offset in lost.items():
            if one not in self._client.assignment():
                continue
            try:
                first = (await self._client.beginning_offsets([one]))[one]
            except (kafka_errors.KafkaError, OSError) as trouble:
                raise Unreachable(f"kafka: {_text(trouble)}") from None
            own = SourcePartition(one.topic, one.partition)
            if offset < first:
                self.expired += first - offset
                log.error("%s: Kafka has deleted %d records before they were read (retention)", own, first - offset)
            else:
                log.error("%s: offset %d is beyond its end: a topic that was made anew, it is read from its beginning",
                          own, offset)
            self._client.seek(one, first)
            self._assigned({own: Place(first)})


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, member: GroupMember) -> None:
        self._member = member

    async def on_partitions_revoked(self, revoked: Any) -> None:
        with self._member.noting_bugs():
            await self._member._revoked([SourcePartition(one.topic, one.partition) for one in revoked])

    async def on_partitions_assigned(self, assigned: Any) -> None:
        with self._member.noting_bugs():
            await self._member._given(assigned)


def _text(error: BaseException) -> str:
    return str(error) or type(error).__name__
