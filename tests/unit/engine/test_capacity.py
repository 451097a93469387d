"""What is needed is reckoned from figures that were measured, and that stand in docs/capacity.md."""

from __future__ import annotations

import json
import re

import pytest

from k2conn.cli.capacity_lines import capacity_lines, size
from k2conn.engine.identity.dedup_window import REMEMBERED
from k2conn.engine.planning import capacity as figures
from k2conn.engine.planning.capacity import capacity
from k2conn.spool.entries import KEY_BYTES, KeyedFormat
from tests.paths import ROOT

PAGE = (ROOT / "docs" / "capacity.md").read_text()
RESULTS = ROOT / "benchmarks" / "results"


def result(name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((RESULTS / f"{name}.json").read_text())["result"]
    return found


def test_the_figures_are_the_measured_ones() -> None:
    growth: dict[str, dict[str, dict[str, float]]] = result("growth")["rows"]  # type: ignore[assignment] # JSON
    dearest = max(one["cpu_us"] for row in growth.values() for one in row.values())
    assert dearest == pytest.approx(figures.CPU_US, rel=0.01)
    assert result("memory")["before_mb"] == figures.PROCESS_MB
    shapes: dict[str, dict[str, float]] = result("consumer")["shapes"]  # type: ignore[assignment] # JSON
    assert shapes["into PostgreSQL"]["rate"] == figures.CONSUMER_RATE
    assert pytest.approx(2 * REMEMBERED * 185 / 1e6, rel=0.05) == figures.WINDOW_MB
    entry = KeyedFormat(b"k" * KEY_BYTES).packed_record(1, 1, 1, b"x" * figures.RECORD_BYTES)
    assert len(entry) == figures.RECORD_BYTES + figures.SPOOL_BYTES


def test_the_page_has_the_same_figures() -> None:
    said = dict(re.findall(r"^\| ([^|]+) \| ([\d.,]+)[^|]* \|", PAGE, re.MULTILINE))
    assert [float(one.replace(",", "")) for one in said.values()] == [
        figures.CPU_US, figures.FULL_SPEED_US, figures.SHARE, figures.PROCESS_MB, figures.WINDOW_MB, figures.SYMBOL_KB,
        figures.RECORD_BYTES, figures.SPOOL_BYTES, figures.CONSUMER_RATE,
    ]


def test_the_example_on_the_page_is_what_the_command_says() -> None:
    for text in list(capacity_lines(capacity(5000, 2, 2, 4 * 3600), "4h"))[:-1]:
        assert text in PAGE


def test_what_fits_into_a_core_is_one_process() -> None:
    found = capacity(10_000, 100, 2, 3600)
    assert (found.workers, found.partitions) == (1, 1)
    assert found.cores == pytest.approx(0.62)
    assert found.memory == 75_000_000
    assert found.spool == 10_000 * 3600 * 353
    assert found.kafka_day == 10_000 * 86_400 * 320


def test_what_does_not_is_several_and_one_that_supervises() -> None:
    found = capacity(40_000, 100, 1, 0)
    assert (found.workers, found.partitions, found.spool) == (4, 4, 0)
    assert found.memory == 330_000_000
    assert "cores: 2.48 at the busiest (--workers 4)" in capacity_lines(found, "0s")


def test_nothing_is_needed_for_nothing_but_the_process() -> None:
    assert capacity(0.001, 1, 1, 0).memory == 68_000_000


@pytest.mark.parametrize(("number", "text"), [(0, "0 B"), (999, "999 B"), (1234, "1.23 kB"), (2.5e9, "2.5 GB"),
                                              (3e18, "3e+03 PB")])
def test_sizes(number: float, text: str) -> None:
    assert size(number) == text
