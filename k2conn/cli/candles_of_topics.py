"""`k2conn candles --from kafka`: trades of topics, candles into topics or tables, for months."""

from __future__ import annotations

import os
from dataclasses import replace
from fnmatch import fnmatchcase

from k2conn.candles.envelopes import CandleEncoder
from k2conn.candles.settings import CandleSettings
from k2conn.cli.candles import CandleOptions, candle_settings, encoder_of
from k2conn.cli.consume import consume
from k2conn.cli.option_values import listed
from k2conn.cli.run_options import RunOptions
from k2conn.consumer.topic_candles import TopicCandles
from k2conn.errors import CollectedProblems, SettingsError

GROUP = "k2conn-candles"


def run(options: CandleOptions, topics: RunOptions) -> int:
    """Makes candles until SIGINT or SIGTERM come; the exit code. ``topics`` says from where, and into what."""
    problems = CollectedProblems()
    settings, encoder = CandleSettings(), CandleEncoder()
    with problems.noting():
        settings = candle_settings(options)
    with problems.noting():
        encoder = encoder_of(options.topic)
    with problems.noting():
        _check(options, topics, encoder)
    problems.finish()
    group = topics.group or os.environ.get("K2_KAFKA_CONSUMER_GROUP") or GROUP
    return consume(replace(topics, group=group), TopicCandles(settings, encoder))


def _check(options: CandleOptions, topics: RunOptions, encoder: CandleEncoder) -> None:
    """What has no meaning where trades come from Kafka."""
    problems = []
    if list(options.inputs) not in ([], ["-"]):
        problems.append(f"--from kafka reads topics: {options.inputs[0]} has no meaning there")
    if options.open != "drop":
        problems.append(f"--open {options.open}: topics have no end")
    if options.empty != "skip":
        problems.append(f"--empty {options.empty}: the last price of a quiet symbol may be older than what a restart "
                        "reads again, so this is for files and pipes, and for `run`")
    if options.features is not None:
        problems.append(f"--features {options.features}: of topics there are none; `run` makes them of what passes")
    own = encoder.topic("x", "crypto")
    for one in listed("--topics", topics.topics):
        if fnmatchcase(own, one):
            problems.append(f"--topics {one}: the candles in topics such as {own} would be read, too: name topics of "
                            "trades, such as 'market.*.trades.*'")
    if problems:
        raise SettingsError(*problems)
