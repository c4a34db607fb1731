import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from eyebright.training.batches import batch_positions, steps_per_epoch

seeds = st.integers(0, 2**63 - 1)
sizes = st.integers(1, 200).flatmap(lambda images: st.tuples(st.just(images), st.integers(1, images)))


def epoch(seed, number, images, batch_size):
    """The images of one epoch in the order of their use."""
    length = steps_per_epoch(images, batch_size)
    return batch_positions(seed, np.arange(number * length, (number + 1) * length), images, batch_size).ravel()


@given(seeds, st.integers(0, 10**6), sizes)
def test_no_image_comes_twice_in_an_epoch_and_all_come_where_the_batch_size_divides(seed, number, size):
    images, batch_size = size
    seen = epoch(seed, number, images, batch_size)
    assert len(seen) == images - images % batch_size
    assert len(np.unique(seen)) == len(seen)
    assert 0 <= seen.min() <= seen.max() < images


@given(seeds, st.integers(0, 10**6))
def test_each_epoch_is_in_a_fresh_order(seed, number):
    orders = {tuple(epoch(seed, n, 30, 10)) for n in range(number, number + 4)}
    assert len(orders) == 4
    assert tuple(epoch(seed + 1, number, 30, 10)) not in orders


@given(seeds, st.integers(0, 10**6), sizes, st.integers(1, 30), st.data())
def test_a_step_has_the_same_batch_whichever_steps_it_is_asked_for_with(seed, first, size, count, data):
    steps = np.arange(first, first + count)
    together = batch_positions(seed, steps, *size)
    cut = data.draw(st.integers(0, count))
    batch_positions(seed + 1, steps, *size)  # what is remembered of another run must not show
    assert np.array_equal(batch_positions(seed, steps[cut:], *size), together[cut:])
    assert np.array_equal(batch_positions(seed, steps[:cut], *size), together[:cut])


@given(seeds)
def test_every_image_is_seen_equally_often_where_the_batch_size_divides(seed):
    rows = batch_positions(seed, np.arange(5 * 4), 12, 3)
    assert np.bincount(rows.ravel(), minlength=12).tolist() == [5] * 12


def test_images_left_out_of_an_epoch_are_others_each_time():
    images, batch_size, epochs = 10, 3, 2000  # one of the ten sits out each epoch
    counts = np.bincount(batch_positions(0, np.arange(3 * epochs), images, batch_size).ravel(), minlength=images)
    deviation = np.sqrt(epochs * 0.9 * 0.1)
    assert abs(counts - 0.9 * epochs).max() < 4 * deviation


def test_every_image_comes_everywhere_in_an_epoch():
    places = np.empty((2000, 8), np.int64)
    for number in range(len(places)):
        places[number] = np.argsort(epoch(7, number, 8, 2))
    deviation = np.sqrt((8**2 - 1) / 12 / len(places))  # of the mean of numbers uniform over 0 … 7
    assert abs(places.mean(axis=0) - 3.5).max() < 4 * deviation
