"""TLS towards a cluster or a registry: always verified, with the system's authorities or a given one."""

from __future__ import annotations

import ssl
from pathlib import Path

from k2conn.errors import SettingsError


def client_context(ca_file: Path | None, cert_file: Path | None, key_file: Path | None) -> ssl.SSLContext:
    """A verifying client's context. SettingsError naming the file that cannot be used."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise SettingsError(f"ca_file {ca_file}: {error.strerror or error}") from None
    if cert_file is not None:
        try:
            context.load_cert_chain(cert_file, key_file)
        except OSError as error:
            raise SettingsError(f"cert_file {cert_file} with key_file {key_file}: {error.strerror or error}") from None
    return context
