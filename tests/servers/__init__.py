"""A real Kafka broker and schema registry for tests, benchmarks and first steps, without containers."""

from .broker import Broker
from .prerequisites import Missing
from .process import Failed
from .registry import Registry
from .shared import SharedBroker, SharedRegistry

__all__ = ["Broker", "Failed", "Missing", "Registry", "SharedBroker", "SharedRegistry"]
