"""A real Kafka broker, schema registry and PostgreSQL for tests, benchmarks and first steps, without containers."""

from .broker import Broker
from .connect import ConnectWorker
from .postgres import Postgres
from .prerequisites import Missing
from .process import Failed
from .questdb import QuestDb
from .registry import Registry
from .seaweedfs import SeaweedFs
from .shared import SharedBroker, SharedRegistry

__all__ = [
    "Broker", "ConnectWorker", "Failed", "Missing", "Postgres", "QuestDb", "Registry", "SeaweedFs", "SharedBroker",
    "SharedRegistry",
]
