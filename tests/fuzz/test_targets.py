"""Every target for a moment, with all inputs that are kept; and the machinery finds what is wrong."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.fuzz import __main__ as command_line
from tests.fuzz import long, outcome
from tests.fuzz.__main__ import main
from tests.fuzz.bounds import Bounds
from tests.fuzz.engines import building, generated
from tests.fuzz.target import HERE, Target, dictionary, targets, write_inputs
from tests.paths import ROOT

ALL = targets()
PYTHON = [target for target in ALL if target.in_python]
IN_C = [target for target in ALL if not target.in_python]
RUNS = 100
"""Inputs of each target in Python: a long run is `make fuzz-long`."""


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test writes among the findings and builds of a run by hand."""
    for module in (outcome, building):
        monkeypatch.setattr(module, "WORK", tmp_path)


@pytest.mark.parametrize("target", PYTHON, ids=lambda one: one.name)
def test_kept_inputs_and_seeds(target: Target) -> None:
    function = target.function()
    for data in (b"", *target.seeds(), *target.kept()):
        function(data)


@pytest.mark.parametrize("target", PYTHON, ids=lambda one: one.name)
def test_other_inputs(target: Target) -> None:
    found = generated.run(target, Bounds(RUNS), derandomize=True)
    assert not found.findings, found
    assert found.executions >= RUNS // 2


@pytest.mark.parametrize("target", IN_C, ids=lambda one: one.name)
def test_kept_inputs_and_seeds_in_c_under_the_sanitizers(target: Target, tmp_path: Path) -> None:
    try:
        program = building.build_replay(target)
    except building.NotBuilt as error:
        pytest.skip(f"no C compiler with sanitizers: {error}")
    seeds = tmp_path / "seeds"
    write_inputs(seeds, [b"", *target.seeds(), *target.kept()])
    files = sorted(seeds.iterdir())
    done = subprocess.run(
        [program, *files], capture_output=True, text=True, check=False, env={"ASAN_OPTIONS": "detect_leaks=0"}
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{len(files)} inputs\n"


def test_each_target_has_seeds_words_and_a_reason() -> None:
    assert {target.language for target in ALL} == {"c", "python"}
    for target in ALL:
        assert list(target.seeds()), target.name
        assert all(isinstance(word, bytes) for word in target.words())
        assert target.name in (ROOT / "docs" / "fuzzing.md").read_text(), f"{target.name} is not in docs/fuzzing.md"
    assert dictionary((b'a"\\',)) == '"\\x61\\x22\\x5c"\n'


def test_what_is_kept_is_small_and_somebodys() -> None:
    names = {path.stem for path in HERE.glob("corpus/*")} | {path.name for path in HERE.glob("regressions/*")}
    assert names <= {target.name for target in ALL}
    assert (
        sum(path.stat().st_size for kind in ("corpus", "regressions") for path in HERE.glob(f"{kind}/**/*.*")) < 500_000
    )
    assert sum(len(data) for target in ALL for data in target.kept()) < 500_000


def test_a_corpus_is_kept_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Target, "corpus", tmp_path / "x.zip")
    target = Target("nothing", "python")
    target.keep([b"b", b"", b"a", b"b"])
    assert sorted(target.kept()) == [b"", b"a", b"b"]


def test_a_finding_is_kept_and_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def wrong(data: bytes) -> None:
        assert b"\x81" not in data

    monkeypatch.setattr(Target, "function", lambda self: wrong)
    assert main(["codecs", "--engine", "hypothesis", "--executions", "3000"]) == 1
    said = capsys.readouterr().out
    assert "FINDING" in said
    (path,) = outcome.findings_folder("codecs").iterdir()
    assert b"\x81" in path.read_bytes()
    assert path.name in said


def test_an_unknown_target_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nothing"]) == 2
    assert "there is no target nothing; known are" in capsys.readouterr().err


def test_the_page_shows_the_counts_of_the_long_run(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(long.PAGE.read_text())
    long.show(long.RESULTS, page)
    assert page.read_text() == long.PAGE.read_text(), "python -m tests.fuzz.long writes both"


def test_counts_add_up_as_long_as_the_code_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, page = tmp_path / "fuzzing.json", tmp_path / "page.md"
    page.write_text("<!-- counts -->\nnone\n<!-- end of counts -->\n")
    for code, wanted in (("one", 5), ("one", 10), ("other", 5)):
        monkeypatch.setattr(command_line, "commit", lambda code=code: code)
        command_line.add(path, outcome.Outcome("frames", "libFuzzer", 5, 1.5, []))
        assert json.loads(path.read_text())["targets"]["frames"]["executions"] == wanted
    long.show(path, page)
    assert "| `frames` | libFuzzer | 5 | 0.00 | 2 | 0 | 0 |" in page.read_text()


def test_logs_are_read() -> None:
    log = "#12\tNEW    cov: 7 ft: 9 corp: 1/1b\n#2048\tpulse  cov: 9 ft: 12\nstat::number_of_executed_units: 2100\n"
    assert (outcome.executions(log), outcome.coverage(log)) == (2100, 9)
    assert outcome.executions("#2048\tpulse") == 2048
