"""`--max-records N` ends with N records, whatever comes in one frame, one read, or from several connectors."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.integration.test_demo import end, start
from tests.integration.test_runner import ids, says
from tests.support.plans import trade, trades
from tests.support.venues import Run, Venue


@pytest.mark.parametrize("limit", [1, 3, 4, 5])
def test_a_frame_of_several_records_is_cut_where_the_limit_is(limit: int) -> None:
    async def main() -> None:
        frame = trades(*(trade(number) for number in range(4)))
        more = trades(*(trade(number) for number in range(4, 8)))
        async with Venue(says(frame, more)).open() as venue, Run(venue.plan(), max_records=limit) as run:
            outcome = await run.end(ask=False)
            assert outcome.exit_code == 0
            assert ids(run.sink) == [f"VENUE-{number}" for number in range(limit)]
            totals = run.ledger.totals()
            assert (totals["received"], totals["published"], totals["in_flight"]) == (limit, limit, 0)
            assert run.ledger.balanced()
            assert totals["filtered"] in (4 - limit, 8 - limit)  # the second frame may still have come
            assert run.runner.records == limit

    asyncio.run(main())


def test_dead_letters_count() -> None:
    async def main() -> None:
        frame = trades(trade(0, p="x"), trade(1), trade(2, p="x"), trade(3), trade(4, p="x"))
        async with Venue(says(frame)).open() as venue, Run(venue.plan(), max_records=3) as run:
            await run.end(ask=False)
            assert ids(run.sink) == ["VENUE-1"]
            totals = run.ledger.totals()
            assert (totals["received"], totals["published"], totals["dead_letters"]) == (3, 1, 2)

    asyncio.run(main())


def test_several_connectors_share_the_limit() -> None:
    async def main() -> None:
        frames = [trades(*(trade(10 * turn + number) for number in range(3))) for turn in range(5)]
        async with (
            Venue(says(*frames)).open() as one,
            Venue(says(*frames)).open() as two,
            Run(one.plan(), two.plan("other"), max_records=10) as run,
        ):
            assert (await run.end(ask=False)).exit_code == 0
            assert len(ids(run.sink)) == 10
            ledgers = [connector.connector_state.ledger for connector in run.runner.connectors]
            assert sum(ledger.totals()["published"] for ledger in ledgers) == 10
            assert all(ledger.balanced() for ledger in ledgers)

    asyncio.run(main())


def test_what_was_cut_is_no_repeat_for_the_next_process(tmp_path: Path) -> None:
    async def main() -> None:
        frame = trades(*(trade(number) for number in range(3)))
        async with Venue(says(frame), says(frame)).open() as venue:
            async with Run(venue.plan(), max_records=2, state_folder=tmp_path) as first:
                await first.end(ask=False)
            async with Run(venue.plan(), state_folder=tmp_path) as second:
                await second.until(lambda: "VENUE-2" in ids(second.sink))
                await second.end()
            assert set(ids(first.sink)) | set(ids(second.sink)) == {"VENUE-0", "VENUE-1", "VENUE-2"}

    asyncio.run(main())


def test_the_command_prints_exactly_as_many() -> None:
    mock = start("mock", "kraken", "coinbase", "--rate", "200")
    assert mock.stdout is not None
    variables = dict(mock.stdout.readline().strip().split("=", 1) for _ in range(2))
    try:
        run = start("run", "kraken", "coinbase", "--sink", "console", "--max-records", "7", "--port", "-1", **variables)
        out, err = end(run)
        assert run.returncode == 0, err
        assert len(out.splitlines()) == 7
    finally:
        mock.terminate()
        end(mock)
