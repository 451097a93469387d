"""Signatures by a pair of keys: the one door to `cryptography`, which is an extra (`pip install 'k2conn[keys]'`).

Who signs has the private key, as PEM; the venue has the public one. Whatever is wrong with a key is said by the name of
its variable: nothing here shows any of the key, and what the library says of one is not passed on.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from k2conn.errors import SettingsError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

KINDS = {"ed25519": "Ed25519", "rsa-sha256": "RSA", "rsa-pss-sha256": "RSA", "ecdsa-p256-sha256": "ECDSA P-256"}
"""The algorithms, and what kind of key each signs with."""
ENCODINGS = {
    "ed25519": ("pem", "base64", "hex"), "rsa-sha256": ("pem",), "rsa-pss-sha256": ("pem",),
    "ecdsa-p256-sha256": ("pem",),
}
"""How a key of each may be written; the first where nothing is said. What is no PEM is the 32 bytes of an Ed25519 key.
"""
_SEED = 32
_MISSING = "needs a package more: pip install 'k2conn[keys]'"


def sign_with_pair(algorithm: str, encoding: str, variable: str, key: str, text: bytes) -> bytes:
    """The signature of a text. SettingsError, by the variable's name, where its key is none for this algorithm."""
    try:
        import cryptography.hazmat.primitives.asymmetric.ed25519  # noqa: F401
    except ImportError:
        raise SettingsError(f"{variable}: a signature by {algorithm} {_MISSING}") from None
    private = _from_pem(variable, key) if encoding == "pem" else _from_seed(variable, encoding, key)
    kind = _kind(private)
    if kind != KINDS[algorithm]:
        raise SettingsError(f"{variable}: {algorithm} signs with an {KINDS[algorithm]} key, and this is an {kind} key")
    try:
        return _SIGNERS[algorithm](private, text)
    except ValueError:  # RSA of fewer bits than a signature needs
        raise SettingsError(f"{variable}: the key is too short for {algorithm}") from None


def _from_pem(variable: str, text: str) -> Any:
    """A private key. Line ends may be written as a backslash and n, as they are in an environment of one line."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    text = text.replace("\\n", "\n")
    if "PUBLIC KEY-----" in text or "BEGIN CERTIFICATE-----" in text:
        raise SettingsError(f"{variable}: it holds a public key; the venue has that one, and here is the private one")
    try:
        return load_pem_private_key(text.encode(), password=None)
    except TypeError:
        raise SettingsError(f"{variable}: the key is encrypted: write it without its passphrase "
                            "(openssl pkey -in KEY -out FILE), into a file that only k2conn may read") from None
    except (ValueError, UnsupportedAlgorithm):
        raise SettingsError(f"{variable}: the signing key is no private key in PEM (-----BEGIN PRIVATE KEY-----); "
                            f"{variable}_FILE may name its file") from None


def _from_seed(variable: str, encoding: str, text: str) -> Any:
    """An Ed25519 key that is written as its 32 bytes, or with the 32 of its public key behind them."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        raw = base64.b64decode(text, validate=True) if encoding == "base64" else bytes.fromhex(text)
    except (binascii.Error, ValueError):
        raise SettingsError(f"{variable}: the signing key is no {encoding}") from None
    if len(raw) not in (_SEED, 2 * _SEED):
        raise SettingsError(f"{variable}: an Ed25519 key has {_SEED} bytes (or {2 * _SEED}, with its public key), "
                            f"and this one {len(raw)}")
    return Ed25519PrivateKey.from_private_bytes(raw[:_SEED])


def _kind(key: Any) -> str:
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1):
        return "ECDSA P-256"
    known = {Ed25519PrivateKey: "Ed25519", RSAPrivateKey: "RSA", EllipticCurvePrivateKey: "elliptic-curve"}
    return next((name for one, name in known.items() if isinstance(key, one)), "unknown")


def _rsa(key: RSAPrivateKey, text: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    return key.sign(text, PKCS1v15(), SHA256())


def _rsa_pss(key: RSAPrivateKey, text: bytes) -> bytes:
    """With a salt as long as the digest, which is what venues ask for."""
    from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
    from cryptography.hazmat.primitives.hashes import SHA256

    return key.sign(text, PSS(MGF1(SHA256()), PSS.DIGEST_LENGTH), SHA256())


def _ed25519(key: Any, text: bytes) -> bytes:
    found: bytes = key.sign(text)
    return found


def _p256(key: Any, text: bytes) -> bytes:
    """The two numbers side by side, as tokens have them (RFC 7518), and not as DER."""
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
    from cryptography.hazmat.primitives.hashes import SHA256

    first, second = decode_dss_signature(key.sign(text, ECDSA(SHA256())))
    return first.to_bytes(32, "big") + second.to_bytes(32, "big")


_SIGNERS: dict[str, Callable[[Any, bytes], bytes]] = {
    "ed25519": _ed25519, "rsa-sha256": _rsa, "rsa-pss-sha256": _rsa_pss,
    "ecdsa-p256-sha256": _p256,
}
