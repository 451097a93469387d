"""The metrics of all workers as one text: every sample gets a label, ``worker``, and every family stands once.

Text in, text out: nothing is parsed that could lose a digit. A sample's name holds neither a brace nor a space, so its
first one of these is where the label goes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_NAME_ENDS = re.compile(r"[{ ]")


class _Family:
    def __init__(self) -> None:
        self.head: list[str] = []
        self.samples: list[str] = []


def merged(texts: Mapping[int, str], label: str = "worker") -> str:
    """The metrics of workers, or of others that are called by a ``label``, by their index, as one text."""
    families: dict[str, _Family] = {}
    for worker, text in sorted(texts.items()):
        family, known = _Family(), False
        for line in text.splitlines():
            if line.startswith("# HELP "):
                name = line.split(" ", 3)[2]
                known = name in families
                family = families.setdefault(name, _Family())
            if line.startswith("#"):
                if not known:
                    family.head.append(line)
            elif line:
                family.samples.append(_labelled(line, label, worker))
    return "".join(f"{line}\n" for one in families.values() for line in (*one.head, *one.samples))


def _labelled(sample: str, label: str, worker: int) -> str:
    found = _NAME_ENDS.search(sample)
    assert found is not None, sample
    name, rest = sample[: found.start()], sample[found.start() :]
    if rest.startswith("{"):
        return f'{name}{{{label}="{worker}",{rest[1:]}'
    return f'{name}{{{label}="{worker}"}}{rest}'


def pool_metrics(workers: Iterable[tuple[int, bool, int]]) -> str:
    """The parent's own metrics, of workers given as index, whether it is at work, and how often it was restarted."""
    rows = list(workers)
    lines = ["# HELP k2conn_worker_up 1 where a worker process is at work.", "# TYPE k2conn_worker_up gauge"]
    lines += [f'k2conn_worker_up{{worker="{index}"}} {int(up)}' for index, up, _ in rows]
    lines += ["# HELP k2conn_worker_restarts_total Worker processes started again after a death.",
              "# TYPE k2conn_worker_restarts_total counter"]
    lines += [f'k2conn_worker_restarts_total{{worker="{index}"}} {restarts}' for index, _, restarts in rows]
    return "".join(f"{line}\n" for line in lines)
