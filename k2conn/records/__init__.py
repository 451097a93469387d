"""Record types: each is an Avro schema (``trade_v2.avsc``) and a profile beside it (``trade_v2.profile.toml``).

The schema says what a record holds; the profile says what k2conn does with it. A type that has grown has several
schemas, its revisions, and one profile. Nothing else in k2conn knows a record
type by name, but for the gap records that it makes itself.
"""

from k2conn.avro import V2, WIDE, decimals_used, read_decimals, use_decimals
from k2conn.records.profile import ENGINE_ONLY, MOST_CONTENT, Profile
from k2conn.records.record import FILLABLE, TIMES, RecordType
from k2conn.records.registry import (
    add_records,
    earlier_schemas,
    earliest_revision,
    known_records,
    load_record,
    record_revisions,
    revision_of,
)
from k2conn.records.revisions import revision_files
from k2conn.records.standing import NEW, StandingRecords, stands

__all__ = [
    "ENGINE_ONLY",
    "FILLABLE",
    "MOST_CONTENT",
    "NEW",
    "TIMES",
    "V2",
    "WIDE",
    "Profile",
    "RecordType",
    "StandingRecords",
    "add_records",
    "decimals_used",
    "earlier_schemas",
    "earliest_revision",
    "known_records",
    "load_record",
    "read_decimals",
    "record_revisions",
    "revision_files",
    "revision_of",
    "stands",
    "use_decimals",
]
