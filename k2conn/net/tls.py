"""TLS towards venues, clusters and registries: the server's certificate and name are checked, unless told not to."""

from __future__ import annotations

import ssl
from os import PathLike

from k2conn.errors import SettingsError

File = str | PathLike[str]


def client_context(
    ca_file: File | None = None, verify: bool = True, cert_file: File | None = None, key_file: File | None = None
) -> ssl.SSLContext:
    """A client's context, with the system's authorities or those of a file. SettingsError names a file that cannot be
    used.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as error:  # not there, no PEM file, a name with a null byte
        raise SettingsError(f"ca_file {ca_file}: {getattr(error, 'strerror', None) or error}") from None
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert_file is not None:
        try:
            context.load_cert_chain(cert_file, key_file)
        except OSError as error:
            raise SettingsError(f"cert_file {cert_file} with key_file {key_file}: {error.strerror or error}") from None
    return context
