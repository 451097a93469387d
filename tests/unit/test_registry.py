"""Components by name: k2conn's own files, and what other packages add."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from k2conn.errors import PluginError, SettingsError
from k2conn.registry import Registry

Things = Callable[..., "Registry[str]"]


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def install(folder: Path, distribution: str, points: str) -> None:
    """What an installer leaves of a package: its metadata, with entry points for the kind `things`."""
    info = folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
    write(info / "METADATA", f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    write(info / "entry_points.txt", f"[things]\n{points}\n")


@pytest.fixture
def things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Things:
    """A registry of texts whose built-in ones are `apple` and `pear`."""
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("things", "things.apple", "things.pear", "things.common"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    write(tmp_path / "things/__init__.py", "")
    write(tmp_path / "things/apple.py", 'THING = "an apple"\n')
    write(tmp_path / "things/pear/__init__.py", 'THING = "a pear"\n')
    write(tmp_path / "things/common.py", "raise AssertionError\n")
    write(tmp_path / "things/_private.py", "raise AssertionError\n")
    return lambda **more: Registry("thing", "things", "THING", str, shared=("common",), **more)


def test_the_files_of_the_folder_are_components(things: Things) -> None:
    found = things()
    assert found.names() == ("apple", "pear")
    assert "things.apple" not in sys.modules, "a component is imported when it is asked for"
    assert found.get("apple") == "an apple"
    assert "things.pear" not in sys.modules
    assert "pear" in found
    assert "plum" not in found


def test_an_unknown_name_is_answered_with_a_near_one_or_all(things: Things) -> None:
    with pytest.raises(SettingsError, match="there is no thing 'aple'; did you mean 'apple'"):
        things().get("aple")
    with pytest.raises(SettingsError, match="there is no thing 'xyz'; known: apple, pear"):
        things().get("xyz")


def test_another_package_adds_a_component(things: Things, tmp_path: Path) -> None:
    install(tmp_path, "more-fruit", "plum = more_fruit:PLUM")
    write(tmp_path / "more_fruit.py", 'PLUM = "a plum"\n')
    found = things()
    assert found.names() == ("apple", "pear", "plum")
    assert "more_fruit" not in sys.modules
    assert found.get("plum") == "a plum"


def test_a_package_that_cannot_be_imported_is_named(things: Things, tmp_path: Path) -> None:
    install(tmp_path, "bad-fruit", "plum = bad_fruit:PLUM\nfig = bad_fruit.fig:FIG")
    write(tmp_path / "bad_fruit.py", "import nothing_of_that_name\n")
    with pytest.raises(PluginError, match=r"the thing 'plum' of the package bad-fruit cannot be imported: .*of_that"):
        things().get("plum")
    assert things().get("apple") == "an apple", "who does not ask for it is not disturbed"


def test_a_component_of_another_class_is_refused(things: Things, tmp_path: Path) -> None:
    install(tmp_path, "odd-fruit", "plum = odd_fruit:PLUM")
    write(tmp_path / "odd_fruit.py", "PLUM = 5\n")
    with pytest.raises(PluginError, match="'plum' of the package odd-fruit is no str but a int: odd_fruit:PLUM"):
        things().get("plum")


def test_no_package_may_take_a_name_that_is_taken(things: Things, tmp_path: Path) -> None:
    install(tmp_path, "false-apple", "apple = false_apple:APPLE")
    with pytest.raises(PluginError, match="the package false-apple names a thing 'apple', as one of k2conn's own"):
        things().names()
    install(tmp_path, "false-apple", "plum = false_apple:APPLE")
    install(tmp_path, "more-fruit", "plum = more_fruit:PLUM")
    with pytest.raises(PluginError, match="packages false-apple and more-fruit both name a thing 'plum'"):
        things().names()


def test_components_may_have_other_names_than_their_files(things: Things, tmp_path: Path) -> None:
    found = things(names=lambda text: text.split())
    assert found.names() == ("a", "an", "apple", "pear")
    assert found.get("pear") == "a pear"
    install(tmp_path, "more-fruit", "plum = more_plums:PLUM")
    write(tmp_path / "more_plums.py", 'PLUM = "a prune"\n')
    with pytest.raises(PluginError, match="'plum' of the package more-fruit says that it is for a, prune only"):
        things(names=lambda text: text.split()).get("plum")


LOOKED = """
import sys
from k2conn.cli import main
sys.argv[1:] = ["--help"]
try:
    main()
except SystemExit:
    assert not {"importlib.metadata", "k2conn.registry"} & set(sys.modules)
"""


def test_help_looks_for_no_packages() -> None:
    subprocess.run([sys.executable, "-c", LOOKED], check=True, capture_output=True)
