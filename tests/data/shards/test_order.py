"""The order of pictures over shards: properties that hold for any shards, batch, seed and number of workers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eyebright.data.shards.order import ShardOrder, lanes_for
from eyebright.errors import SettingsError

COUNTS = st.lists(st.integers(1, 12), min_size=1, max_size=12)


@st.composite
def orders(draw):
    counts = draw(COUNTS)
    batch_size = draw(st.integers(1, sum(counts)))
    return counts, batch_size, draw(st.integers(0, 2**64 - 1)), draw(st.integers(1, 16))


def pairs(rows):
    return list(zip(rows.shards.tolist(), rows.members.tolist(), strict=True))


def epoch(order, number):
    first = number * order.steps_per_epoch
    return [pair for step in range(first, first + order.steps_per_epoch) for pair in pairs(order.rows(step))]


@given(orders(), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_in_an_epoch_every_picture_comes_once_but_for_less_than_a_batch(drawn, number):
    counts, batch_size, seed, lanes = drawn
    found = epoch(ShardOrder(counts, batch_size, seed, lanes), number)
    everything = {(shard, member) for shard, count in enumerate(counts) for member in range(count)}
    assert len(set(found)) == len(found)
    assert set(found) <= everything
    assert len(everything) - len(found) == sum(counts) % batch_size


@given(orders(), st.sampled_from([1, 2, 4]), st.integers(0, 30))
@settings(max_examples=60, deadline=None)
def test_batches_are_the_same_for_any_number_of_workers(drawn, world, step):
    counts, batch_size, seed, lanes = drawn
    if sum(counts) < world:
        return
    batch_size = max(world, batch_size - batch_size % world)
    whole = pairs(ShardOrder(counts, batch_size, seed, lanes).rows(step))
    order = ShardOrder(counts, batch_size, seed, lanes)
    parts = [pairs(order.rows(step, rank, world)) for rank in range(world)]
    assert [pair for together in zip(*parts, strict=True) for pair in together] == whole


@given(orders(), st.integers(0, 50))
@settings(max_examples=30, deadline=None)
def test_a_step_depends_on_no_step_before_it(drawn, step):
    going_on = ShardOrder(*drawn)
    for earlier in range(step):
        going_on.rows(earlier)
    assert pairs(going_on.rows(step)) == pairs(ShardOrder(*drawn).rows(step))
    assert set(ShardOrder(*drawn).shards(step)) == {shard for shard, _ in pairs(going_on.rows(step))}


def test_epochs_and_seeds_have_orders_of_their_own():
    order, other = ShardOrder([20] * 5, 10, 0, 4), ShardOrder([20] * 5, 10, 1, 4)
    assert len({tuple(epoch(order, number)) for number in range(4)} | {tuple(epoch(other, 0))}) == 5


def test_a_worker_reads_its_lanes_shards_alone():
    order = ShardOrder([50] * 64, 32, 3, 16)
    read = [
        {shard for step in range(order.steps_per_epoch) for shard in order.shards(step, rank, 4)} for rank in range(4)
    ]
    assert [len(shards) for shards in read] == [16] * 4
    assert len(set.union(*read)) == 64


def test_few_shards_are_needed_at_a_time():
    order = ShardOrder([500] * 40, 64, 0, 8)
    assert max(len(order.shards(step)) for step in range(order.steps_per_epoch)) <= 2 * 8


def test_a_batch_is_near_to_a_random_one():
    """Of 64 shards, each with a class of its own, a batch of 128 has about as many classes as there are lanes."""
    order = ShardOrder([100] * 64, 128, 0, 16)
    classes = [len(np.unique(order.rows(step).shards)) for step in range(order.steps_per_epoch)]
    assert min(classes) >= 16


@pytest.mark.parametrize("batch_size", [0, 11])
def test_a_batch_of_none_or_of_more_than_all_is_refused(batch_size):
    with pytest.raises(SettingsError, match="give 1 … 10"):
        ShardOrder([5, 5], batch_size, 0, 1)


def test_lanes_have_room_in_memory():
    assert [lanes_for(megabytes * 10**6, 1024 * 10**6) for megabytes in (1, 32, 33, 64, 500, 2000)] == [
        16,
        16,
        8,
        8,
        1,
        1,
    ]
