"""How far a partition is: only what is confirmed, with all before it, can be committed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from k2conn.consumer.accounts import TopicAccount
from k2conn.consumer.progress import PartitionProgress, RecordAccount
from k2conn.sinks.positions import SourcePartition, positions_of, suspected
from tests.support.sinks import trade

HERE = SourcePartition("t", 0)


@given(st.permutations(range(12)), st.integers(0, 12))
def test_in_whatever_order_records_are_confirmed(order: list[int], count: int) -> None:
    account = TopicAccount()
    progress = PartitionProgress(HERE, 100, account)
    for offset in range(12):
        progress.take(100 + offset)
    for at, offset in enumerate(order[:count], 1):
        progress.confirm(100 + offset, 5, dead=offset % 3 == 0)
        left = set(order[at:])
        assert progress.position == (100 + min(left) if left else 112)
        assert progress.in_flight == len(left)
        assert account.balanced
    progress.revoke()
    assert account.balanced
    assert account.released == 12 - count
    for offset in order[count:]:
        progress.confirm(100 + offset, 5, dead=False)  # the sink had them all the same
    assert account.balanced
    assert account.figures()["consumed"] == 12


def test_lag_is_what_is_not_durable() -> None:
    progress = PartitionProgress(HERE, 10, TopicAccount())
    progress.end = 15
    assert progress.lag == 5
    progress.take(10)
    progress.take(13)  # a compacted topic has holes
    assert (progress.position, progress.lag) == (10, 5)
    progress.confirm(10, 0, dead=False)
    assert (progress.position, progress.lag) == (13, 2)
    progress.lose(13)
    assert (progress.position, progress.lag, progress.account.lost) == (14, 1, 1)


def test_positions_of_a_batch() -> None:
    progress = PartitionProgress(HERE, 0, TopicAccount())
    batch = [trade(at, "t")._replace(account=RecordAccount(progress, at)) for at in range(5)]
    assert positions_of([*batch, trade(9, "t")]) == {HERE: 5}
    assert positions_of([batch[4], batch[1]]) == {HERE: 5}, "a dead letter may come behind later ones"
    assert [suspected(one, {HERE: 3}) for one in batch] == [True, True, True, False, False]
    assert not suspected(batch[0], {})
    assert not suspected(trade(9, "t"), {HERE: 3})
