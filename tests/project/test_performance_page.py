"""docs/performance.md and its plots are what `python -m benchmarks report` makes of the results: nobody edits them."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from benchmarks import plots, report
from benchmarks.figures import at_least, below, ladder, percentile, slope, solved, spelled
from benchmarks.offered import RATES, Case, Cost
from benchmarks.offered import result as offered_result
from benchmarks.sections import endtoend

LADDER = ladder([float(number) for number in range(1, 1001)])
SPANS = ("sent to acknowledged", "received to acknowledged", "due to acknowledged", "due to sent",
         "received to appended")
ROW = {"1": {"cpu_us": 10.0, "offered": 9_999}, "40": {"cpu_us": 11.5, "offered": 9_998}}
RESULTS: dict[str, dict[str, Any]] = {
    "api": {"shapes": {"again": {"p50_ms": 1.0, "p99_ms": 2.0, "max_ms": 3.0, "rows": 10.0}}, "rows": 1000},
    "endtoend": {
        "programs": [
            {"name": "k2conn", "outcome": "measured", "version": "0.1.0", "cpu_us": 12.5, "rate": 60_000.0,
             "ratio": 1.0, "rounds": [{"cpu_us": 12.4, "rate": 60_000.0}], "note": ""},
            {"name": "Other", "outcome": "not measured: no compiler"},
        ],
        "targets": [{"name": "CPU", "want": "at most 12", "got": 12.5, "met": False},
                    {"name": "CPU of Other", "want": "at least 3", "got": None, "met": False}],
    },
    "stages": {"binance": {"compiled_us": 6.5, "interpreted_us": 42.0, "ratio": 6.46, "without_c_us": 14.0,
                           "parts_us": {"decode": 1.0, "route": 0.8, "map and encode": 4.0, "the rest": 0.7}}},
    "offered": {"rows": [{"rate": 1_000, "linger_ms": 5, "cpu_us": 61.25, "core_percent": 6.13, "rounds": [61.25],
                          "trades_a_read": 1.0, "trades_a_batch": 5.5}],
                "parts_us": {"second": 2_500.0, "trade": 5.5, "read": 43.2, "batch": 384.0}, "checked": "all",
                "native": [{"rate": 10_000, "cpu_us": 2.5, "times": 6.1, "rounds": [2.4, 2.6]}]},
    "startup": {"help": {"wall_s": 0.14, "cpu_s": 0.13}, "targets": [below("help", 0.15, 0.14, "s")]},
    "latency": {
        "rate": 10_000,
        "steady": {name: {"trades": 1_000, **dict.fromkeys(SPANS, LADDER)} for name in ("linger 5 ms", "linger 0 ms")},
        "burst": {"mean": 2_000, "burst": 30_000, "sent": 46_000, "read_back": 46_000, "most_waiting": 1_815,
                  "drained_s": 0.008, "sent to acknowledged": LADDER},
    },
    "memory": {"seconds": 600, "trades_per_second": 10_000, "settled_after_s": 60, "before_mb": 60.0, "most_mb": 79.0,
               "last_mb": 78.0, "limit_mb": 80.0, "slope_mb_per_hour": 1.25, "samples": [[1.0, 61.0], [600.0, 78.0]],
               "trades": {"binance": 6_000_000}},
    "scaling": {"frames_per_worker": 10, "workers": {"1": {"rate": 5, "rounds": [4, 5, 6], "times_one": 1.0}}},
    "features": {"features_us": LADDER, "candles": 100_000, "symbols": 100, "window": 60, "row_ms": LADDER, "rows": 10},
    "growth": {"rate": 10_000, "rows": {"symbols": ROW, "connectors": ROW}},
    "profiling": {"how": "py-spy", "trades": 400_000, "samples": 900, "parts": [["k2conn/engine", 40.0]],
                  "functions": [["take (k2conn/engine/mapping/stream_mapping.py)", 20.0]],
                  "flame": {"name": "all", "share": 100.0, "children": [{"name": "a <b> & c", "share": 60.0}]}},
    "later": {"targets": [at_least("of a benchmark without a section", 4, 5, "times")]},
}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A result of every benchmark."""
    for name, found in RESULTS.items():
        about = {"benchmark": name, "at": "2026-01-01T00:00:00Z", "load": 0.25, "method": f"How {name} was measured.",
                 "machine": {"cpu": "A CPU", "cores": 2, "memory_gb": 16.0, "system": "Linux 6"}}
        (tmp_path / f"{name}.json").write_text(json.dumps({**about, "result": found}))
    return tmp_path


def test_the_page_is_what_the_report_makes_of_the_results() -> None:
    made = report.files_of()
    wrong = [name for name, text in made.items()
             if not (report.DOCS / name).is_file() or (report.DOCS / name).read_text(encoding="utf-8") != text]
    assert not wrong, f"{wrong}: run `python -m benchmarks report`"
    assert {f"plots/{file.name}" for file in (report.DOCS / "plots").glob("*")} == made.keys() - {report.PAGE}


def test_every_benchmark_has_its_part(results: Path) -> None:
    files = report.files_of(results)
    page = files[report.PAGE]
    for name in RESULTS.keys() - {"later"}:
        assert f"How {name} was measured." in page
    for text in (
        "- A CPU, 2 cores, 16 GB of memory, Linux 6",
        "| endtoend | CPU | at most 12 | 12.5 | **no** |",
        "| endtoend | CPU of Other | at least 3 | not measured | **no** |",
        "| startup | help | < 0.15 s | 0.14 s | yes |",
        "| later | of a benchmark without a section | >= 4 times | 5 times | yes |", "2 of 4 are met.",
        "- Other: not measured: no compiler", "| binance | 6.5 us | 14 us | 42 us | 6.46 |",
        "| linger 5 ms: sent to acknowledged | 500 | 900 | 990 | 999 | 1,000 |", "46,000 sent, 46,000 read back",
        "| 1,000 | 5 ms | 61.2 us | 6.13 % | 1.0 | 5.5 | 61.2 |", "| 2,500 | 5.5 | 43.2 | 384 |", "1.25 MB an hour",
        "| 10,000 | 2.5 us | 6.1 times | 2.4, 2.6 |",
        "| one connector | 10.0 | 11.5 |", "9,998 to 9,999 a second", "| k2conn/engine | 40.0 % |",
    ):
        assert text in page, text
    for name in files.keys() - {report.PAGE}:
        assert f"]({name})" in page


def test_a_benchmark_without_a_result_is_named(results: Path) -> None:
    (results / "memory.json").unlink()
    (missing,) = re.findall("There is no result of: (.*)[.]", report.files_of(results)[report.PAGE])
    assert "memory" in missing.split(", ")


def test_plots_are_well_formed_and_say_what_they_show(results: Path) -> None:
    drawn = {name: text for name, text in report.files_of(results).items() if name.endswith(".svg")}
    assert len(drawn) == 6
    for text in drawn.values():
        root = ElementTree.fromstring(text)
        assert root.get("aria-label")
        assert "prefers-color-scheme:dark" in text
    assert "a &lt;b&gt; &amp; c: 60.0 %" in drawn["plots/profile.svg"]


def test_a_line_is_where_its_points_are() -> None:
    text = plots.lines("t", {"a": [(0.0, 0.0), (10.0, 100.0)]}, "x", "y", top=100.0)
    assert 'points="64.0,292.0 696.0,62.0"' in text


def test_writing_removes_plots_of_yesterday(results: Path, tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    (docs / "plots").mkdir(parents=True)
    (docs / "plots" / "old.svg").touch()
    written = report.write(results, docs)
    assert written[0] == docs / report.PAGE
    assert sorted(docs.rglob("*.svg")) == sorted(written[1:])


def test_programs_may_be_a_list_or_named() -> None:
    by_name = {"programs": {"k2conn": {"cpu_us": 12.0, "rate": 9.0, "rounds": []}, "B": {"not_measured": "no Go"}}}
    page, pictures = endtoend(by_name)
    assert "- B: not measured: no Go" in page
    assert "12 us" in pictures["endtoend.svg"]


def test_percentiles_are_values_that_were_measured() -> None:
    assert [percentile([1.0, 2.0, 3.0, 4.0], rank) for rank in (0.0, 25.0, 50.0, 51.0, 100.0)] == [1, 1, 2, 3, 4]
    assert LADDER["99.9"] == 999.0


def test_a_slope_is_the_rise_for_one_of_x() -> None:
    assert slope([(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]) == 2.0
    assert slope([(1.0, 5.0)]) == 0.0


def test_what_a_run_costs_is_divided_among_its_parts() -> None:
    costs = {Case(rate, linger): [_cost(rate, linger)] for rate in RATES for linger in (5, 0)}
    native = {rate: [Cost(2e-6 * rate * 10, 10, rate * 10, 0, 0)] for rate in RATES}
    found = offered_result(costs, native)
    assert found["parts_us"] == {"second": 2_000.0, "trade": 5.0, "read": 40.0, "batch": 300.0}
    row = next(row for row in found["rows"] if (row["rate"], row["linger_ms"]) == (10_000, 5))
    assert (row["trades_a_read"], row["trades_a_batch"]) == (10.0, 50.0)
    assert row["cpu_us"] == pytest.approx((2_000 + 50_000 + 40_000 + 60_000) / 10_000)
    assert [target["met"] for target in found["targets"]] == [False, False, False]
    assert found["native"][2] == {"rate": 10_000, "cpu_us": 2.0, "rounds": [2.0], "times": 7.6}


def _cost(rate: int, linger: int) -> Cost:
    """Ten seconds at that rate, of a process whose parts cost what they do above."""
    reads = min(rate, 1_000)
    batches = min(reads, 200) if linger else reads
    return Cost(10 * (2_000 + 5 * rate + 40 * reads + 300 * batches) / 1e6, 10, 10 * rate, 10 * reads, 10 * batches)


def test_equations_that_say_the_same_twice_have_no_solution() -> None:
    assert solved([[0.0, 2.0], [4.0, 1.0]], [6.0, 11.0]) == [2.0, 3.0]
    with pytest.raises(ValueError, match="no single"):
        solved([[1.0, 2.0], [2.0, 4.0]], [1.0, 2.0])


def test_a_target_is_judged_by_its_number() -> None:
    assert below("a", 8, 7.999, "ms") == {"name": "a", "want": "< 8 ms", "got": "7.999 ms", "met": True}
    assert not below("a", 8, 8.0, "ms")["met"]
    assert not below("a", 8, None, "ms")["met"]
    assert at_least("a", 4, 4.0, "times")["met"]
    assert not at_least("a", 4, 3.999, "times")["met"]


@pytest.mark.parametrize(
    ("number", "text"), [(0.0123, "0.0123"), (12.345, "12.3"), (999.4, "999"), (28_500.0, "28,500")]
)
def test_figures_are_spelled_for_people(number: float, text: str) -> None:
    assert spelled(number) == text
