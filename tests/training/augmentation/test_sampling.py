import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from eyebright.training.augmentation.sampling import (
    Numbers,
    Slot,
    between,
    rectangle_sides,
    starting_sides,
    whole_between,
)


@given(
    seed=st.integers(0, 2**64 - 1),
    steps=st.lists(st.integers(0, 2**58 - 1), max_size=5),
    batch_size=st.integers(1, 6),
    per_image=st.integers(1, 3),
)
def test_numbers_of_a_step_do_not_depend_on_the_steps_beside_it(seed, steps, batch_size, per_image):
    together = Numbers(seed, np.array(steps, np.int64), batch_size)
    uniform, orders = together.uniform(Slot.CROP, per_image), together.orders(Slot.MIX_PARTNER)
    assert uniform.shape == (per_image, len(steps), batch_size)
    assert orders.shape == (len(steps), batch_size)
    assert orders.dtype == np.int32
    for i, step in enumerate(steps):
        alone = Numbers(seed, np.array([step], np.int64), batch_size)
        np.testing.assert_array_equal(uniform[:, i], alone.uniform(Slot.CROP, per_image)[:, 0])
        np.testing.assert_array_equal(orders[i], alone.orders(Slot.MIX_PARTNER)[0])
        np.testing.assert_array_equal(np.sort(orders[i]), np.arange(batch_size))


def test_steps_slots_and_seeds_have_numbers_of_their_own():
    drawn = [Numbers(seed, np.arange(20), 10).uniform(slot) for seed in (0, 1, 2**63) for slot in Slot]
    assert len(np.unique(drawn)) == 3 * len(Slot) * 200


def test_slots_keep_their_numbers():
    # A change would change every seed's meaning.
    assert {slot.name: int(slot) for slot in Slot} == {
        "FLIP": 0, "SHIFT": 1, "WARP": 2, "CROP": 3, "COLOUR": 4, "TRIVIAL": 5, "CUTOUT": 6, "ERASING": 7,
        "MIX_PARTNER": 8, "MIX_KIND": 9, "MIXUP": 10, "CUTMIX": 11,
    }  # fmt: skip


def test_whole_numbers_are_spread_evenly_and_stay_in_range():
    u = (np.arange(70_000) + 0.5) / 70_000
    np.testing.assert_array_equal(np.bincount(whole_between(u, -3, 3) + 3), np.full(7, 10_000))
    # The largest float below 1, times 5, rounds to 5.
    ends = np.array([2.0**-54, 1 - 2.0**-53, 1.0])
    assert whole_between(ends, -2, 2).tolist() == [-2, 2, 2]
    assert whole_between(ends, 0, np.array([4, 5, 6], np.int32)).tolist() == [0, 5, 6]


def test_between_reaches_both_ends():
    np.testing.assert_allclose(between(np.array([0.0, 0.25, 1.0]), -2, 6), [-2, 0, 6])


def test_half_the_images_start_on_each_side_and_each_always_on_the_same():
    rows = np.arange(100_000, dtype=np.int32)
    sides = starting_sides(5, rows)
    assert set(np.unique(sides)) == {0, 1}
    assert abs(sides.mean() - 0.5) < 0.01
    assert abs(np.mean(sides != starting_sides(6, rows)) - 0.5) < 0.01
    some = np.array([[3, 70_000], [1, 3]], np.int32)
    np.testing.assert_array_equal(starting_sides(5, some), sides[some])
    assert starting_sides(5, some[:0]).shape == (0, 2)


@given(
    u=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    areas=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)).map(lambda pair: (min(pair), max(pair))),
    widest=st.floats(1, 5),
)
def test_rectangles_fit_and_have_the_area_and_aspect_asked_for(u, areas, widest):
    height, width = rectangle_sides(np.array([u[0]]), np.array([u[1]]), areas, widest)
    assert 0 < height[0] <= 1
    assert 0 < width[0] <= 1
    assert areas[0] - 1e-9 <= height[0] * width[0] <= areas[1] + 1e-9
    assert 1 / widest - 1e-9 <= width[0] / height[0] <= widest + 1e-9


def test_rectangles_of_the_whole_area_are_the_image():
    u = np.linspace(0, 1, 11)
    for sides in rectangle_sides(u, u, (1.0, 1.0), 4 / 3):
        np.testing.assert_array_equal(sides, np.ones(11))
