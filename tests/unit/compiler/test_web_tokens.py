"""Signed JSON Web Tokens: what they say, when they end, and what is wrong with a file that asks for one."""

from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from k2conn import exactjson
from k2conn.cli.plan_tables import sent_frames
from k2conn.compiler.compiler import check_text
from k2conn.plan import Plan, SendScope
from tests.support.plans import HEAD, STREAMS

NOW = 1_767_323_045
P256, ED25519 = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()
RSA = rsa.generate_private_key(65537, 2048)
KEYS: dict[str, Any] = {
    "ecdsa-p256-sha256": P256, "ed25519": ED25519, "rsa-sha256": RSA, "rsa-pss-sha256": RSA, "hmac-sha256": None,
    "hmac-sha384": None, "hmac-sha512": None,
}
SECRET = "a shared secret"
JWT = "jwt: {header: {kid: $env.K2_VENUE_NAME, nonce: $uuid}, claims: {iss: cdp, nbf: $now_s, aud: [a]}, lifetime: 2m}"


def file(sign: str) -> str:
    return HEAD + f"""
connection:
  url: wss://venue.example/ws
  sign: {{{sign}}}
  headers: {{Authorization: "Bearer {{$signature}}"}}
  steps: [{{send: {{op: sub, s: $symbols, token: $signature}}, for: trade, expect: first-data}}]
""" + STREAMS


def plan(sign: str) -> Plan:
    found, problems = check_text("venue.yaml", file(sign), Path())
    assert found is not None, problems
    return found


def token(sign: str, key: str) -> str:
    environment = {"K2_VENUE_KEY": key, "K2_VENUE_NAME": "me/1"}
    render = plan(sign).connections[0].sign
    assert render is not None
    made = render(SendScope(lambda: 1, lambda: "some-uuid", NOW * 1_000_000 + 999_999, {}, environment))
    assert isinstance(made, str)
    return made


def read(part: str) -> bytes:
    assert "=" not in part
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def verify(algorithm: str, signature: bytes, text: bytes) -> None:
    """Fails where it is none."""
    if algorithm.startswith("hmac-"):
        digest = getattr(hashlib, algorithm.removeprefix("hmac-"))
        assert signature == hmac.new(SECRET.encode(), text, digest).digest()
    elif algorithm == "ecdsa-p256-sha256":
        numbers = [int.from_bytes(one, "big") for one in (signature[:32], signature[32:])]
        P256.public_key().verify(encode_dss_signature(*numbers), text, ec.ECDSA(SHA256()))
    elif algorithm == "ed25519":
        ED25519.public_key().verify(signature, text)
    else:
        pss = padding.PSS(padding.MGF1(SHA256()), 32)
        RSA.public_key().verify(signature, text, pss if "pss" in algorithm else padding.PKCS1v15(), SHA256())


@pytest.mark.parametrize(("algorithm", "name"), [
    ("ecdsa-p256-sha256", "ES256"), ("ed25519", "EdDSA"), ("rsa-sha256", "RS256"), ("rsa-pss-sha256", "PS256"),
    ("hmac-sha256", "HS256"), ("hmac-sha384", "HS384"), ("hmac-sha512", "HS512"),
])
def test_a_token_is_what_its_receiver_expects(algorithm: str, name: str) -> None:
    private = KEYS[algorithm]
    key = SECRET if private is None else \
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    header, claims, signature = token(f"{JWT}, key: $env.K2_VENUE_KEY, algorithm: {algorithm}", key).split(".")
    assert exactjson.decode(read(header)) == {"alg": name, "typ": "JWT", "kid": "me/1", "nonce": "some-uuid"}
    assert exactjson.decode(read(claims)) == {"iss": "cdp", "nbf": NOW, "aud": ["a"], "exp": NOW + 120}
    verify(algorithm, read(signature), f"{header}.{claims}".encode())


def test_a_token_of_claims_alone() -> None:
    made = token("jwt: {claims: {sub: x}}, key: $env.K2_VENUE_KEY", "k")
    assert exactjson.decode(read(made.split(".")[1])) == {"sub": "x"}


def test_where_frames_are_shown_a_signature_is_its_word() -> None:
    shown = plan(f"{JWT}, key: $env.K2_VENUE_KEY")
    (frame,) = sent_frames(shown, shown.connections[0], ["BTC-USD"])
    assert '"token":"$signature"' in frame
    assert shown.connections[0].sign_text == (
        'a JWT of {"iss":"cdp","nbf":"$now_s","aud":["a"]} and the header {"kid":"$env.K2_VENUE_NAME","nonce":"$uuid"}'
        ", for 120 s   by hmac-sha256 with $env.K2_VENUE_KEY (text)"
    )


@pytest.mark.parametrize(("sign", "told"), [
    ("key: $env.K2_VENUE_KEY", "say one of the two: `over`, the text that is signed, or `jwt`"),
    ('over: x, jwt: {claims: {a: b}}, key: $env.K2_VENUE_KEY', "say one of the two: `over`"),
    ("jwt: {claims: {a: b}}, encoding: hex, key: $env.K2_VENUE_KEY", "how a token is written follows from `jwt`"),
    ("jwt: {claims: {a: b}, header: {alg: none}}, key: $env.K2_VENUE_KEY", "`alg` of a token's header follows from"),
    ("jwt: {claims: {exp: 1}, lifetime: 2m}, key: $env.K2_VENUE_KEY", "`exp` is said twice"),
    ("jwt: {claims: {a: b}, lifetime: 1500ms}, key: $env.K2_VENUE_KEY", "the times in a token are whole seconds"),
    ("jwt: {claims: {a: b}, lifetime: 0s}, key: $env.K2_VENUE_KEY", "is no time at all"),
    ("jwt: {claims: {a: $nothing}}, key: $env.K2_VENUE_KEY", "$nothing"),
    ("jwt: {claims: {a: b}}, key: secret", "a key is never written in a file"),
    ("jwt: {header: {kid: a}}, key: $env.K2_VENUE_KEY", "claims"),
])
def test_a_token_that_cannot_be_made(sign: str, told: str) -> None:
    found, problems = check_text("venue.yaml", file(sign), Path())
    assert found is None
    assert [one for one in problems if told in one.text], problems
