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
            context.load_cert_chain(cert_file, key_file, password="")  # a key with a password would ask for it
        except (OSError, ValueError) as error:
            text = getattr(error, "strerror", None) or error
            raise SettingsError(f"cert_file {cert_file} with key_file {key_file}: {text}") from None
    return context


def tls_trouble(error: BaseException | None) -> str | None:
    """What an error, or whatever caused it, says of TLS or a certificate; None where it is none of these. (An untrusted
    certificate is a ValueError and an OSError too, so this is asked first.)
    """
    seen = 0
    while error is not None and seen < _DEEPEST:
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"the certificate is not accepted: {error.verify_message or error.reason}"
        if isinstance(error, ssl.SSLEOFError):
            return "the other side ended the connection in the middle of TLS: does it want a client certificate?"
        if isinstance(error, ssl.SSLError):
            return _REASONS.get(error.reason or "", error.reason or str(error))
        if isinstance(error, ssl.CertificateError):
            return f"the certificate is not accepted: {error}"
        error, seen = error.__cause__ or error.__context__, seen + 1
    return None


_DEEPEST = 10
"""Causes of causes that are looked at."""
_REASONS = {
    "WRONG_VERSION_NUMBER": "what answers there does not speak TLS",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the server wants a client certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the server does not accept our client certificate",
    "TLSV1_ALERT_UNKNOWN_CA": "the server does not accept our client certificate (its authority is unknown there)",
}
