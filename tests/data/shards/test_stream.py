"""Batches straight from shards: the order that is promised, to the bit, from any step, for any number of workers."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eyebright.data.shards import ShardSize, ShardStream, write_shards
from eyebright.errors import SettingsError

from .conftest import numbered, numbers, numbers_of
from .test_writing import save


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    directory = tmp_path_factory.mktemp("shards")
    write_shards(save(numbered(200), directory / "a.npz"), directory / "shards", size=ShardSize(images=13))
    return directory / "shards"


def taken(stream, count, *arguments):
    return list(islice(stream.batches(*arguments), count))


def test_images_and_labels_are_those_of_the_data(shards):
    dataset, stream = numbered(200), ShardStream(shards, 20)
    assert (stream.images, stream.steps_per_epoch) == (150, 7)
    for images, labels in taken(stream, 15):
        places = numbers(images)
        assert (images.dtype, labels.dtype, images.shape) == (np.uint8, np.int32, (20, 5, 4, 3))
        assert (images == dataset.images[places]).all()
        assert (labels == dataset.labels[places]).all()


def test_each_split_is_streamed_by_itself(shards):
    train, test = ShardStream(shards, 150), ShardStream(shards, 50, split="test")
    assert sorted(numbers(next(train.batches()).images)) == list(range(150))
    assert sorted(numbers(next(test.batches()).images)) == list(range(150, 200))
    with pytest.raises(SettingsError, match=r"no split 'validation'\. There are: train, test"):
        ShardStream(shards, 10, split="validation")


def test_epochs_have_all_images_in_another_order(shards):
    stream = ShardStream(shards, 15)
    found = taken(stream, 20)
    epochs = [numbers_of(found[:10]), numbers_of(found[10:])]
    assert [sorted(epoch) for epoch in epochs] == [list(range(150))] * 2
    assert epochs[0] != epochs[1]
    assert epochs[0] != numbers_of(taken(ShardStream(shards, 15, seed=1), 10))


@given(st.integers(0, 40), st.sampled_from([1, 2, 4]))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_from_any_step_any_number_of_workers_go_on_to_the_bit(shards, step, world):
    stream = ShardStream(shards, 12, seed=5)
    whole = taken(stream, 3, step)
    parts = [taken(stream, 3, step, rank, world) for rank in range(world)]
    for number, batch in enumerate(whole):
        for rank in range(world):
            assert (parts[rank][number].images == batch.images[rank::world]).all()
            assert (parts[rank][number].labels == batch.labels[rank::world]).all()


def test_a_stream_that_goes_on_is_one_that_was_never_broken_off(shards):
    stream = ShardStream(shards, 12, seed=5)
    whole = taken(stream, 41)
    for step, batch in zip(range(40, 41), taken(stream, 1, 40), strict=True):
        assert (whole[step].images == batch.images).all()


@pytest.mark.parametrize(
    ("rank", "world", "message"), [(4, 4, "workers are numbered 0 … 3"), (0, 5, "Give a multiple of 5")]
)
def test_workers_that_cannot_be_are_refused(shards, rank, world, message):
    with pytest.raises(SettingsError, match=message):
        ShardStream(shards, 12).batches(0, rank, world)


@pytest.mark.parametrize("step", [-1, 2**62])
def test_steps_and_seeds_that_cannot_be_are_refused(shards, step):
    with pytest.raises(SettingsError, match=f"step {step}: give one from 0 on"):
        ShardStream(shards, 12).batches(step)
    with pytest.raises(SettingsError, match="0 workers: give at least 1"):
        ShardStream(shards, 12).batches(0, 0, 0)
    for seed in (-1, 2**64):
        with pytest.raises(SettingsError, match=f"seed {seed}: give 0"):
            ShardStream(shards, 12, seed=seed)


@pytest.mark.parametrize("lanes", [1, 3, 200])
def test_any_number_of_lanes_gives_every_image(shards, lanes):
    batches = taken(ShardStream(shards, 30, lanes=lanes), 5)
    assert sorted(numbers_of(batches)) == list(range(150))
