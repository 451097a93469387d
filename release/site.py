"""What MkDocs is told beside mkdocs.yml: pages that stand outside of docs/, and links that lead there.

In the repository `../SECURITY.md` and `../schemas/trade_v2.avsc` are files; on the site the one is a page, the other is
the repository's.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
PAGES = {"README.md": "index.md", "SECURITY.md": "security.md", "CHANGELOG.md": "changelog.md"}
"""Files at the top of the tree that are pages of the site, too."""
_LINK = re.compile(r"(\]\(|(?:src|href)=\")([^)\s\"#]+)")


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages."""
    for name, page in PAGES.items():
        text = _resolved((ROOT / name).read_text(), ROOT, config["extra"]["repository"])
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """The text of a page with links that hold on the site."""
    if page.file.src_uri in PAGES.values():
        return markdown
    return _resolved(markdown, ROOT / "docs" / Path(page.file.src_uri).parent, config["extra"]["repository"])


def _resolved(text: str, folder: Path, repository: str) -> str:
    return _LINK.sub(lambda link: link[1] + _target(link[2], folder, repository), text)


def _target(link: str, folder: Path, repository: str) -> str:
    """Where a link of a file in ``folder`` leads, seen from a page of the site: as it is within docs/."""
    if re.match(r"[a-z]+:|/", link):
        return link
    path = Path(os.path.normpath(folder / link))
    here = ROOT / "docs" / (folder.relative_to(ROOT / "docs") if folder.is_relative_to(ROOT / "docs") else "")
    if path.is_relative_to(ROOT / "docs") and path != ROOT / "docs":
        return os.path.relpath(path, here)
    name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else ""
    if name in PAGES:
        return os.path.relpath(ROOT / "docs" / PAGES[name], here)
    return f"{repository}/{'tree' if path.is_dir() else 'blob'}/main/{name}"
