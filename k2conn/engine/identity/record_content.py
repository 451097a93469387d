"""What a record says, as 14 bytes: by it a repeat is told from another record that has the same id.

A venue's ids may break: one given twice, always 0, the zero UUID for every settlement. So beside each id the dedup
window keeps a digest of the fields that the record's profile calls its content (a trade's price, quantity, side and
time). An equal id with equal content is a repeat; with other content it is another record, and gets its own id.

The digest has three parts, each 0 where it is not known: the event time in microseconds, a hash of the numbers, and one
of the words. Two deliveries of one record may differ in what they carry, so parts that one of them lacks say nothing,
and a time that was fetched, or came in a snapshot, is equal to one within a second: such answers are often rounded. A
time that is not the item's own (of receipt, or of the message that carries it) is no content at all.

`k2conn/native/content.h` makes the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from operator import mul
from struct import Struct
from typing import Any, NamedTuple

from k2conn.engine.identity.message_ids import uuid_text
from k2conn.plan import Stream
from k2conn.records import MOST_CONTENT, RecordType

KNOWN_NOT = bytes(14)
"""The content of a record of which nothing but its id is known: equal to any."""
SNAPSHOT, FETCHED = b"s", b"f"
"""Behind the content of records that did not come in the usual way."""
_LAYOUT = Struct(">QIH")
_ALL, _HALF = 2**64 - 1, 2**32 - 1
_FACTORS = tuple(pow(0x9E3779B97F4A7C15, power, 2**64) for power in range(1, MOST_CONTENT + 1))
_ROUNDED_US = 1_000_000
_WORDS = 1000
"""Different words whose hash is remembered."""
_LONGEST = 100
"""Characters of these."""

Content = Callable[[Sequence[Any], int], bytes]
"""(values, event time in microseconds or 0) -> the content."""


class ContentFields(NamedTuple):
    """The fields of one stream's records that are their content, by kind; ``timed``: the event time is, too."""

    numbers: tuple[str, ...]
    words: tuple[str, ...]
    timed: bool


def content_fields(stream: Stream, record: RecordType) -> ContentFields:
    """What of a record's content this stream reads of its items; what it always says the same is none."""
    read = {field.name: field for field in stream.fields if not field.constant}
    names = [name for name in record.profile.content if name in read and name != record.profile.time]
    words = tuple(name for name in names if record.field(name).kind in ("enum", "string"))
    timed = record.profile.time in record.profile.content and record.profile.time in read
    return ContentFields(
        tuple(name for name in names if name not in words), words, timed and read[record.profile.time].of_item
    )


def content_maker(numbers: Sequence[int], words: Sequence[int]) -> Content:
    """The content of records whose fields are in these places of their values."""
    pack, known = _LAYOUT.pack, {(): 0}
    word_of = known.get

    def learn(said: Any) -> int:
        row = said if type(said) is tuple else (said,)
        found = _hash_of(row) if words else 0
        if sum(len(word or "") for word in row) <= _LONGEST:
            if len(known) >= _WORDS:
                known.clear()
            known[said] = found
        return found

    if len(numbers) == 2 and len(words) == 1:
        one, two, (word,) = *numbers, words
        factor, other = _FACTORS[:2]

        def usual(values: Sequence[Any], time_us: int) -> bytes:
            try:
                number = (values[one] * factor + values[two] * other >> 32) & _HALF
            except TypeError:
                return any_content(values, time_us)
            said = values[word]
            return pack(time_us & _ALL, number, word_of(said) or learn(said))

    def any_content(values: Sequence[Any], time_us: int) -> bytes:
        number = sum(map(mul, [values[at] or 0 for at in numbers], _FACTORS)) >> 32 & _HALF
        said = tuple(values[at] for at in words)
        return pack(time_us & _ALL, number, word_of(said) or learn(said))

    return usual if len(numbers) == 2 and len(words) == 1 else any_content


def same_content(one: bytes, other: bytes) -> bool:
    """Whether two contents may be those of one record."""
    if one == other:
        return True
    (time, number, word), (its_time, its_number, its_word) = _LAYOUT.unpack(one[:14]), _LAYOUT.unpack(other[:14])
    if (number != its_number and number and its_number) or (word != its_word and word and its_word):
        return False
    if time == its_time or not time or not its_time:
        return True
    return one[14:] != other[14:] and abs(time - its_time) < _ROUNDED_US


def told_apart(message_id: str, content: bytes) -> str:
    """The message_id of a record whose own is another record's: the same for the same content on every delivery."""
    return uuid_text(hashlib.sha1(f"{message_id}|{content[:14].hex()}".encode(), usedforsecurity=False).hexdigest())


def _hash_of(words: Sequence[str | None]) -> int:
    """16 bits of FNV-1a over the words, each with a byte behind it that UTF-8 has not; never 0."""
    found = 2166136261
    for byte in b"".join([(word or "").encode("utf-8", "surrogatepass") + b"\xff" for word in words]):
        found = (found ^ byte) * 16777619 & _HALF
    return found & 0xFFFF or 1
