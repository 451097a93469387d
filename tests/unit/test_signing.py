"""Signatures by private keys: judged by the public key, and by what is said of a key that cannot sign."""

from __future__ import annotations

import base64
import builtins
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from k2conn.errors import SettingsError
from k2conn.signing import sign_with_pair

TEXT = b"1767323045678GET/ws"
ED25519 = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
RSA = rsa.generate_private_key(65537, 2048)
SHORT_RSA = rsa.generate_private_key(65537, 1024)
ELLIPTIC = ec.generate_private_key(ec.SECP256R1())


def pem(key: Any, form: PrivateFormat = PrivateFormat.PKCS8) -> str:
    return key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()  # type: ignore[no-any-return]


def signed(algorithm: str, key: str, encoding: str = "pem") -> bytes:
    return sign_with_pair(algorithm, encoding, "K2_VENUE_KEY", key, TEXT)


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("joined", ["\n", "\\n", "\r\n"])
def test_rsa_signatures_are_what_the_public_key_expects(form: PrivateFormat, joined: str) -> None:
    key = pem(RSA, form).strip().replace("\n", joined)
    RSA.public_key().verify(signed("rsa-sha256", key), TEXT, padding.PKCS1v15(), SHA256())
    pss = padding.PSS(padding.MGF1(SHA256()), SHA256.digest_size)
    RSA.public_key().verify(signed("rsa-pss-sha256", key), TEXT, pss, SHA256())
    with pytest.raises(InvalidSignature):
        RSA.public_key().verify(signed("rsa-sha256", key), TEXT, pss, SHA256())


def test_ed25519_signatures_are_those_of_the_key_however_it_is_written() -> None:
    wanted, seed = ED25519.sign(TEXT), bytes(range(32))
    whole = seed + ED25519.public_key().public_bytes_raw()
    assert signed("ed25519", pem(ED25519)) == wanted
    for raw in (seed, whole):
        assert signed("ed25519", base64.b64encode(raw).decode(), "base64") == wanted
        assert signed("ed25519", raw.hex(), "hex") == wanted


def test_the_numbers_of_an_ecdsa_signature_stand_side_by_side() -> None:
    for _ in range(20):  # one of them begins with a zero now and then
        found = signed("ecdsa-p256-sha256", pem(ELLIPTIC))
        assert len(found) == 64
        der = encode_dss_signature(int.from_bytes(found[:32], "big"), int.from_bytes(found[32:], "big"))
        ELLIPTIC.public_key().verify(der, TEXT, ec.ECDSA(SHA256()))


def test_ed25519_agrees_with_rfc_8032() -> None:
    """The first test of its section 7.1, over the empty text."""
    secret = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
    assert sign_with_pair("ed25519", "hex", "KEY", secret, b"").hex() == (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd2"
        "5bf5f0595bbe24655141438e7a100b")


ENCRYPTED = RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word")).decode()
PUBLIC = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize(("algorithm", "encoding", "key", "said"), [
    ("rsa-sha256", "pem", "no key at all", "the signing key is no private key in PEM"),
    ("rsa-sha256", "pem", pem(RSA)[:200], "the signing key is no private key in PEM"),
    ("rsa-sha256", "pem", ENCRYPTED, "the key is encrypted: write it without its passphrase"),
    ("rsa-sha256", "pem", PUBLIC, "it holds a public key"),
    ("rsa-sha256", "pem", pem(ED25519), "rsa-sha256 signs with an RSA key, and this is an Ed25519 key"),
    ("ed25519", "pem", pem(RSA), "ed25519 signs with an Ed25519 key, and this is an RSA key"),
    ("ecdsa-p256-sha256", "pem", pem(ec.generate_private_key(ec.SECP384R1())),
     "ecdsa-p256-sha256 signs with an ECDSA P-256 key, and this is an elliptic-curve key"),
    ("ecdsa-p256-sha256", "pem", pem(ED25519), "signs with an ECDSA P-256 key, and this is an Ed25519 key"),
    ("ed25519", "pem", pem(ELLIPTIC), "ed25519 signs with an Ed25519 key, and this is an ECDSA P-256 key"),
    ("ed25519", "hex", "xyzxyz", "the signing key is no hex"),
    ("ed25519", "base64", "!!", "the signing key is no base64"),
    ("ed25519", "hex", "0011", "an Ed25519 key has 32 bytes (or 64, with its public key), and this one 2"),
])
def test_a_key_that_cannot_sign_is_told_by_its_variable_and_not_shown(
    algorithm: str, encoding: str, key: str, said: str
) -> None:
    with pytest.raises(SettingsError) as found:
        signed(algorithm, key, encoding)
    assert str(found.value).startswith("K2_VENUE_KEY: ")
    assert said in str(found.value)
    assert not [line for line in key.splitlines() if len(line) > 3 and "-----" not in line and line in str(found.value)]
    assert found.value.__suppress_context__ or found.value.__context__ is None, "a library's words may hold the key"


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("cryptography"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SettingsError, match=r"K2_VENUE_KEY: a signature by ed25519 .* pip install 'k2conn\[keys\]'"):
        signed("ed25519", "x")
