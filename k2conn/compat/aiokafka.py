"""What nothing public of aiokafka does: LZ4 at its own pace, and leaving a producer whose batches are not acknowledged
(aiokafka itself trips over that, see `_PendingBatches`).

Objects of aiokafka have no types, so they are ``Any`` here.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka.codec import lz4_encode  # type: ignore[import-untyped]
from aiokafka.errors import ProducerClosed  # type: ignore[import-untyped]
from aiokafka.producer.message_accumulator import BatchBuilder  # type: ignore[import-untyped]

VERSIONS = ">=0.14,<0.15"

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
"""The protocol's numbers of compressions."""

LZ4_LEVEL = 1
"""LZ4 as it is meant, and as Java's client compresses by default. aiokafka asks for the "high compression" of level 9,
which costs fourteen times the CPU (3.4 us a trade instead of 0.24) for batches an eighth smaller.
"""
_RELEASES = 20
"""Times that a sender is cancelled before it is given up."""


class Batch(BatchBuilder):  # type: ignore[misc]
    """A batch whose LZ4 is of `LZ4_LEVEL`. There is no setting for the level: it is the default of a function's
    argument, which is another one only while a batch of ours is compressed. Nothing else runs on the loop meanwhile, so
    that whoever else uses aiokafka in this process has its own default.
    """

    def __init__(self, batch_bytes: int, compression: str, transactional: bool = False) -> None:
        """``transactional``: its records count as committed only once their transaction is; without that mark a broker
        takes them into a transaction's partition all the same, and shows them at once.
        """
        super().__init__(batch_bytes, CODECS[compression], is_transactional=transactional)

    def _build(self) -> Any:
        before = lz4_encode.__defaults__
        lz4_encode.__defaults__ = (LZ4_LEVEL,)
        try:
            return super()._build()
        finally:
            lz4_encode.__defaults__ = before


class _PendingBatches(set[Any]):
    """A producer's batches that are sent and not acknowledged, in place of aiokafka's own set. Each batch takes itself
    out of that when it ends; but one that is to be sent again (no answer in time, a broker that is gone) has been taken
    out before, so that its end while it waits raised KeyError out of a callback of the event loop.
    """

    remove = set.discard


def mend_pending_batches(producer: Any) -> None:
    """Lets batches of a producer that is not started yet end while they wait to be sent again."""
    producer._message_accumulator._pending_batches = _PendingBatches()


def sender_task(producer: Any) -> asyncio.Task[Any] | None:
    """The task that sends a producer's batches; None before it is started."""
    task: asyncio.Task[Any] | None = producer._sender.sender_task
    return task


async def end_sender(producer: Any, sender: asyncio.Task[Any]) -> None:
    """Waits until a cancelled sender has ended. A request under way waits for metadata that a closed client never
    fetches: that is released, and the sender cancelled once more.
    """
    for _ in range(_RELEASES):
        waiting = producer.client._md_update_fut
        if waiting is not None and not waiting.done():
            waiting.cancel()
        await asyncio.wait({sender}, timeout=0.15)
        if sender.done():
            return
        sender.cancel()


def fail_batches(producer: Any) -> None:
    """Ends all batches of a producer. Each has a future besides that of its records, for which nobody waits: asyncio
    would report its exception as an error that was never looked at.
    """
    accumulator = producer._message_accumulator
    batches = [*accumulator._pending_batches, *(one for every in accumulator._batches.values() for one in every)]
    for batch in batches:
        batch._drain_waiter.add_done_callback(lambda future: future.cancelled() or future.exception())
    accumulator.fail_all(ProducerClosed())


def names_controller(admin: Any) -> bool:
    """Whether the cluster, as an admin client sees it, has a controller."""
    return admin._client.cluster.controller is not None


async def refresh_metadata(consumer: Any) -> None:
    """Asks the cluster for its topics and partitions, now."""
    await consumer._client.force_metadata_update()
