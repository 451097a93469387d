"""What a stranger sees first: the README's pictures and badges are true and ask nobody, the site builds strictly."""

from __future__ import annotations

import html.parser
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from release import badges, gallery, pictures
from tests.paths import ROOT

README = (ROOT / "README.md").read_text()
DECISIONS = (ROOT / "docs" / "decisions.md").read_text()
SVGS = sorted((ROOT / "docs" / "pictures").rglob("*.svg"))


def test_the_first_screen_says_what_it_is_and_shows_it() -> None:
    first = README.split("\n## ")[0]
    places = [first.index(one) for one in ("# k2conn", "**An exchange's", "make demo", "](docs/pictures/demo.svg)",
                                           "| next | |")]
    assert places == sorted(places)
    assert len(first) < 4000
    assert not re.search(r"!\[[^]]*\]\(https?:", README), "a picture of the README comes from this repository"


@pytest.mark.parametrize("name", [name for name, *_ in badges.facts()])
def test_a_badge_is_true(name: str) -> None:
    """`make pictures` draws them anew."""
    about, fact, colour = next(rest for one, *rest in badges.facts() if one == name)
    assert (badges.FOLDER / f"{name}.svg").read_text() == badges.drawn(about, fact, colour)
    assert f"docs/pictures/badges/{name}.svg" in README


@pytest.mark.parametrize("picture", SVGS, ids=lambda path: path.name)
def test_a_picture_asks_nobody_and_runs_nothing(picture: Path) -> None:
    text = picture.read_text()
    asked = re.findall(r"(?:href|src)=[\"']?(?!#)([^\"'\s>]+)|url\((?!#)([^)]+)\)|(@import)|(<script)|( on\w+=)", text)
    assert asked == []
    assert picture.stat().st_size < pictures.LARGEST


def test_the_moving_picture_is_of_the_demo_and_of_no_machine() -> None:
    text = re.sub(r"<[^>]*>", "", pictures.PICTURE.read_text()).replace("\u00a0", " ")
    words = ("k2conn demo --duration 6s", "exchange  stream  symbol", "duplicates 0 + dead letters 0", "Read one:")
    assert [one for one in words if one not in text] == []
    assert "/tmp/" not in text
    assert "/bin/" not in text


def test_a_recording_is_cut_to_what_matters() -> None:
    programs = Path("/home/me/.venv/bin")
    events = pictures.edited([(9.0, "a"), (9.1, "b"), (60.0, f"{programs}/python /tmp/made1/file")], programs)
    shown = "".join(text for _, text in events)
    assert shown.startswith("$ k2conn demo --duration 6s\r\nab")
    assert shown.rstrip().endswith("python file")
    times = [at for at, _ in events]
    assert times == sorted(times)
    assert times[-2] - times[-3] == pytest.approx(0.4)


def test_the_gallery_is_up_to_date() -> None:
    """`python -m release.gallery`; that its figures are those of the recordings is tested beside them."""
    assert gallery.PAGE.read_text() == "\n".join(gallery.page()) + "\n"


def test_decisions_are_numbered_and_lead_somewhere() -> None:
    numbers = [int(one) for one in re.findall(r"^\| (\d+) \|", DECISIONS, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > 30


class _Asked(html.parser.HTMLParser):
    """What a browser fetches of a page by itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "link" and given.get("rel") in ("canonical", "prev", "next", "alternate"):
            return
        if tag in ("script", "img", "iframe", "link", "source", "video"):
            self.urls += [given[name] for name in ("src", "href") if name in given]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation, built as `make site` builds it; a warning is an error there."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder], cwd=ROOT, timeout=110,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.deploy
def test_the_site_has_every_page_and_a_search(site: Path) -> None:
    pages = {path.relative_to(site).with_suffix(".md").as_posix() for path in site.rglob("*.html")}
    wanted = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    wanted = {one.replace("README.md", "index.md") for one in wanted}
    assert wanted | {"index.md", "security.md", "changelog.md"} <= pages
    index = (site / "search" / "search_index.json").read_text()
    assert all(word in index for word in ("K2_KAFKA_LINGER_MS", "backfill", "kraken"))
    assert 'data-md-component="search"' in (site / "index.html").read_text()


@pytest.mark.deploy
def test_the_site_asks_nobody_else(site: Path) -> None:
    for path in site.rglob("*.html"):
        asked = [url for url in _Asked(path.read_text()).urls if re.match(r"(https?:)?//", url)]
        assert asked == [], path
        assert 'data-md-component="source"' not in path.read_text(), "it asks GitHub for the repository's stars"
    for path in site.rglob("*.css"):
        assert not re.search(r"url\(\"?(https?:)?//", path.read_text()), path


@pytest.mark.deploy
def test_what_the_site_links_to_in_the_repository_is_there(site: Path) -> None:
    linked = set(_repository_links(site))
    assert len(linked) > 5
    assert [one for one in sorted(linked) if not (ROOT / one).exists()] == []


def _repository_links(site: Path) -> Iterator[str]:
    for path in site.rglob("*.html"):
        yield from re.findall(r'href="https://github\.com/k2conn/k2conn/(?:blob|tree)/main/([^"#]+)"', path.read_text())


def test_links_of_pages_within_the_repository_lead_to_files_it_has() -> None:
    """The same pages are read in the repository: nothing leads out of it, or to what a build makes."""
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            if not re.match(r"[a-z]+:", link):
                target = Path(os.path.normpath(page.parent / link))
                assert target.is_relative_to(ROOT), link
                assert target.exists(), f"{page}: {link}"
