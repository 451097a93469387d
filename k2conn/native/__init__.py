"""Extension modules in C, for speed only: Python code gives the same results without them.

``Program``, ``Mapper``, ``FrameMapper``, ``Carried``, ``Getter``, ``Signature``, ``cut``, ``rows``, ``columns``,
``well_formed``, ``picked``, ``table``, ``packed``, ``crc32c``, ``measured``, ``moved``, ``counted`` and ``durations``
are None where there was no C compiler when k2conn was
installed, or where K2CONN_PURE_PYTHON is set to anything but 0.
"""

from __future__ import annotations

import os
from typing import Any

Program: Any = None
"""How the items of a stream become records: see `k2conn.engine.mapping.native_mapper`."""
Mapper: Any = None
"""A record's way from item to bytes, of one symbol of a program."""
FrameMapper: Any = None
"""From the text of a connection's frames to records: see `k2conn.engine.plain_frames`."""
Carried: Any = None
"""The fields of a stream that keep their last value: see `k2conn.engine.mapping.carried_fields`."""
most_digits = 0
"""Digits of the longest decimal that a `Mapper` takes: 38, or 18 where the compiler has no integers of 128 bits."""
Getter: Any = None
"""A plain path of a message, as a compiled expression: see `k2conn.compiler.expressions.closures`."""
Signature: Any = None
"""What a message's route is known by: see `k2conn.engine.conversation.routing`."""
most_steps = most_paths = most_leaves = 0
"""Steps of a path, paths of a `Getter`, and leaves of a `Signature`."""
cut: Any = None
"""Splits received bytes into WebSocket frames: see `k2conn.transports.websocket.reader`."""
rows: Any = None
"""Avro records as rows of PostgreSQL's binary COPY: see `k2conn.sinks.postgres.rows`."""
columns: Any = None
"""Avro records as the buffers of Arrow's columns: see `k2conn.lake.columns`."""
well_formed: Any = None
"""How many of some bytes are Avro records of a schema: see `k2conn.avro.bodies`."""
picked: Any = None
"""Some fields of Avro records as tuples: see `k2conn.avro.picking`."""
table: Any = None
"""Lines of CSV as objects of their columns: see `k2conn.codecs.csv`."""
packed: Any = None
"""Envelopes as the records of a Kafka batch, and ``crc32c``, its checksum: see `k2conn.sinks.kafka.record_batches`."""
crc32c: Any = None
measured: Any = None
"""Envelopes by the list: their topic and bytes; into the queues of their keys (``moved``); by account (``counted``); by
how long they took (``durations``).
"""
moved: Any = None
counted: Any = None
durations: Any = None

if os.environ.get("K2CONN_PURE_PYTHON", "0") in ("", "0"):
    try:
        from k2conn.native import bodies, cells, copy_rows, frames, getters, mapper, picking, record_batch
        from k2conn.native.columns import columns as as_columns
    except ImportError:  # not built here
        pass
    else:
        Program, Mapper, most_digits, cut = mapper.Program, mapper.Mapper, mapper.MOST_DIGITS, frames.cut
        Carried, FrameMapper = mapper.Carried, mapper.FrameMapper
        Getter, Signature = getters.Getter, getters.Signature
        most_steps, most_paths, most_leaves = getters.STEPS, getters.PATHS, getters.LEAVES
        rows, columns, well_formed, picked = copy_rows.rows, as_columns, bodies.well_formed, picking.picked
        table = cells.table
        packed, crc32c = record_batch.packed, record_batch.crc32c
        measured, moved, counted = record_batch.measured, record_batch.moved, record_batch.counted
        durations = record_batch.durations
