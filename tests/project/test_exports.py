"""The public names of each package: few, and changed only on purpose."""

from __future__ import annotations

import importlib
import types

import pytest

PUBLIC = {
    "k2conn": [],
    "k2conn.avro": [
        "ContainerWriter", "DecimalSize", "RecordSchema", "Resolution", "SchemaField", "V2", "WIDE", "checked_writer",
        "decimals_used", "declared_name", "default_of", "fixed_bytes", "known_schemas", "load_schema",
        "plain_text", "read_decimals", "read_schema", "use_decimals", "well_formed", "wide_file",
    ],
    "k2conn.codecs": ["CODECS", "Codec", "FileFormat", "MessageFormat", "Packing", "Row", "RowPosition", "RowReader",
        "Setting", "Settings"],
    "k2conn.engine": [],
    "k2conn.envelope": ["DeliveryAccount", "Envelope"],
    "k2conn.errors": [
        "CollectedProblems", "EncodeError", "K2Error", "MissingVariable", "PluginError", "RecordError", "SettingsError",
        "SinkError", "SpecError", "Superseded", "TransportError", "Unreachable", "known",
    ],
    "k2conn.runner": ["Connector", "Job", "Overrides", "RunOutcome", "Runner"],
    "k2conn.sinks": [
        "Finding", "JournalSink", "NoOptions", "Reject", "Sink", "SinkKind", "SinkStatus", "SpoolableSink", "database",
        "make_sink", "putter", "refuse_borders", "with_options",
    ],
    "k2conn.compiler": [],
    "k2conn.spool": ["make_spooled", "spooled"],
    "k2conn.transports": [
        "Address", "Polling", "Program", "Transport", "TransportKind", "open_transport", "secure",
    ],
}


def public(name: str) -> list[str]:
    """What a package says is its own: `__all__`, or the classes and functions that are defined in it."""
    module = importlib.import_module(name)
    if hasattr(module, "__all__"):
        return sorted(module.__all__)
    own = (type, types.FunctionType)
    return sorted(key for key, value in vars(module).items()
                  if not key.startswith("_") and isinstance(value, own) and value.__module__ == name)


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_public_names(name: str) -> None:
    assert public(name) == PUBLIC[name]


def test_the_version_is_text() -> None:
    assert importlib.import_module("k2conn").__version__.count(".") == 2
