"""A run that records: the recorder beside the runner, from its start to its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from k2conn.cli.messages import complain, say
from k2conn.cli.run_options import RunOptions
from k2conn.errors import SettingsError
from k2conn.files import unwritable
from k2conn.observe import Observers
from k2conn.recording.blocks import zstd_there
from k2conn.recording.folder import Bounds
from k2conn.recording.recorder import Recorder
from k2conn.runner.event_log import get_logger
from k2conn.settings import record_bounds, record_folder
from k2conn.workers.channel import WorkerIdentity
from k2conn.workers.handover import worker_folder


def check_recording(options: RunOptions, environment: Mapping[str, str]) -> None:
    """SettingsError where a run cannot record as it is told to."""
    folder = options.record or record_folder(environment)
    record_bounds(environment)
    if folder is not None and (text := unwritable(folder)):
        said = "--record" if options.record else "K2_RECORD_FOLDER"
        raise SettingsError(f"{said} {folder}: {text}")


@contextmanager
def recorded(
    options: RunOptions, environment: Mapping[str, str], identity: WorkerIdentity | None = None
) -> Iterator[Observers]:
    """Whoever looks at a run: a recorder, where there is to be one. A worker has a folder of its own, and its part of
    the bound.
    """
    folder, bounds = options.record or record_folder(environment), record_bounds(environment)
    if folder is None:
        yield Observers()
        return
    recorder = _recorder(folder, bounds, identity)
    if not zstd_there():
        get_logger().warning("recording with gzip: larger, and slower to write", hint="pip install 'k2conn[zstd]'")
    recorder.start()
    try:
        yield Observers(recorder)
    finally:
        if not recorder.close():
            complain(f"the recording in {recorder.folder} was not finished in time", folder=str(recorder.folder))
        say(f"recorded {recorder.frames} frames in {recorder.folder}"
            + (f"; {recorder.lost} frames are missing there" if recorder.lost else ""),
            folder=str(recorder.folder), frames=recorder.frames, lost=recorder.lost)


def _recorder(folder: Path, bounds: Bounds, identity: WorkerIdentity | None) -> Recorder:
    if identity is None:
        return Recorder(folder, bounds)
    whole = max(bounds.file_bytes, bounds.total_bytes // identity.workers)
    return Recorder(worker_folder(folder, identity.index), replace(bounds, total_bytes=whole))
