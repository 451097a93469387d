"""`k2conn run --from kafka`: records from topics into a sink, for months."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from k2conn import exactjson
from k2conn.cli.amendment_text import amended
from k2conn.cli.event_loop import on_event_loop, stop_on_signals
from k2conn.cli.messages import complain, say
from k2conn.cli.option_values import lasting, listed
from k2conn.cli.run_options import RunOptions
from k2conn.cli.run_services import attended
from k2conn.cli.start_line import sink_words
from k2conn.cli.startup import check_log, checked_sink, listening_port
from k2conn.consumer.consumption import Consumption, ConsumptionOutcome
from k2conn.consumer.settings import ConsumerSettings
from k2conn.consumer.stage import Stage
from k2conn.errors import CollectedProblems, SettingsError, known
from k2conn.monitoring.consumption_view import ConsumptionView
from k2conn.runner.event_log import get_logger
from k2conn.settings import in_own_names, names_of
from k2conn.settings.console import ConsoleSettings, console_settings
from k2conn.settings.consumer import KAFKA, consumer_settings
from k2conn.settings.unread_variables import unread
from k2conn.sinks import SINKS
from k2conn.sinks.settings import SinkSettings

SOURCES = (KAFKA,)
DEFAULT_SINK = "file"


@dataclass(frozen=True, slots=True)
class PreparedConsumption:
    """What is to run, checked."""

    port: int
    source: ConsumerSettings
    sink: SinkSettings
    limit: float | None
    console: ConsoleSettings


def consume(options: RunOptions, stage: Stage | None = None) -> int:
    """Runs until told to stop; returns the exit code. ``stage``: what makes something else of the records."""
    start = prepared(options, os.environ, made=stage is not None)
    get_logger().info("starting", source=f"kafka {start.source.kafka.bootstrap}", topics=",".join(start.source.topics),
                      group=start.source.group, **sink_words(start.sink))
    consumption = Consumption(start.source, start.sink, max_records=options.max_records, stage=stage)
    ended = None
    try:
        ended = on_event_loop(partial(_run, consumption, options, start))
    finally:  # the figures are said, whatever ended the run
        _report(consumption, options, ended)
    return ended.exit_code


def prepared(options: RunOptions, environment: Mapping[str, str], made: bool = False) -> PreparedConsumption:
    """What flags and environment say, checked; ``made``: something else is made of the records, which may go into
    topics. SettingsError with all that is wrong.
    """
    problems = CollectedProblems()
    sink, limit, port, console = SinkSettings(kind="console"), None, -1, ConsoleSettings()
    source: ConsumerSettings | None = None
    with problems.noting():
        check_log(options, environment)
    with problems.noting():
        SINKS.check()
    with problems.noting():
        _check_options(options)
    with problems.noting():
        port = listening_port(options, environment)
    with problems.noting():
        console = console_settings(environment)
    with problems.noting():
        limit = lasting("--duration", options.duration)
    with problems.noting():
        kind = options.sink or environment.get("K2_SINK") or (KAFKA if made else DEFAULT_SINK)
        if kind == KAFKA and not made:
            raise SettingsError("--sink kafka: what is read from topics does not go into topics again: say another one")
        own = replace(options, sink=kind) if kind == KAFKA else replace(options, sink=kind, kafka=None, registry=None)
        sink = checked_sink(own, environment, None, problems)
    with problems.noting():
        source = consumer_settings(
            environment, kafka=options.kafka, registry=options.registry, topics=listed("--topics", options.topics),
            group=options.group, from_beginning=options.from_beginning,
        )
        if wrong := SINKS.get(KAFKA).check(source.kafka):
            raise SettingsError(*(in_own_names(text, names_of(SINKS.get(KAFKA), KAFKA, {}, ())) for text in wrong))
    problems.finish()
    assert source is not None
    for name, near in unread(environment, [], sink.kind).items():
        get_logger().warning("nothing reads this variable", variable=name, **({"did_you_mean": near} if near else {}))
    return PreparedConsumption(port, source, sink, limit, console)


def _check_options(options: RunOptions) -> None:
    """What has no meaning where records come from Kafka."""
    if options.source not in SOURCES:
        raise SettingsError(f"--from {options.source}{known(options.source, SOURCES)}")
    given = {
        "connectors": options.connectors, "--symbols": options.symbols, "--streams": options.streams,
        "--intervals": options.intervals, "--watch": options.watch, "--workers": str(options.workers) != "1",
    }
    if wrong := [name for name, value in given.items() if value]:
        more = "; for more processes start it again with the same --group" if "--workers" in wrong else ""
        raise SettingsError(f"--from kafka reads topics: {', '.join(wrong)} have no meaning there{more}")


async def _run(consumption: Consumption, options: RunOptions, start: PreparedConsumption) -> ConsumptionOutcome:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    stop_on_signals(loop, stop)
    async with attended(ConsumptionView(consumption), options.host, start.port, _told_to_reload, stop,
                        start.console):
        limiting = loop.create_task(_stop_after(start.limit, consumption, stop))
        try:
            return await consumption.run(stop)
        finally:
            limiting.cancel()


async def _told_to_reload() -> None:
    """There are no files to read again: a reload is said to be of no use, and ends nothing."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, partial(get_logger().info, "nothing to reload: records come from Kafka"))
    await asyncio.Event().wait()


async def _stop_after(limit: float | None, consumption: Consumption, stop: asyncio.Event) -> None:
    if limit is not None:
        await consumption.opened.wait()
        await asyncio.sleep(limit)
        stop.set()


def _report(consumption: Consumption, options: RunOptions, outcome: ConsumptionOutcome | None) -> None:
    """The final figures: a line, and (where the run ended in order) the summary file."""
    say(f"kafka: {consumption.accounts.equation()}", **consumption.accounts.totals())
    if consumption.stage is not None and consumption.stage.amendments:
        say(f"kafka: {amended({'candles': consumption.stage.amendments})}")
    if outcome is None:
        return
    if outcome.unsent:
        complain(f"{outcome.unsent} records were read and not written: they are read again by whoever is next",
                 unsent=outcome.unsent)
    if options.summary is not None:
        report = {**consumption.report(), "unsent": outcome.unsent, "exit_code": outcome.exit_code}
        try:
            options.summary.write_bytes(exactjson.encode(report) + b"\n")
        except OSError as error:
            raise SettingsError(f"--summary {options.summary}: {error.strerror}") from None
