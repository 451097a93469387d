"""What a start is told in: one line for each connector, with all that decides where its records come from and go to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from k2conn.runner import Job
from k2conn.runner.event_log import get_logger
from k2conn.sinks import SINKS
from k2conn.sinks.settings import SinkSettings

_SHOWN = 10
"""Symbols that are named; of more, their number."""


def say_start(jobs: Sequence[Job], settings: SinkSettings, states: Path | None, workers: int) -> None:
    """Logs the lines."""
    sink = sink_words(settings)
    if states is not None:
        sink["state"] = str(states)
    if workers > 1:
        sink["workers"] = str(workers)
    for job in jobs:
        get_logger(connector=job.plan.name).info("starting", **job_words(job), **sink)


def job_words(job: Job) -> dict[str, str]:
    """A connector's venue, symbols, streams and proxy; of addresses only what is no secret."""
    symbols = job.wanted
    more = f" and {len(symbols) - _SHOWN} more" if len(symbols) > _SHOWN else ""
    streams = job.streams or [stream.name for stream in job.plan.streams if stream.default]
    words = {
        "venue": " ".join(dict.fromkeys(_places(job))),
        "symbols": ", ".join(symbols[:_SHOWN]) + more,
        "streams": ", ".join(streams),
    }
    return words | ({"proxy": str(job.overrides.proxy)} if job.overrides.proxy is not None else {})


def sink_words(settings: SinkSettings) -> dict[str, str]:
    """The sink and where it writes, the registry where there is one."""
    kind = SINKS.get(settings.kind)
    words = {"sink": f"{settings.kind} {kind.where(settings.options)}".strip()}
    return words | ({"registry": str(getattr(settings.options, "registry_url", "-"))} if kind.registry else {})


def _places(job: Job) -> Iterator[str]:
    """The first address of each connection: scheme, host and port."""
    for connection in job.plan.connections:
        text = next(iter(job.overrides.urls or connection.url_texts), "")
        try:
            parts = urlsplit(text)
            port = f":{parts.port}" if parts.port else ""
        except ValueError:
            parts, port = urlsplit(""), ""
        host = parts.hostname or ""
        if host and "$" not in host and "{" not in host:
            yield f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}"
        else:
            yield "(an address that the venue gives)"
