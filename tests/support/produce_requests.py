"""Produce requests as aiokafka's own schema reads them: a reader that we did not write."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from aiokafka.protocol.api import RequestHeader_v1  # type: ignore[import-untyped]
from aiokafka.protocol.produce import ProduceRequest_v7  # type: ignore[import-untyped]


def read_request(sent: bytes) -> Any:
    """A request behind its length and head; AssertionError where those are no produce request's."""
    assert int.from_bytes(sent[:4], "big") == len(sent) - 4
    rest = BytesIO(sent[4:])
    number, version, _, _ = [kind.decode(rest) for kind in RequestHeader_v1.SCHEMA.fields]
    assert (number, version) == (ProduceRequest_v7.API_KEY, ProduceRequest_v7.API_VERSION)
    request = ProduceRequest_v7.decode(rest)
    assert not rest.read()
    return request
