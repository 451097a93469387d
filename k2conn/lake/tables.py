"""Tables: what the table of a record type looks like, how it is made, and in what an existing one differs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from k2conn.avro import SchemaField
from k2conn.errors import SinkError
from k2conn.lake.catalog import Catalog, IcebergTable, make_namespace, sorted_errors
from k2conn.lake.settings import LakeSettings
from k2conn.records import RecordType, known_records, load_record, record_revisions

DEAD = "dead_letters"
MOST_DIGITS = 38
"""Digits of Iceberg's largest decimal."""
PARTITION = "exchange"
_TIMES = ("timestamp-micros", "timestamp-millis")
_DEAD_FIELDS = (
    SchemaField("message_id", "string"), SchemaField("topic", "string"), SchemaField("symbol", "string", nullable=True),
    SchemaField("timestamp", "timestamp-micros"), SchemaField("document", "string"),
)
PROPERTIES = {
    # Two writers: the second one of two commits is ours to judge, for it may hold what the first one wrote.
    "commit.retry.num-retries": "0",
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": "50",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
    "write.parquet.compression-codec": "zstd",
    "write.parquet.compression-level": "3",
    # Rows are sorted by symbol: a question about one of many symbols reads a group or two of a file, not half of it.
    "write.parquet.row-group-limit": "32768",
    "write.delete.isolation-level": "snapshot",
    "write.update.isolation-level": "snapshot",
}




def as_we_write(table: IcebergTable) -> IcebergTable:
    """The table, with what holds for a writer of ours whatever the table says. Nothing of it is committed."""
    said = table.metadata.properties
    said["commit.retry.num-retries"] = PROPERTIES["commit.retry.num-retries"]
    said.setdefault("write.parquet.row-group-limit", PROPERTIES["write.parquet.row-group-limit"])
    return table


@dataclass(frozen=True)
class Shape:
    """What a table must be able to hold. ``kind``: the plural that people say (trades). ``time``: the column that its
    rows are spread by. ``key``: what a state is a state of; empty where a record is what it is.
    """

    kind: str
    name: str
    fields: tuple[SchemaField, ...]
    time: str
    key: tuple[str, ...] = ()
    closed: str | None = None
    reported: str = ""
    """The column of the time of a state's report."""
    earlier: tuple[tuple[SchemaField, ...], ...] = ()
    """The fields that earlier revisions of the record type have, the first one first."""

    @property
    def partitioned(self) -> bool:
        """Whether exchanges are kept apart."""
        return any(field.name == PARTITION for field in self.fields)

    @property
    def sorted_by(self) -> tuple[str, ...]:
        """The order of rows within a file."""
        names = {field.name for field in self.fields}
        return ("symbol", self.time) if "symbol" in names else (self.time,)

    def field(self, name: str) -> SchemaField:
        """The field of that name; StopIteration where there is none."""
        return next(field for field in self.fields if field.name == name)


def shape_of(settings: LakeSettings, record: RecordType | None) -> Shape:
    """The shape of a record type's table; None: that of dead letters."""
    if record is None:
        return Shape(DEAD, DEAD, _DEAD_FIELDS, "timestamp")
    profile = record.profile
    name = settings.table.replace("{plural}", profile.plural).replace("{record}", record.name)
    if name == DEAD:
        raise SinkError(f"{DEAD} is the name of the table of dead letters: a record type cannot have it")
    fields = record.schema.fields
    large = [f"{one.name} has {one.precision}" for one in fields
             if one.kind == "decimal" and one.precision > MOST_DIGITS]
    if large:
        raise SinkError(f"{name}: a decimal of the lake has at most {MOST_DIGITS} digits: {', '.join(large)}")
    own = [one for one in ("exchange", "symbol") if any(field.name == one for field in fields)] if profile.key else []
    earlier = tuple(one.schema.fields for one in record_revisions(record.name)[: record.revision - 1])
    time = profile.begin or profile.time
    return Shape(profile.plural, name, fields, time, (*own, *profile.key), profile.closed, profile.time, earlier)


def known_shapes(settings: LakeSettings) -> dict[str, Shape]:
    """The shapes of all record types, by plural, and that of dead letters."""
    shapes = [shape_of(settings, load_record(name)) for name in known_records()] + [shape_of(settings, None)]
    return {shape.kind: shape for shape in shapes}


def identifier(settings: LakeSettings, shape: Shape) -> tuple[str, str]:
    """The table's name for the catalog."""
    return settings.namespace, shape.name


def iceberg_type(field: SchemaField, maps: str) -> Any:
    """The type of a field's column. ``maps`` says how maps are kept, as the setting does."""
    from pyiceberg import types as iceberg

    if field.kind == "decimal":
        return iceberg.DecimalType(field.precision, field.scale)
    if field.kind == "map<string>" and maps == "json":
        return iceberg.StringType()
    kinds: dict[str, Any] = {
        "bytes": iceberg.BinaryType, "boolean": iceberg.BooleanType, "int": iceberg.IntegerType,
        "long": iceberg.LongType, "date": iceberg.DateType, **dict.fromkeys(_TIMES, iceberg.TimestamptzType),
    }
    made: dict[str, Any] = {
        "array<string>": lambda: iceberg.ListType(0, iceberg.StringType(), element_required=True),
        "map<string>": lambda: iceberg.MapType(0, iceberg.StringType(), 0, iceberg.StringType(), value_required=True),
    }
    return made.get(field.kind, kinds.get(field.kind, iceberg.StringType))()


def make_table(catalog: Catalog, settings: LakeSettings, shape: Shape) -> bool:
    """Makes the table, if there is none; whether it did."""
    from pyiceberg.exceptions import TableAlreadyExistsError
    from pyiceberg.schema import Schema, assign_fresh_schema_ids
    from pyiceberg.types import NestedField

    where = identifier(settings, shape)
    with sorted_errors(settings, shape.name):
        if catalog.table_exists(where):
            return False
        make_namespace(catalog, settings.namespace)
        schema = assign_fresh_schema_ids(Schema(*(
            NestedField(0, one.name, iceberg_type(one, settings.vendor_data), required=not one.nullable)
            for one in shape.fields
        )))
        try:
            catalog.create_table(where, schema, partition_spec=_partition(schema, shape),
                                 sort_order=_order(schema, shape), properties=PROPERTIES)
        except TableAlreadyExistsError:  # another process was quicker
            return False
    return True


def _partition(schema: Any, shape: Shape) -> Any:
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.transforms import DayTransform, IdentityTransform

    found = [PartitionField(schema.find_field(shape.time).field_id, 1000, DayTransform(), f"{shape.time}_day")]
    if shape.partitioned:
        found.append(PartitionField(schema.find_field(PARTITION).field_id, 1001, IdentityTransform(), PARTITION))
    return PartitionSpec(*found)


def _order(schema: Any, shape: Shape) -> Any:
    from pyiceberg.table.sorting import SortField, SortOrder
    from pyiceberg.transforms import IdentityTransform

    return SortOrder(*(
        SortField(source_id=schema.find_field(name).field_id, transform=IdentityTransform()) for name in shape.sorted_by
    ))


def of_revision(table: IcebergTable, shape: Shape) -> Shape | None:
    """The shape of the latest revision that a table has all columns for; None where it has those of none."""
    for fields in (shape.fields, *reversed(shape.earlier)):
        found = replace(shape, fields=fields)
        if not _problems(table, found):
            return found
    return None


def grow(table: IcebergTable, shape: Shape, maps: str) -> None:
    """Adds the columns that a table of an earlier revision has not, and lets those be null that may be now: a new
    schema of the table, no file is written again.
    """
    columns = {one.name: one for one in table.schema().fields}
    with table.update_schema() as change:
        for field in shape.fields:
            if field.name not in columns:
                change.add_column(field.name, iceberg_type(field, maps))
            elif field.nullable and columns[field.name].required:
                change.make_column_optional(field.name)


def check(table: IcebergTable, shape: Shape) -> None:
    """SinkError, with every difference, where the table is none that these records go into."""
    problems = _problems(table, shape)
    if problems:
        raise SinkError(f"the table {shape.name} is of another shape: {'; '.join(problems)}")


def _problems(table: IcebergTable, shape: Shape) -> list[str]:
    columns = {one.name: one for one in table.schema().fields}
    problems = [text for field in shape.fields if (text := _differs(field, columns.get(field.name)))]
    own = {field.name for field in shape.fields}
    problems += [f"{name} is required and no field of {shape.kind}" for name, one in columns.items()
                 if name not in own and one.required]
    return problems


def _differs(field: SchemaField, column: Any) -> str:
    """In what a column differs from the field that goes into it; nothing where it takes it whole."""
    wanted = iceberg_type(field, "map")
    if column is None:
        return f"{field.name} is missing ({_named(wanted)}{'' if field.nullable else ', required'})"
    if not _takes(field, column.field_type):
        size = " or larger" if field.kind == "decimal" else ""
        return f"{field.name} is {_named(column.field_type)}, not {_named(wanted)}{size}"
    if field.nullable and column.required:
        return f"{field.name} is required, but a record may have none"
    return ""


def _takes(field: SchemaField, found: Any) -> bool:
    from pyiceberg import types as iceberg

    if field.kind == "decimal":
        return isinstance(found, iceberg.DecimalType) and found.scale >= field.scale and (
            found.precision - found.scale >= field.precision - field.scale
        )
    if field.kind == "map<string>" and isinstance(found, iceberg.StringType):
        return True
    if field.kind == "int" and isinstance(found, iceberg.LongType):
        return True
    return _named(found) == _named(iceberg_type(field, "map"))


def _named(found: Any) -> str:
    return str(found)


def existing(catalog: Catalog, settings: LakeSettings, shapes: Iterable[Shape]) -> dict[str, IcebergTable]:
    """The tables that are there, of those shapes, by kind."""
    from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError

    found = {}
    with sorted_errors(settings):
        for shape in shapes:
            try:
                found[shape.kind] = catalog.load_table(identifier(settings, shape))
            except (NoSuchTableError, NoSuchNamespaceError):
                continue
    return found
