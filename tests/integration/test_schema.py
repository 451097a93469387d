"""`k2conn schema`: what it prints is a schema, and it judges connector files."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from k2conn.cli.application import application
from k2conn.compiler.language.document import read_document
from k2conn.resources import connectors_folder


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    done = subprocess.run([sys.executable, "-m", "k2conn", "schema"], capture_output=True, timeout=60, check=True)
    assert done.stderr == b""
    schema = json.loads(done.stdout)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_it_takes_a_shipped_file_and_refuses_a_wrong_word(validator: Draft202012Validator) -> None:
    said = read_document("kraken.yaml", (connectors_folder() / "kraken.yaml").read_text()).value
    assert [error.message for error in validator.iter_errors(said)] == []
    said["connection"]["hartbeat"] = said["connection"].pop("heartbeat")
    (error,) = validator.iter_errors(said)
    assert "hartbeat" in error.message


def test_its_help_says_what_an_editor_needs() -> None:
    shown = CliRunner(env={"COLUMNS": "200"}).invoke(application, ["schema", "--help"]).output
    assert '"yaml.schemas": {"./connector.schema.json": "connectors/*.yaml"}' in shown
    assert "# yaml-language-server: $schema=" in shown
