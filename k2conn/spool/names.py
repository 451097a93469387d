"""Names in the spool's folder: what is not named like this is none of ours, and nothing touches it.

::

    <number>/                       the part of one process
        lock
        main/<12 digits>.spool      segments
        main/mark
        topics/<topic, quoted>/     the same for a topic in trouble
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

LOCK, MAIN, TOPICS, MARK = "lock", "main", "topics", "mark"
PARTS = 100
"""Processes that may share one folder."""
LAST_NUMBER = 10**11
"""No segment has a higher number, so that there is always one behind it."""
TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
"""Kafka's own rule."""
_SEGMENT = re.compile(r"[0-9]{12}\.spool")


def segment_name(number: int) -> str:
    """The file name of a segment."""
    return f"{number:012}.spool"


def segment_numbers(folder: Path) -> list[int]:
    """The numbers of what has a segment's name in a queue's folder, whatever it is, lowest first."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(int(name[:12]) for name in names if _SEGMENT.fullmatch(name))


def queue_folders(part: Path) -> Iterator[Path]:
    """The folders of the queues in one process's part; none that is a link."""
    if _is_folder(part / MAIN):
        yield part / MAIN
    yield from (folder for folder, _ in topic_folders(part))


def topic_folders(part: Path) -> list[tuple[Path, str]]:
    """The folders of topics in trouble, each with its topic."""
    folder = part / TOPICS
    if not _is_folder(folder):
        return []
    topics = [(folder / name, unquote(name)) for name in sorted(os.listdir(folder))]
    return [(one, topic) for one, topic in topics if one == topic_folder(part, topic) and _is_folder(one)]


def topic_folder(part: Path, topic: str) -> Path | None:
    """The folder for one topic; None for a text that cannot be a topic's name."""
    return part / TOPICS / quote(topic, safe="") if TOPIC.fullmatch(topic) and topic not in (".", "..") else None


def parts(base: Path) -> list[Path]:
    """The parts of processes that there are."""
    known = {str(number) for number in range(PARTS)}
    names = [name for name in os.listdir(base) if name in known] if base.is_dir() else []
    return [base / name for name in sorted(names, key=int) if _is_folder(base / name)]


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
