"""The spool: records that Kafka cannot take now wait on disk, in order, and go out first when it can.

::

    __init__        make_spooled: the sink that the settings name, with a spool before it where that makes sense
    topic_prefix    a prefix before every topic, where the settings have one
    sink            SpoolingSink: when to spool and when to stop; what the runner sees
    buffer_manager  the queues of one process, in its folder
    queue           the order: nothing overtakes what is on disk
    segmented_log   a log on disk in segments, with a mark where it begins
    flusher         writes, forces, marks and removes, off the hot path
    disk            the files, in one thread
    segment         one file; entries: its bytes
    left_segment    one file of an earlier process: what of it can be read; stored_text: what it says of its records
    names           which names in the folder are ours
    process_lock    which process has which part of the spool's folder
    status          what all of this says of itself
"""

from __future__ import annotations

from typing import cast

from k2conn.sinks import SINKS, Reject, Settle, Sink, SpoolableSink, make_sink, with_options
from k2conn.sinks.settings import SinkSettings
from k2conn.spool.sink import SpoolingSink
from k2conn.spool.topic_prefix import TopicPrefixSink


def make_spooled(settings: SinkSettings, settle: Settle, reject: Reject) -> Sink:
    """The sink that ``settings`` name, behind a spool unless its mode is ``never`` or the sink needs none; its topics
    have the prefix that its settings say.
    """
    kind = SINKS.get(settings.kind)
    settings = with_options(settings, kind)
    prefix = kind.prefix(settings.options)
    if not prefix:
        return _make(settings, settle, reject)
    return TopicPrefixSink(lambda settled, rejected: _make(settings, settled, rejected), prefix, settle, reject)


def spooled(settings: SinkSettings) -> bool:
    """Whether there is a spool before the sink: it is across a network, and its mode is not ``never``."""
    return settings.spool.mode != "never" and SINKS.get(settings.kind).spoolable


def _make(settings: SinkSettings, settle: Settle, reject: Reject) -> Sink:
    if not spooled(settings):
        return make_sink(settings, settle, reject)

    def inner(settled: Settle, rejected: Reject) -> SpoolableSink:
        return cast(SpoolableSink, make_sink(settings, settled, rejected))

    return SpoolingSink(inner, settings.spool, settle, reject)
