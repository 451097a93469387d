"""A member of a group as a process to which things happen: it is killed, frozen, stopped, or cut off from Kafka.

Its connections to Kafka go through a proxy of its own, whatever addresses the brokers say: the process dials as the
variable `REROUTES` says (see `proxied_dialing`), which `dial_through` sets up before anything else of it runs.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from k2conn import exactjson
from k2conn.child_python import child_command, child_environment
from k2conn.errors import Unreachable
from k2conn.tools.certify.proxied_dialing import ProxiedEventLoop, reroute
from k2conn.tools.certify.proxy import FaultProxy

REROUTES = "K2CONN_CERTIFY_REROUTES"
STOPS_WITHIN = 60.0


class TestedMember:
    """One instance, and its processes one after the other. ``brokers``: the addresses that they say of themselves."""

    def __init__(
        self, instance: str, program: str, arguments: Sequence[str], variables: Mapping[str, str], folder: Path,
        brokers: Sequence[tuple[str, int]],
    ) -> None:
        self.instance = instance
        self.proxy = FaultProxy()
        self.log = folder / f"{instance}.log"
        self._command = child_command(["-c", program, *arguments])
        self._variables = {**variables, "K2_GROUP_INSTANCE_ID": instance,
                           "K2_SPOOL_FOLDER": str(folder / instance / "spool")}
        self._brokers = brokers
        self._process: asyncio.subprocess.Process | None = None
        self.codes: list[int] = []
        """Exit codes of processes that were stopped in order."""
        self._down = True
        """Whether nothing is to run just now."""

    async def start(self) -> None:
        """Another process of it."""
        self._down = False
        ways = {f"{host}:{port}": list(await self.proxy.through(host, port)) for host, port in self._brokers}
        environment = {**self._variables, REROUTES: exactjson.encode(ways).decode()}
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, env=child_environment(environment), stdin=asyncio.subprocess.DEVNULL, stdout=log,
                stderr=log,
            )

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None and self._process.returncode is None

    def kill(self) -> None:
        """kill -9."""
        self._down = True
        self._signal(signal.SIGKILL)

    def freeze(self) -> None:
        """It stands still until `wake`."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """It goes on."""
        self._signal(signal.SIGCONT)

    async def stop(self) -> None:
        """Stopped in order."""
        self._down = True
        self._signal(signal.SIGTERM)
        assert self._process is not None
        with suppress(TimeoutError):
            async with asyncio.timeout(STOPS_WITHIN):
                self.codes.append(await self._process.wait())
                return
        self.kill()
        self.codes.append(-signal.SIGKILL)
        await self._process.wait()

    async def keep(self) -> None:
        """Starts it again where a process could not begin, because it was cut off at its start: what every operator's
        system does. Goes on until cancelled.
        """
        while True:
            await asyncio.sleep(1.0)
            code = None if self._process is None else self._process.returncode
            if code == Unreachable.exit_code and not self._down:
                await self.start()

    async def ended(self) -> None:
        """Waits for the end of a process that was killed."""
        if self._process is not None:
            await self._process.wait()

    async def close(self) -> None:
        """Nothing of it is left."""
        self.kill()
        await self.ended()
        await self.proxy.close()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):  # it was quicker
                os.kill(self._process.pid, number)


def dial_through() -> None:
    """In the process of a member: from now on connections go where `REROUTES` says."""
    ways: dict[str, list[object]] = exactjson.decode(os.environ.pop(REROUTES))

    async def own(host: str, port: int) -> tuple[str, int]:
        found = ways.get(f"{host}:{port}")
        return (host, port) if found is None else (str(found[0]), int(str(found[1])))

    asyncio.set_event_loop_policy(_Policy())
    reroute.set(own)


class _Policy(asyncio.DefaultEventLoopPolicy):
    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        return ProxiedEventLoop()
