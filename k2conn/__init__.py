"""k2conn: exchange market data into Kafka, declared in YAML."""

__version__ = "0.1.0"
