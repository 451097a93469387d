"""What earlier processes left, for the workers that carry the symbols now.

Each worker has its own state files and its own spool, in ``worker-0``, ``worker-1``, ... below the folders that are
said. The next run may have another number of workers, or assign the symbols in another way. So before a run:

- the state files of all earlier workers (and of a run without workers) are joined and distributed anew;
- spooled records whose symbols may now be another worker's are sent before any worker starts: they stay in order.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from k2conn import exactjson
from k2conn.clock import monotonic
from k2conn.engine.persisted_state import checked, joined, part
from k2conn.files import read_own, set_aside, write_whole
from k2conn.plan import Plan
from k2conn.runner import Job, Runner
from k2conn.runner.event_log import get_logger
from k2conn.runner.state_file import read_state, why
from k2conn.sinks.settings import SinkSettings
from k2conn.spool import spooled
from k2conn.spool.process_lock import abandoned
from k2conn.workers.assignment import Assignment

ASSIGNMENT_NOTE = "division.json"
"""In the spool's folder: how the symbols were assigned when workers last used it."""
LARGEST_NOTE = 16 * 1024 * 1024
GIVE_UP_AFTER = 30.0
"""Seconds without any progress after which spooled records are left where they are."""
_LOOK = 0.1
_WORKERS = "worker-*"


def worker_folder(base: Path, index: int) -> Path:
    """One worker's folder below another one."""
    return base / f"worker-{index}"


# -- state files


def distribute_state(folder: Path, jobs: Sequence[Job], assignments: Sequence[Assignment] | None) -> None:
    """Distributes the state files in a folder to the workers; ``assignments`` None: to a run without workers."""
    for job in jobs:
        try:
            _distribute_state(folder, job.plan, assignments)
        except OSError as error:
            get_logger(connector=job.plan.name).error("state files left as they are", detail=str(error))


def _distribute_state(folder: Path, plan: Plan, assignments: Sequence[Assignment] | None) -> None:
    name = f"{plan.name}.json"
    whole, parts = folder / name, sorted(folder.glob(f"{_WORKERS}/{name}"))
    if not parts and (assignments is None or not whole.exists()):
        return
    read = _read(plan, [*parts, *([whole] if whole.exists() else [])])
    if not read:
        return
    state = joined(plan, list(read.values()))
    wanted = {whole: state} if assignments is None else _parts(folder, plan, assignments, state)
    for path, one in wanted.items():
        if path not in read and os.path.lexists(path):
            set_aside(path)
        write_whole(path, exactjson.encode(one))
    for path in read.keys() - wanted.keys():
        path.unlink()
        if path.parent != folder:
            with suppress(OSError):
                path.parent.rmdir()


def _parts(
    folder: Path, plan: Plan, assignments: Sequence[Assignment], state: Mapping[str, Any]
) -> dict[Path, dict[str, Any]]:
    carried = {
        index: {symbol.record for name in assignment.symbols[plan.name] if (symbol := plan.symbols.resolve(name))}
        for index, assignment in enumerate(assignments)
        if plan.name in assignment.symbols
    }
    everybody = set().union(*carried.values())
    return {
        worker_folder(folder, index) / f"{plan.name}.json": part(state, own, everybody - own, index == min(carried))
        for index, own in carried.items()
    }


def _read(plan: Plan, paths: Sequence[Path]) -> dict[Path, Any]:
    """The states that can be used, oldest first; one that cannot is logged and left alone."""
    found: dict[Path, Any] = {}
    for path in sorted(paths, key=lambda one: one.lstat().st_mtime_ns):
        try:
            state = read_state(path)
            checked(plan, state)
            found[path] = state
        except (OSError, ValueError) as error:
            get_logger(connector=plan.name).warning("state file ignored", file=str(path), detail=why(error))
    return found


# -- spooled records


async def send_left_over(
    jobs: Sequence[Job], settings: SinkSettings, assignments: Sequence[Assignment] | None, stop: asyncio.Event
) -> None:
    """Sends what is in spools that no worker of this run takes up by itself. ``assignments`` None: a run without
    workers.

    Raises Unreachable where the sink cannot be reached. Where a topic is in trouble, its records stay, with a log line.
    """
    base = settings.spool.folder
    if not spooled(settings) or not (base.is_dir() or assignments):
        return
    now = [{name: list(one) for name, one in assignment.symbols.items()} for assignment in assignments or ()]
    same = bool(now) and await asyncio.to_thread(_last_assignment, base) == now
    own = [worker_folder(base, index) for index in range(len(now))] if same else []
    for folder in [*([base] if now else []), *sorted(base.glob(_WORKERS))]:
        left = await _abandoned(folder)
        if folder in own and len(left) == 1:
            continue  # its own worker takes it up
        while left and not stop.is_set():
            before = len(left)
            await _send(jobs, settings, folder, stop)
            left = await _abandoned(folder)
            if len(left) >= before:
                break
    await asyncio.to_thread(_note_assignment, base, now)


async def _abandoned(folder: Path) -> list[Path]:
    try:
        return await asyncio.to_thread(abandoned, folder)
    except OSError as error:
        get_logger().error("spooled records left as they are", folder=str(folder), detail=error.strerror or str(error))
        return []


async def _send(jobs: Sequence[Job], settings: SinkSettings, folder: Path, stop: asyncio.Event) -> None:
    """Sends one part of a spool's folder."""
    log = get_logger()
    sink = Runner(jobs, replace(settings, spool=replace(settings.spool, folder=folder, mode="trouble"))).sink
    await sink.open()
    try:
        left, moved = _records(sink.status()), monotonic()
        log.warning("spooled records of an earlier assignment are sent before the workers start", records=left,
                    folder=str(folder))
        while left and not stop.is_set():
            await sink.drain()  # raises what ended one of its tasks
            await asyncio.sleep(_LOOK)
            before, left = left, _records(sink.status())
            if left != before:
                moved = monotonic()
            elif monotonic() > moved + GIVE_UP_AFTER:
                log.error("spooled records are left for another start", records=left, folder=str(folder))
                break
    finally:
        await sink.close()


def _records(status: Mapping[str, Any]) -> int:
    return int(status["spool"]["records"])


def _last_assignment(base: Path) -> Any:
    try:
        return exactjson.decode(read_own(base / ASSIGNMENT_NOTE, LARGEST_NOTE))
    except (OSError, exactjson.JsonError):
        return None  # it is missing or torn: then the symbols are not known to be assigned in the same way


def _note_assignment(base: Path, assignment: Sequence[Mapping[str, Any]]) -> None:
    try:
        if assignment:
            write_whole(base / ASSIGNMENT_NOTE, exactjson.encode(assignment))
        else:
            (base / ASSIGNMENT_NOTE).unlink(missing_ok=True)
    except OSError as error:
        get_logger().warning("assignment not noted", file=str(base / ASSIGNMENT_NOTE), detail=str(error))
