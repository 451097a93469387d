"""Every target for a moment, with all inputs that are kept; and the machinery finds what is wrong."""

from __future__ import annotations

import json
import subprocess
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import pytest

from tests.fuzz import long, outcome, sources
from tests.fuzz.__main__ import main
from tests.fuzz.bounds import Bounds
from tests.fuzz.engines import building, generated, mutated
from tests.fuzz.engines.mutations import mutations
from tests.fuzz.results import add, in_all, read, total
from tests.fuzz.target import HERE, Target, dictionary, targets, write_inputs
from tests.paths import ROOT

ALL = targets()
PYTHON = [target for target in ALL if target.in_python]
IN_C = [target for target in ALL if not target.in_python]
RUNS = 60
"""Inputs of each target in Python: a long run is `make fuzz-long`."""


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test writes among the findings and builds of a run by hand."""
    for module in (outcome, building, mutated):
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
        assert all(find_spec(name) for name in target.traced())
        assert target.traced() or target.language == "c", "nothing would guide it"
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


BROKEN = {
    "an exception": "raise KeyError(data)",
    "a signal": "import os; os.kill(os.getpid(), 11)",
    "an end": "import os; os._exit(3)",
    "a loop": "while True: pass",
    "waiting": "import time; time.sleep(60)",
    "memory": "bytearray(4 << 30)",
}


@pytest.mark.parametrize("what", BROKEN)
def test_mutations_find_whatever_ends_the_process(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / f"broken_{what.split()[-1]}"
    folder.mkdir()
    (folder / "broken.py").write_text(
        "WORDS = (b'wo',)\n\ndef seeds():\n    yield b'a seed'\n\n"
        f"def target(data):\n    if b'w' in data:\n        {BROKEN[what]}\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(Target, "module", f"{folder.name}.broken")
    monkeypatch.syspath_prepend(tmp_path)
    found = mutated.run(Target("broken", "python"), Bounds(executions=20_000, timeout=1), tmp_path / "corpus")
    assert len(found.findings) == 1, found
    assert 0 < found.executions < 20_000
    assert b"w" in Path(found.findings[0]).read_bytes()


def test_mutations_are_counted_one_by_one_and_end_in_time(tmp_path: Path) -> None:
    target = Target("json_text", "python")
    found = mutated.run(target, Bounds(executions=777), tmp_path)
    assert (found.engine, found.executions, found.findings) == ("mutations", 777, [])
    found = mutated.run(target, Bounds(seconds=1), tmp_path)
    assert found.executions > 100
    assert not found.findings
    assert len({*islice(mutations([b"abc"], (b"x",), 5, 1), 500)}) > 200
    assert max(map(len, islice(mutations([b"abc"], (b"x",), 5, 1), 500))) == 5


def test_an_unknown_target_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nothing"]) == 2
    assert "there is no target nothing; known are" in capsys.readouterr().err


def test_the_page_shows_the_counts_of_the_long_run(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(long.PAGE.read_text())
    long.show(long.RESULTS, page)
    assert page.read_text() == long.PAGE.read_text(), "python -m tests.fuzz.long writes both"


def test_counts_add_up_as_long_as_the_sources_are_the_same(tmp_path: Path) -> None:
    path, page = tmp_path / "fuzzing.json", tmp_path / "page.md"
    page.write_text("<!-- counts -->\nnone\n<!-- end of counts -->\n")
    for code, wanted, found in (("one", 5, ["a file"]), ("one", 10, []), ("other", 5, [])):
        add(path, outcome.Outcome("frames", "libFuzzer", 5, 1.5, found), code)
        assert total(read(path)["frames"]) == wanted
    assert in_all(read(path)["frames"]) == {"executions": 15, "findings": 1}
    assert in_all({"engines": {"libFuzzer": {"executions": 7, "seconds": 1}}, "findings": []})["executions"] == 7
    add(path, outcome.Outcome("spool", "atheris", 10, 2, [], 7), "code")
    add(path, outcome.Outcome("spool", "mutations", 90, 3, []), "code")
    long.show(path, page)
    assert "5 executions of the C part. Below the goal: buffer, cells, digests, frames" in page.read_text()
    assert "| `frames` | 15 | 1 | 5 | 0 | 5 | 3 | 0 | - | 0 | `other` |" in page.read_text()
    assert "| `spool` | 100 | 0 | 100 | 0 | 10 | 5 | 90 | 30 | 7 | `code` |" in page.read_text()


@pytest.mark.deploy
def test_a_commit_elsewhere_leaves_a_count_and_one_in_the_sources_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    json_text, frames = Target("json_text", "python"), Target("frames", "c")
    files = {path.relative_to(ROOT).as_posix() for path in sources.sources(json_text)}
    assert {"k2conn/exactjson.py", "tests/fuzz/targets/json_text.py"} <= files
    assert not any(name.startswith(("k2conn/engine", "tests/fuzz/engines")) for name in files)
    assert {path.name for path in sources.sources(frames)} == {"frames.c", "harness.h"}
    assert "content.h" in {path.name for path in sources.sources(Target("digests", "c"))}
    assert {"mapper.c", "mapper.py", "numbers.h"} <= {path.name for path in sources.sources(Target("mapper", "c"))}

    before = [sources.digest(json_text), sources.digest(frames)]
    assert before == [sources.digest(json_text), sources.digest(frames)]
    read_bytes = Path.read_bytes
    more = {"exactjson.py": b"\n"}
    monkeypatch.setattr(Path, "read_bytes", lambda path: read_bytes(path) + more.get(path.name, b""))
    after = [sources.digest(json_text), sources.digest(frames)]
    assert after[0] != before[0]
    assert after[1] == before[1]


def test_a_long_run_is_guided_first_and_goes_on_where_it_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, page, asked = tmp_path / "fuzzing.json", tmp_path / "page.md", []
    page.write_text("<!-- counts -->\nnone\n<!-- end of counts -->\n")
    codecs = Target("codecs", "python")

    def ran(words: list[str]) -> int:
        asked.append(words[1:-2])
        engine = "mutations" if "mutations" in words else "atheris"
        add(path, outcome.Outcome("codecs", engine, 300_000, 20, []), sources.digest(codecs))
        return 0

    monkeypatch.setattr(long, "main", ran)
    assert long.run(["codecs"], path, page) == 0
    step = ["--executions", "100000"]
    assert asked == [
        [*step, "--seconds", "30"],
        [*step, "--seconds", "10"],
        [*step, "--engine", "mutations"],
        [*step, "--engine", "mutations"],
    ]
    assert long.run(["codecs"], path, page) == 0
    assert len(asked) == 4, "the goal is reached"
    known = read(path)
    known["codecs"]["digest"] = "other"
    path.write_text(json.dumps(known))
    assert long.run(["codecs"], path, page) == 0
    assert len(asked) == 8, "other sources"


def test_logs_are_read() -> None:
    log = "#12\tNEW    cov: 7 ft: 9 corp: 1/1b\n#2048\tpulse  cov: 9 ft: 12\nstat::number_of_executed_units: 2100\n"
    assert (outcome.executions(log), outcome.coverage(log)) == (2100, 9)
    assert outcome.executions("#2048\tpulse") == 2048
