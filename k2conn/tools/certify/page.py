"""The outcome as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from k2conn import __version__
from k2conn.printable import visible
from k2conn.tools.certify.certification import CertificationOutcome
from k2conn.tools.certify.report import (
    COLUMNS,
    CRASH_COLUMNS,
    CRASH_EQUATION,
    EQUATION,
    failures,
    not_run_reasons,
    reaction,
    totals,
    verdict,
)

_POLICY = """<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">"""
"""The page is text: it runs and loads nothing, whatever is in it."""
_STYLE = """
:root{color-scheme:light dark;--line:#8884;--good:#1a7f37;--bad:#cf222e;--dim:#8888}
body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%;margin:1rem 0;display:block;overflow-x:auto}
td,th{border-bottom:1px solid var(--line);padding:.3rem .6rem;text-align:left;vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.passed{color:var(--good)}.failed{color:var(--bad)}.not{color:var(--dim)}
code{font-family:ui-monospace,monospace}footer{color:var(--dim);margin-top:3rem}
"""


def page(outcomes: Sequence[CertificationOutcome]) -> str:
    """The whole page."""
    names = ", ".join(outcome.connector for outcome in outcomes)
    body = "".join(_section(outcome) for outcome in outcomes)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>certified: {_text(names)}</title>'
        f'{_POLICY}<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        f"<h1>k2conn certify</h1><p><code>{_text(EQUATION)}</code>, for each stream and symbol, and each id once.</p>"
        f"{body}<footer>k2conn {_text(__version__)}</footer></html>\n"
    )


def _text(text: str) -> str:
    """What somebody else wrote, as text of the page and nothing else."""
    return escape(visible(text))


def _section(outcome: CertificationOutcome) -> str:
    word = "passed" if outcome.passed else "failed"
    head = (
        f'<h2>{_text(outcome.connector)} <span class="{word}">{word}</span></h2>'
        f"<p>{_text(outcome.exchange)}, sink {_text(outcome.sink)}, {outcome.rate:g} frames a second for each stream "
        f"and symbol, seed {outcome.seed}, {outcome.seconds:g} s, {outcome.gaps} gap records.</p>"
    )
    against = "".join(f"<li>{_text(text)}</li>" for text in failures(outcome))
    head += f'<ul class="failed">{against}</ul>' if against else ""
    head += f'<p class="not">Not run: {_text(missing)}.</p>' if (missing := not_run_reasons(outcome)) else ""
    return head + _scenario_table(outcome) + _rows(outcome) + _crash_table(outcome)


def _scenario_table(outcome: CertificationOutcome) -> str:
    rows = (
        f"<tr><td>{_text(trial.name)}<td>{_text(trial.text)}<td>{_text(reaction(trial))}"
        f'<td class="{verdict(trial).split()[0]}">{verdict(trial)}'
        for trial in outcome.trials
    )
    return _table(("scenario", "what the exchange does", "what the connector did", "verdict"), (), rows)


def _rows(outcome: CertificationOutcome) -> str:
    rows = [
        f"<tr><td>{_text(row.stream)}<td>{_text(row.symbol)}{_cells(getattr(row, name) for name in COLUMNS)}"
        f'<td class="{"passed" if row.balanced else "failed"}">{"balanced" if row.balanced else "open"}'
        for row in outcome.proof.rows
    ]
    rows.append(f"<tr><th>all<th>{_cells(totals(outcome).values())}<td>")
    return _table(("stream", "symbol"), (*(name.replace("_", " ") for name in COLUMNS), "proof"), rows)


def _crash_table(outcome: CertificationOutcome) -> str:
    """What kill -9 cost, where that was run."""
    if not outcome.crash_losses:
        return ""
    rows = [
        f"<tr><td>{_text(row.stream)}<td>{_text(row.symbol)}{_cells(getattr(row, name) for name in CRASH_COLUMNS)}"
        f'<td class="{"passed" if row.balanced else "failed"}">{"balanced" if row.balanced else "open"}'
        for row in outcome.crash_losses
    ]
    table = _table(("stream", "symbol"), (*(name.replace("_", " ") for name in CRASH_COLUMNS), "proof"), rows)
    return f"<p>kill -9: <code>{_text(CRASH_EQUATION)}</code></p>{table}"


def _cells(values: Iterable[int]) -> str:
    return "".join(f'<td class="n">{value:,}' for value in values)


def _table(words: Sequence[str], numbers: Sequence[str], rows: Iterable[str]) -> str:
    head = "".join(f"<th>{_text(word)}" for word in words)
    head += "".join(f'<th class="n">{_text(word)}' for word in numbers)
    return f"<table><thead><tr>{head}<tbody>{''.join(rows)}</table>"
