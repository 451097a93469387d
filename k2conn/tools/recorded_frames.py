"""The frames of a recording of k2conn, for whoever wants their texts and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from k2conn.errors import SettingsError
from k2conn.recording.entries import EntryKind
from k2conn.recording.reader import Recording


def recorded_texts(path: Path, connector: str | None = None) -> Iterator[str]:
    """The texts of the frames that were received, in their order; of one connector where it is named. SettingsError
    where there is no recording, where it has several connectors and none is named, and where it has binary frames,
    which are no text.
    """
    recording = Recording([path])
    names = recording.connectors()
    if connector is None and len(names) > 1:
        raise SettingsError(f"{path} has frames of several connectors ({', '.join(names)}): record them apart")
    binary = 0
    for _, one in recording.entries():
        if one.kind != EntryKind.RECEIVED or connector not in (None, one.place.connector):
            continue
        try:
            yield one.frame if isinstance(one.frame, str) else one.frame.decode()
        except UnicodeDecodeError:
            binary += 1
    if binary:
        raise SettingsError(f"{path} has {binary} binary frames: k2conn map, test --from and replay take them")
