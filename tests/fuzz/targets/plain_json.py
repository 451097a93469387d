"""JSON as a flat list of its values, in C (`c/plain_json.c`): the seeds."""

from __future__ import annotations

from collections.abc import Iterator

WORDS = (
    b"{}", b"[]", b'""', b'"a":', b",", b"null", b"true", b"false", b"-0", b"0.", b"1e5", b"\\u0041", b"\xc3\xa9",
    b"9223372036854775807",
    b"[[[[", b"]]]]", b"123456789012345678", b"1234567890123456789", b"0.123456789012345678901234567890123456789",
)


def seeds() -> Iterator[bytes]:
    """The text."""
    yield b'{"e":"trade","s":"BTCUSDT","t":12345,"p":"64000.10","q":0.00100000,"m":true,"b":null,"x":[]}'
    yield b' [ {"p" : "1.5"} , [ -3, 0, 0.5, -0.25 ] , false , "\xc3\xa9\xe2\x82\xac" , {} , "" ]\r\n\t'
    yield b'{"a":{"a":1,"b":2,"a":3},"b":[{"a":1},{"a":2}],"a":[1,2,3]}'
    yield b"[" * 16 + b"]" * 16
    yield b"[" * 17 + b"]" * 17
    yield b"[" + b",".join(b"%d" % number for number in range(63)) + b"]"
    yield b"[" + b",".join(b"%d" % number for number in range(64)) + b"]"
    yield from (b"1", b"-7", b"0", b"-0", b"01", b"1.", b".5", b"1.0e1", b"1e+99", b"-0.5E-07", b"1e100",
                b"1e", b"0e-", b"9" * 18, b"9" * 19,
                b"9223372036854775807", b"-9223372036854775807", b"9223372036854775808", b"-9223372036854775808",
                b"null", b"nul", b'"',
                  b"", b" ", b'{"a"}', b'{"a":}', b"[1,]", b"{,}", b"[}", b'"\\n"', b'"\x1f"', b"[1 2]", b'{"a":1,}')
