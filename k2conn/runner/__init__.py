"""The runner: the only asyncio loop. Many connectors into one sink, started together, stopped in order."""

from k2conn.runner.connector import Connector, Job
from k2conn.runner.overrides import Overrides
from k2conn.runner.runner import Runner, RunOutcome

__all__ = ["Connector", "Job", "Overrides", "RunOutcome", "Runner"]
