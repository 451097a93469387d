"""The parts of docs/performance.md, one for each benchmark, made of its result and nothing else.

A section is Markdown lines; its plots are SVG texts by file name. A result without some figure (of an earlier version,
say) gives a section without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from benchmarks import plots
from benchmarks.figures import spelled

Section = tuple[list[str], dict[str, str]]
PLOTS = "plots"
"""The plots' folder, seen from the page."""


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A Markdown table."""
    return [_row(heads), _row(["---"] * len(heads)), *(_row(row) for row in rows), ""]


def _row(cells: Sequence[object]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def picture(name: str, about: str) -> list[str]:
    """A plot in the page."""
    return [f"![{about}]({PLOTS}/{name})", ""]


# -- the sections


def endtoend(found: Mapping[str, Any]) -> Section:
    """Programs beside each other."""
    rows = _programs(found)
    measured = [(name, one) for name, one in rows if "cpu_us" in one]
    page = table(
        ("program", "version", "CPU a trade", "trades per second", "times k2conn's CPU", "rounds, us a trade"),
        [(name, one.get("version", ""), spelled(one["cpu_us"], "us"), spelled(one["rate"]), one.get("ratio", ""),
          ", ".join(spelled(turn["cpu_us"]) for turn in one.get("rounds", ()))) for name, one in measured],
    )
    page += [f"- {name}: {one['note']}" for name, one in measured if one.get("note")]
    page += [f"- {name}: not measured: {one['why']}" for name, one in rows if "cpu_us" not in one]
    page.append("")
    pictures = {}
    if measured:
        costs = [(name, one["cpu_us"]) for name, one in measured]
        title = "CPU of the process per trade, socket to acknowledged batch"
        pictures["endtoend.svg"] = plots.bars(title, costs, "us")
        page += picture("endtoend.svg", "CPU per trade of each program")
    return page, pictures


def _programs(found: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Name and figures of each program, with ``why`` where there are none."""
    given = found.get("programs")
    if given is None:  # k2conn alone
        own = {"cpu_us": found["cpu_us_per_trade"], "rate": found["trades_per_second"], "rounds": found["rounds"]}
        given = {"k2conn": own, **{name: {"not_measured": why} for name, why in found.get("peers", {}).items()}}
    pairs = given.items() if isinstance(given, Mapping) else [(one["name"], one) for one in given]
    rows = []
    for name, one in pairs:
        why = one.get("not_measured") or str(one.get("outcome", "")).removeprefix("not measured: ")
        rows.append((name, dict(one) if "cpu_us" in one else {"why": why.removeprefix("not measured") or "not tried"}))
    return rows


def stages(found: Mapping[str, Any]) -> Section:
    """The engine alone, and its parts."""
    venues = {name: one for name, one in found.items() if isinstance(one, Mapping) and "compiled_us" in one}
    page = table(
        ("frames", "compiled", "compiled, without C", "interpreted", "interpreted beside compiled"),
        [(name, spelled(one["compiled_us"], "us"),
          spelled(one["without_c_us"], "us") if "without_c_us" in one else "not measured",
          spelled(one["interpreted_us"], "us"), one["ratio"]) for name, one in venues.items()],
    )
    parts = {name: one["parts_us"] for name, one in venues.items() if "parts_us" in one}
    if parts:
        names = next(iter(parts.values()))
        page += ["Compiled, part by part, CPU microseconds per trade:", ""]
        page += table(("frames", *names), [(venue, *one.values()) for venue, one in parts.items()])
    return page, {}


def connectors(found: Mapping[str, Any]) -> Section:
    """Every stream of every shipped connector, from the cheapest to the dearest."""
    beside = found["reference"]
    page = [
        f"Each stream's frames are made of its own connector's test frames, one by one through the engine; "
        f"{found['not_measured']} of {found['not_measured'] + len(found['streams'])} have none that frames could be "
        f"made of. They are compared with `{beside['connector']}` `{beside['stream']}` "
        f"({spelled(beside['us'], 'us')}).",
        "",
    ]
    page += table(
        ("connector", "stream", "by default", "CPU a record", f"times {beside['connector']} {beside['stream']}"),
        [(one["connector"], one["stream"], "yes" if one["default"] else "", spelled(one["us"], "us"), one["beside"])
         for one in found["streams"]],
    )
    return page, {}


def candles(found: Mapping[str, Any]) -> Section:
    """What is made of trades, beside what a trade costs without it."""
    rows = found["rows"]
    page = [f"At {found['rate']:,} trades a second of ten symbols. {found['checked'].capitalize()}.", ""]
    page += table(
        ("with", "CPU a trade", "times that without, in the same round", "candles read back", "rounds, us a trade"),
        [(f"`{name}`" if name.startswith("--") else name, spelled(one["cpu_us"], "us"), one["ratio"],
          f"{one['candles']:,}", ", ".join(spelled(turn) for turn in one["rounds"])) for name, one in rows.items()],
    )
    return page, {}


def startup(found: Mapping[str, Any]) -> Section:
    """Whole processes."""
    rows = [(f"`{name}`", spelled(one["wall_s"], "s"), spelled(one["cpu_s"], "s"))
            for name, one in found.items() if isinstance(one, Mapping) and "wall_s" in one]
    return table(("command", "wall", "CPU"), rows), {}


def latency(found: Mapping[str, Any]) -> Section:
    """Percentiles at the steady rate, and the burst."""
    steady, burst = found["steady"], found["burst"]
    spans = [name for name, one in next(iter(steady.values())).items() if isinstance(one, Mapping)]
    rows = [(f"{name}: {span}", *(spelled(one[span][rank]) for rank in ("50", "90", "99", "99.9", "100")))
            for name, one in steady.items() for span in spans]
    page = [f"At {found['rate']:,} trades a second, milliseconds:", ""]
    page += table(("what", "p50", "p90", "p99", "p99.9", "most"), rows)
    page += [
        f"A burst of {burst['burst']:,.0f} in one second between {burst['mean']:,.0f} a second, linger 5 ms: "
        f"{burst['sent']:,} sent, {burst['read_back']:,} read back; at most {burst['most_waiting']:,} waited; the last "
        f"one of the burst was acknowledged {spelled(burst['drained_s'], 's')} after it was sent "
        f"(of the burst's trades p50 {spelled(burst['sent to acknowledged']['50'], 'ms')}, "
        f"p99 {spelled(burst['sent to acknowledged']['99'], 'ms')}).", "",
    ]
    shown = "sent to acknowledged"
    curves = {name: [(value, float(rank)) for rank, value in one[shown].items()] for name, one in steady.items()}
    drawn = plots.lines(
        f"Latency at {found['rate']:,} trades a second: {shown}", curves, "milliseconds",
        "percent of trades", log_x=True, dots=True, top=100.0,
    )
    return page + picture("latency.svg", "percentiles of latency"), {"latency.svg": drawn}


def offered(found: Mapping[str, Any]) -> Section:
    """Cost by trades a second, and of what it is made up."""
    page = table(
        ("trades a second", "linger", "CPU a trade", "of a core", "trades a read", "trades a batch",
         "rounds, us a trade"),
        [(f"{one['rate']:,}", f"{one['linger_ms']} ms", spelled(one["cpu_us"], "us"), f"{one['core_percent']} %",
          one["trades_a_read"], one["trades_a_batch"], ", ".join(spelled(turn) for turn in one["rounds"]))
         for one in found["rows"]],
    )
    parts = found["parts_us"]
    page += ["Fitted, CPU microseconds of each:", ""]
    page += table(tuple(parts), [tuple(spelled(value) for value in parts.values())])
    if "native" in found:
        page += table(
            ("trades a second, native program", "CPU a trade", "k2conn's beside it", "rounds, us a trade"),
            [(f"{one['rate']:,}", spelled(one["cpu_us"], "us"), f"{one['times']} times",
              ", ".join(spelled(turn) for turn in one["rounds"])) for one in found["native"]],
        )
    page += [f"Checked: {found['checked']}.", ""]
    return page, {}


def memory(found: Mapping[str, Any]) -> Section:
    """Resident memory over time."""
    every = sum(found["trades"].values())
    minutes = found["seconds"] / 60
    page = table(
        ("before the first trade", "at most", "at the end", "slope"),
        [(f"{found['before_mb']} MB", f"{found['most_mb']} MB", f"{found['last_mb']} MB",
          f"{spelled(found['slope_mb_per_hour'])} MB an hour, after the first {found['settled_after_s']} s")],
    )
    page += [f"{every:,} trades in {spelled(minutes)} minutes, all acknowledged: "
             + ", ".join(f"{name} {number:,}" for name, number in found["trades"].items()) + ".", ""]
    samples = [(moment / 60, size) for moment, size in found["samples"]]
    title = f"Memory of three connectors at {found['trades_per_second']:,} trades a second"
    drawn = plots.lines(title, {"resident": samples}, "minutes", "MB", limit=found["limit_mb"])
    return page + picture("memory.svg", "resident memory over time"), {"memory.svg": drawn}


def growth(found: Mapping[str, Any]) -> Section:
    """Cost by number of symbols and of connectors."""
    page = [f"At {found['rate']:,} trades a second in all, CPU microseconds per trade:", ""]
    pictures, rows = {}, found["rows"]
    symbols = rows["symbols"]
    page += table(("symbols", *symbols), [("one connector", *(one["cpu_us"] for one in symbols.values()))])
    others = {name: row for name, row in rows.items() if name != "symbols"}
    counts = list(next(iter(others.values())))
    page += table(("connectors", *counts), [(name, *(one["cpu_us"] for one in row.values()))
                                            for name, row in others.items()])
    offered = [one["offered"] for row in rows.values() for one in row.values()]
    page += [f"What the feeder really sent: {min(offered):,} to {max(offered):,} a second.", ""]
    for name, chosen in (("symbols", {"symbols": symbols}), ("connectors", others)):
        series = {row: [(float(count), one["cpu_us"]) for count, one in figures.items()]
                  for row, figures in chosen.items()}
        ticks = [x for x, _ in next(iter(series.values()))]
        pictures[f"growth-{name}.svg"] = plots.lines(
            f"Cost of a trade by number of {name}", series, name, "CPU us a trade", log_x=True, dots=True, ticks=ticks
        )
        page += picture(f"growth-{name}.svg", f"cost of a trade by number of {name}")
    return page, pictures


def scaling(found: Mapping[str, Any]) -> Section:
    """What more processes gain."""
    page = [f"{found['frames_per_worker']:,} trades for each worker, as fast as they are taken:", ""]
    page += table(("workers", "trades per second, all together", "times one worker's", "rounds"),
                  [(count, spelled(one["rate"]), one["times_one"], ", ".join(spelled(turn) for turn in one["rounds"]))
                   for count, one in found["workers"].items()])
    return page, {}


def profiling(found: Mapping[str, Any]) -> Section:
    """Where the time goes."""
    how = found["how"]
    said = f"{found['samples']:,} samples of" if how == "py-spy" else "function by function over"
    page = [f"By {how}: {said} {found['trades']:,} trades.", ""]
    if why := found.get("why_not_sampled"):
        page += [f"No sampler: {why}. See above for what cProfile's figures are worth.", ""]
    page += table(("part", "share"), [(name, f"{share} %") for name, share in found["parts"] if share >= 0.1])
    page += table(("function, without what it calls", "share"),
                  [(f"`{name}`", f"{share} %") for name, share in found["functions"] if share >= 0.5])
    if "flame" not in found:
        return page, {}
    drawn = plots.flame("Where the process's CPU goes (callers above; hover for names)", found["flame"])
    return page + picture("profile.svg", "flame graph"), {"profile.svg": drawn}


def postgres(found: Mapping[str, Any]) -> Section:
    """Records a second into tables, by shape."""
    rows = [(shape, spelled(one["rate"]), spelled(one["cpu_us"], "us"), spelled(one["server_us"], "us"))
            for shape, one in found.get("shapes", {}).items()]
    page = table(("shape", "records a second", "CPU of k2conn a record", "CPU of the server a record"), rows)
    return [*page, f"Checked: {found.get('checked', '')}.", ""], {}


def api(found: Mapping[str, Any]) -> Section:
    """Milliseconds of an answer, by shape."""
    rows = [(shape, spelled(one["p50_ms"], "ms"), spelled(one["p99_ms"], "ms"), spelled(one["max_ms"], "ms"),
             spelled(one["rows"]) if one["rows"] else "as again") for shape, one in found.get("shapes", {}).items()]
    page = table(("question", "median", "p99", "longest", "records of an answer"), rows)
    size = f"{found.get('rows', 0):,} trades of {found.get('symbols', 0)} symbols over {found.get('days', 0)} days"
    return [*page, f"In the table: {size}, {found.get('bytes', 0) / 2**30:.1f} GiB with its indexes.", ""], {}


def consumer(found: Mapping[str, Any]) -> Section:
    """Records a second from topics, by where they go."""
    shapes = found.get("shapes", {})
    rows = [(shape, spelled(one["rate"]), spelled(one["cpu_us"], "us")) for shape, one in shapes.items()]
    page = table(("shape", "records a second", "CPU of k2conn a record"), rows)
    return [*page, f"Checked: {found.get('checked', '')}.", ""], {}


def lake(found: Mapping[str, Any]) -> Section:
    """Records a second into the lake, and what their columns cost."""
    page, plain = consumer(found)
    rows = [(shape, *(spelled(one[way], "us") if way in one else "-" for way in ("in C", "in Python")))
            for shape, one in found.get("columns", {}).items()]
    return page + table(("from bodies to a sorted table", "in C, a record", "in Python, a record"), rows), plain


def load(found: Mapping[str, Any]) -> Section:
    """Rows a second from files."""
    page, plain = consumer(found)
    return [*page, f"{found.get('rows', 0):,} rows; ISA-L: {'yes' if found.get('isal') else 'no'}.", ""], plain


def features(found: Mapping[str, Any]) -> Section:
    """What a candle costs on its way to a model."""
    rows = [
        (f"features of a candle, {found['candles']:,} of them, of {found['symbols']} symbols, windows of "
         f"{found['window']}", found["features_us"], "us"),
        (f"one candle into PostgreSQL, {found['rows']:,} of them", found["row_ms"], "ms"),
    ]
    ranks = ("50", "90", "99", "99.9", "100")
    page = table(("what", "half", "90 of 100", "99 of 100", "999 of 1,000", "all"),
                 [(name, *(spelled(one[rank], unit) for rank in ranks)) for name, one, unit in rows])
    return page, {}


SECTIONS: dict[str, tuple[str, Callable[[Mapping[str, Any]], Section]]] = {
    "endtoend": ("The whole way: socket to acknowledged batch", endtoend),
    "stages": ("Frame to Avro bytes, no network", stages),
    "connectors": ("Frame to record, every stream that ships", connectors),
    "offered": ("At the rates of venues", offered),
    "latency": ("Latency and bursts", latency),
    "memory": ("Memory", memory),
    "growth": ("Growth", growth),
    "scaling": ("More processes: `run --workers N`", scaling),
    "postgres": ("Into PostgreSQL", postgres),
    "features": ("Features of candles", features),
    "api": ("`k2conn serve` before PostgreSQL", api),
    "api_lake": ("`k2conn serve` before the lake", api),
    "consumer": ("From Kafka", consumer),
    "lake": ("Into the lake", lake),
    "load": ("Files in", load),
    "candles": ("`--candles` and `--audit`", candles),
    "startup": ("Start-up", startup),
    "profiling": ("Where the time goes", profiling),
}
"""By benchmark, in the page's order."""
