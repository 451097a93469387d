"""Writes the digest behind every image's tag into Dockerfile and docker-compose.yml: `make digests`.

The registry is asked (by skopeo, else by docker), so that the digest is of what it serves now, for all processors. A
tag that has a digest already gets the one of today: so images are brought up to date, in a commit to be looked at.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = {"Dockerfile": r"^(ARG \w+_IMAGE=)", "docker-compose.yml": r"^( +image: (?=\S+[/:]))"}
"""What stands before an image's name, by file; an image without a folder and a tag is one that is built here."""
NAME = r"(?P<name>[^\s@]+)(?:@sha256:[0-9a-f]{64})?$"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class NotAsked(Exception):
    """Why the registry did not say."""


def main() -> int:
    """Rewrites both files, or neither."""
    try:
        changed = {ROOT / name: pinned((ROOT / name).read_text(), before) for name, before in FILES.items()}
    except NotAsked as why:
        print(f"error: {why}", file=sys.stderr)
        return 1
    for path, text in changed.items():
        path.write_text(text)
    return 0


def pinned(text: str, before: str) -> str:
    """The text with a digest behind every name of an image."""
    return re.sub(before + NAME, lambda found: f"{found[1]}{found['name']}@{digest(found['name'])}", text,
                  flags=re.MULTILINE)


def digest(name: str) -> str:
    """What the registry serves under a name: the digest of its list of images, one for each processor."""
    full = name if "/" in name else f"library/{name}"
    if not re.match(r"[^/]*[.:][^/]*/", full):  # no registry is named
        full = f"docker.io/{full}"
    if shutil.which("skopeo"):
        found = f"sha256:{hashlib.sha256(_said('skopeo', 'inspect', '--raw', f'docker://{full}')).hexdigest()}"
    elif shutil.which("docker"):
        said = _said("docker", "buildx", "imagetools", "inspect", "--format", "{{.Manifest.Digest}}", full)
        found = said.decode().strip()
    else:
        raise NotAsked("skopeo or docker is needed to ask the registry: apt-get install skopeo")
    if not DIGEST.fullmatch(found):
        raise NotAsked(f"{full}: no digest: {found[:100]}")
    print(f"{name} {found}")
    return found


def _said(*command: str) -> bytes:
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode or not done.stdout:
        raise NotAsked(f"{command[-1]}: {done.stderr.decode(errors='replace').strip()[:300]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
