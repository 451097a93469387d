"""The progress line: when it is due, and that a bad setting is refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from k2conn.cli.progress_option import progress_setting
from k2conn.errors import SettingsError
from k2conn.runner import progress
from k2conn.runner.progress import ProgressLine, ProgressSettings


@pytest.mark.parametrize(
    ("text", "expected"),
    [("10s", ProgressSettings(None, 10)), ("100", ProgressSettings(100, None)), ("off", ProgressSettings(None, None)),
     ("100,10s", ProgressSettings(100, 10)), ("5 min", None), ("often", None), ("0", None), ("", None), ("5,x", None)],
)
def test_when(text: str, expected: ProgressSettings | None) -> None:
    if expected is None:
        with pytest.raises(SettingsError, match="--progress"):
            progress_setting("--progress", text)
    else:
        assert progress_setting("--progress", text) == expected


def lines(settings: ProgressSettings, *looks: tuple[float, int], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The counts of the lines that looks at these times, with so many published, bring."""
    monkeypatch.setattr(progress, "monotonic", lambda: 0.0)
    totals = {"published": 0, "dead_letters": 2, "lost": 1}
    connector = SimpleNamespace(shown=SimpleNamespace(totals=lambda: totals))
    runner: Any = SimpleNamespace(connectors=(connector,), latest=None)
    line = ProgressLine(runner, settings)
    with capture_logs() as logs:
        for now, published in looks:
            totals["published"] = published
            line.look(now)
    assert all(one["errors"] == 3 for one in logs)
    return [one["records"] for one in logs]


def test_after_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = [(1.0, 5), (9.9, 50), (10.0, 60), (11.0, 70), (20.0, 80), (30.0, 80), (40.0, 81)]
    assert lines(ProgressSettings(None, 10), *looks, monkeypatch=monkeypatch) == [60, 80, 81]


def test_after_so_many_but_not_more_than_one_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = [(1.0, 99), (2.0, 100), (2.1, 5000), (3.0, 5001), (4.0, 5002)]
    assert lines(ProgressSettings(100, None), *looks, monkeypatch=monkeypatch) == [100, 5001]


def test_whichever_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = [(1.0, 100), (2.0, 101), (11.0, 102)]
    assert lines(ProgressSettings(100, 10), *looks, monkeypatch=monkeypatch) == [100, 102]
