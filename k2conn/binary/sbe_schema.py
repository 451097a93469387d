"""An SBE schema (XML, FIX Simple Binary Encoding 1.0) as the parts of its messages."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any
from xml.etree import ElementTree

from k2conn.binary.sbe_parts import Bytes, Constant, FieldBlock, Flags, Group, Mantissa, Named, VariableData
from k2conn.binary.structures import Cursor, Float, Number, Part, Repeated, Structure, Text

_CODES = {
    "int8": "b", "int16": "h", "int32": "i", "int64": "q", "uint8": "B", "uint16": "H", "uint32": "I", "uint64": "Q",
}
_FLOATS = {"float": "f", "double": "d"}
_HEADER = ("blockLength", "templateId", "schemaId", "version")
_MOST_ELEMENTS = 50_000


@dataclass(slots=True)
class Schema:
    """What a schema says of its frames. ``messages``: name and root block by template id."""

    number: int
    version: int
    header: Structure
    messages: dict[int, tuple[str, FieldBlock]]
    _head: Callable[[tuple[int, ...]], tuple[int, ...]] = field(init=False)
    """Of the numbers of a header those that _HEADER names."""

    def __post_init__(self) -> None:
        self._head = itemgetter(*([name for name, _ in self.header.members].index(one) for one in _HEADER))

    def read(self, data: bytes, most: int) -> dict[str, Any]:
        """A frame's message: its name (its number where the schema has none for it) and its members."""
        cursor = Cursor(data, most)
        length, template, number, version = self._header(cursor)
        if number != self.number:
            raise ValueError(f"schema {number}, not {self.number}")
        name, block = self.messages.get(template, (str(template), None))
        if block is None:
            return {"message": name, "body": None}
        body = block.read(cursor, {}, length, version)
        if version <= self.version:
            cursor.finish()
        return {"message": name, "body": body}

    def _header(self, cursor: Cursor) -> tuple[int, ...]:
        """The numbers of _HEADER."""
        numbers = self.header.numbers
        if numbers is None or not numbers.plain or numbers.size > cursor.end:
            header = self.header.read(cursor, {})
            return tuple(header[name] for name in _HEADER)
        cursor.count(len(numbers.members) + 1)
        cursor.at = numbers.size
        return self._head(numbers.unpack(cursor.data, 0))

    def write(self, name: str, body: Any) -> bytes:
        """The opposite; ValueError for what the schema has no message for."""
        for template, (own, block) in self.messages.items():
            if own == name:
                out = bytearray()
                said = dict(zip(_HEADER, (block.size, template, self.number, self.version), strict=True))
                self.header.write({**dict.fromkeys((one for one, _ in self.header.members), 0), **said}, out, {})
                block.write(body, out, {})
                return bytes(out)
        raise ValueError(f"no message is called {name}")


def schema(data: bytes) -> Schema:
    """Reads a schema; ValueError says why it cannot be used."""
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise ValueError("a schema has no document type of its own")
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise ValueError(f"the schema is no XML: {error}") from None
    if _tag(root) != "messageSchema" or sum(1 for _ in root.iter()) > _MOST_ELEMENTS:
        raise ValueError("the schema has no messageSchema, or is too large")
    try:
        return _Compiler(root).schema()
    except KeyError as error:
        raise ValueError(f"the schema lacks {error}") from None
    except RecursionError:
        raise ValueError("types of the schema stand within themselves") from None


class _Compiler:
    def __init__(self, root: ElementTree.Element) -> None:
        self._root = root
        self._order = ">" if root.get("byteOrder") == "bigEndian" else "<"
        self._types = {one.attrib["name"]: one for types in root if _tag(types) == "types" for one in types}

    def schema(self) -> Schema:
        root = self._root
        header = self._composite(self._types[root.get("headerType", "messageHeader")])
        if not isinstance(header, Structure) or not set(_HEADER) <= {name for name, _ in header.members}:
            raise ValueError(f"the schema's header has {', '.join(_HEADER)}")
        messages = {int(one.attrib["id"]): (one.attrib["name"], self._block(one, set()))
                    for one in root if _tag(one) == "message"}
        return Schema(int(root.attrib["id"]), int(root.get("version", "0")), header, messages)

    def _block(self, element: ElementTree.Element, outside: set[str]) -> FieldBlock:
        """``outside``: members of the blocks around it."""
        fields: list[tuple[str, int, Part]] = []
        groups: list[tuple[str, Group]] = []
        data: list[tuple[str, VariableData]] = []
        names: set[str] = set()
        outer: list[str] = []
        at = 0
        for one in element:
            name = one.get("name", "")
            if _tag(one) == "field":
                part = self._field(one)
                at = int(one.get("offset", at))
                fields.append((name, at, part))
                at += part.least
                exponent = getattr(part, "exponent", None)
                if isinstance(exponent, str) and exponent not in names:
                    if exponent not in outside:
                        raise ValueError(f"the exponent '{exponent}' of {name} is no field before it")
                    outer.append(exponent)
            elif _tag(one) == "group":
                groups.append((name, self._group(one, outside | names)))
            elif _tag(one) == "data":
                data.append((name, self._data(one)))
            names.add(name)
        size = int(element.get("blockLength", at))
        if size < at:
            raise ValueError(f"the block of {element.get('name')} is shorter than its fields")
        return FieldBlock(tuple(fields), tuple(groups), tuple(data), size, tuple(outer))

    def _group(self, element: ElementTree.Element, outside: set[str]) -> Group:
        dimensions = self._composite(self._types[element.get("dimensionType", "groupSizeEncoding")])
        if not isinstance(dimensions, Structure):
            raise ValueError("a group's dimensions are a composite")
        return Group(dimensions.members, self._block(element, outside), int(element.get("sinceVersion", "0")))

    def _data(self, element: ElementTree.Element) -> VariableData:
        members = {one.attrib["name"]: one for one in self._types[element.attrib["type"]]}
        text = members["varData"].get("characterEncoding") is not None
        return VariableData(self._plain(members["length"]), text, int(element.get("sinceVersion", "0")))

    def _field(self, element: ElementTree.Element) -> Part:
        said = element.attrib["type"]
        if element.get("presence") == "constant" and "valueRef" in element.attrib:
            return Constant(element.attrib["valueRef"].rpartition(".")[2])
        optional = element.get("presence") == "optional"
        exponent = next((value for key, value in element.attrib.items() if key.rpartition("}")[2] == "exponent"), None)
        return self._typed(said, optional, exponent)

    def _typed(self, name: str, optional: bool, exponent: str | None = None) -> Part:
        """The part of a type that is named: a primitive one, or one of the schema's."""
        if name in _CODES or name in _FLOATS or name == "char":
            return self._primitive(name, 1, optional, None, exponent)
        element = self._types[name]
        return self._element(element, optional, exponent)

    def _element(self, element: ElementTree.Element, optional: bool, exponent: str | None = None) -> Part:
        kind = _tag(element)
        if kind == "composite":
            return self._composite(element)
        if kind == "enum":
            return self._enum(element, optional)
        if kind == "set":
            number = self._encoded(element, False)
            if not isinstance(number, Number):
                raise ValueError(f"the set {element.get('name')} is no whole number")
            return Flags(number, {int(one.text or "0"): one.attrib["name"] for one in element})
        if kind == "ref":
            return self._typed(element.attrib["type"], optional)
        return self._plain(element, optional, exponent)

    def _plain(self, element: ElementTree.Element, optional: bool = False, exponent: str | None = None) -> Part:
        primitive, length = element.attrib["primitiveType"], int(element.get("length", "1"))
        optional = optional or element.get("presence") == "optional"
        if element.get("presence") == "constant":
            text = element.text or ""
            return Constant(int(text) if primitive in _CODES else text)
        return self._primitive(primitive, length, optional, element.get("nullValue"), exponent)

    def _primitive(
        self, primitive: str, length: int, optional: bool, null: str | None, exponent: str | None
    ) -> Part:
        if primitive == "char":
            return Text(length)
        if primitive == "uint8" and length > 1:
            return Bytes(length, exponent)
        if primitive in _FLOATS:
            return _several(Float(struct.Struct(self._order + _FLOATS[primitive])), length)
        layout = struct.Struct(self._order + _CODES[primitive])
        absent = _absent(primitive, layout.size, null) if optional else None
        return _several(Number(layout, exponent, absent), length)

    def _encoded(self, element: ElementTree.Element, optional: bool) -> Part:
        """The number behind an enum or a set; its type is a primitive one, or a name for that."""
        return self._typed(element.attrib["encodingType"], optional)

    def _enum(self, element: ElementTree.Element, optional: bool) -> Part:
        number = self._encoded(element, optional)
        text = isinstance(number, Text)
        values = {one.text or "": one.attrib["name"] for one in element}
        return Named(number, values if text else {int(key): name for key, name in values.items()})

    def _composite(self, element: ElementTree.Element) -> Part:
        parts = {one.attrib["name"]: self._element(one, False) for one in element}
        if set(parts) == {"mantissa", "exponent"}:
            optional = any(one.get("presence") == "optional" for one in element)
            mantissa = next(one for one in element if one.get("name") == "mantissa")
            return Mantissa(self._element(mantissa, optional), parts["exponent"])
        return Structure(element.attrib["name"], tuple(parts.items()))


def _several(part: Part, length: int) -> Part:
    return part if length == 1 else Repeated(part, length)


def _absent(primitive: str, size: int, said: str | None) -> int:
    """The number that stands for none: the smallest signed one, the largest unsigned one, where none is said."""
    if said is not None:
        return int(said)
    return (1 << 8 * size) - 1 if primitive.startswith("u") else -(1 << 8 * size - 1)


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


