"""A record type: its schema and its profile, and what follows from the two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from k2conn.avro import RecordSchema, SchemaField
from k2conn.records.profile import ENGINE_ONLY, Profile

FILLABLE = (
    "string", "boolean", "int", "long", "timestamp-micros", "timestamp-millis", "date", "decimal", "enum",
    "array<string>", "map<string>",
)
"""The kinds of field that a connector file can fill from a message: there is a converter for each."""

TIMES = {"timestamp-micros": 1, "timestamp-millis": 1000, "date": 86_400_000_000}
"""The kinds of field that hold a time, and the microseconds in a unit of each."""


@dataclass(frozen=True, slots=True, eq=False)
class RecordType:
    """One revision of a record type. ``name`` is the short name: trade."""

    name: str
    schema: RecordSchema
    profile: Profile
    more_places: Mapping[str, int] = field(default_factory=dict)
    """Decimals that have more places than in the default schema (`K2_DECIMALS`), and how many more."""
    revision: int = 1
    """Which revision of the type it is; the first is 1."""
    once_required: frozenset[str] = frozenset()
    """Fields that may be null in this revision, and could not in an earlier one: a connector file says so where they
    are, for a field that is forgotten or misspelt is another thing."""

    def field(self, name: str) -> SchemaField:
        """The schema's field of that name; KeyError where it has none."""
        return self.schema.fields[self.schema.index(name)]

    @property
    def authored(self) -> tuple[str, ...]:
        """The names that a connector file can have under `fields`, in schema order."""
        engine = [name for name in self.profile.engine if name in ENGINE_ONLY]
        return tuple(one.name for one in self.schema.fields if one.name not in engine)

    @property
    def mapped(self) -> tuple[SchemaField, ...]:
        """The fields that are read of an item and are nothing special: not the id, nothing of the engine's."""
        apart = (*self.profile.engine, self.profile.id)
        return tuple(one for one in self.schema.fields if one.name not in apart)

    def needed(self, name: str) -> bool:
        """Whether a connector file must say where the field comes from (but for the id, which `identity` replaces)."""
        if name in self.profile.engine:
            return name == "symbol"
        return name not in self.profile.defaults or name in self.once_required

    @property
    def microseconds(self) -> int:
        """Microseconds in a unit of the record's event time."""
        return TIMES[self.field(self.profile.time).kind]

    @property
    def shown(self) -> tuple[str, ...]:
        """The few fields that are worth a look, beside symbol and time: what makes a record this one and no other;
        where nothing does, its prices and amounts, or else its key.
        """
        profile = self.profile
        names = profile.content or (*profile.prices, *profile.amounts) or profile.key
        return tuple(name for name in names if name != profile.time)
