"""Standing back: how a commit that takes long gets through beside writers that commit all the time.

Of two commits on one snapshot the catalog takes the first. A rewrite of files takes longer to commit than an append, so
beside a busy writer it might never be the first. Then it notes in the table's properties until when it would like to be
alone; whoever appends sees that, at the latest after one commit more, and waits for so long.
"""

from __future__ import annotations

import time

from k2conn.clock import wall_ms
from k2conn.lake.catalog import IcebergTable

UNTIL = "k2conn.stand-back-until-ms"
"""The property: milliseconds since 1970 UTC."""
LEAST, MOST = 1.0, 10.0
"""Seconds that are asked for, and that a writer waits, whatever is asked for."""
_PAUSE = 0.02
_NOTES = 200


def stand_back(table: IcebergTable, took: float) -> None:
    """Asks for three times the seconds that the last attempt took. CommitFailedException where not even that gets
    through.
    """
    from pyiceberg.exceptions import CommitFailedException

    seconds = min(MOST, max(LEAST, 3 * took))
    for attempt in range(_NOTES):
        try:
            with table.transaction() as change:
                change.set_properties({UNTIL: str(wall_ms() + int(seconds * 1000))})
        except CommitFailedException:
            if attempt == _NOTES - 1:
                raise
            time.sleep(_PAUSE)
            table.refresh()
        else:
            return


def seconds_asked(table: IcebergTable) -> float:
    """For how long an append is to wait now."""
    text = table.metadata.properties.get(UNTIL, "")
    left = (int(text) - wall_ms()) / 1000 if text.isdecimal() else 0.0
    return min(MOST, max(0.0, left))
