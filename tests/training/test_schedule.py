from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyebright.settings import Schedule, Settings
from eyebright.training.schedule import learning_rates, run_length

SCHEDULES = get_args(Schedule)


def rates(schedule, steps, total=100, **given):
    return learning_rates(Settings(epochs=1, schedule=schedule, **given), np.asarray(steps), total)


def test_run_length_counts_whole_batches_of_each_epoch_or_is_given():
    assert run_length(Settings(epochs=3, batch_size=30), 100) == 9
    assert run_length(Settings(max_steps=7, batch_size=30), 100) == 7


def test_constant_is_the_same_throughout_and_knows_no_end():
    assert rates("constant", range(100), learning_rate=0.3).tolist() == [np.float32(0.3)] * 100
    assert np.array_equal(rates("constant", range(50), 50), rates("constant", range(50), 5000))


def test_cosine_falls_from_the_peak_through_half_of_it_to_nothing():
    assert rates("cosine", [0, 50, 100], learning_rate=0.2) == pytest.approx([0.2, 0.1, 0.0], abs=1e-8)


def test_one_cycle_rises_over_three_tenths_and_falls_over_the_rest():
    found = rates("one-cycle", [0, 14, 29, 30, 65, 100], learning_rate=0.6)
    assert found == pytest.approx([0.02, 0.3, 0.6, 0.6, 0.3, 0.0], abs=1e-7)


def test_step_falls_to_a_tenth_and_a_hundredth():
    assert rates("step", [0, 49, 50, 74, 75, 99], learning_rate=1.0) == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_linear_falls_straight_from_the_peak_to_nothing():
    assert rates("linear", [0, 25, 50, 99, 100], learning_rate=0.4) == pytest.approx([0.4, 0.3, 0.2, 0.004, 0.0])


def test_triangular_rises_from_a_fifth_to_the_peak_and_falls_to_seven_hundredths():
    found = rates("triangular", [0, 23, 46, 100], 200, learning_rate=1.0)
    assert found == pytest.approx([0.2, 0.6, 1.0, 1 - 0.93 * 54 / 154])
    assert rates("triangular", [199, 200], 200, learning_rate=1.0) == pytest.approx([0.07 + 0.93 / 154, 0.07])
    whole = rates("triangular", range(200), 200)
    assert (np.diff(whole[:47]) > 0).all()
    assert (np.diff(whole[46:]) < 0).all()


def test_warm_up_multiplies_by_a_straight_line():
    assert rates("constant", [0, 1, 3, 4, 50], learning_rate=0.4, warmup_steps=4) == pytest.approx(
        [0.1, 0.2, 0.4, 0.4, 0.4]
    )
    with_cosine = rates("cosine", range(8), warmup_steps=4)
    assert with_cosine == pytest.approx(rates("cosine", range(8)) * [0.25, 0.5, 0.75, 1, 1, 1, 1, 1])


@given(st.sampled_from(SCHEDULES), st.integers(1, 500), st.integers(0, 50), st.floats(1e-6, 10), st.integers(0, 500))
def test_a_rate_depends_on_its_step_alone_and_never_passes_the_peak(schedule, total, warmup, peak, cut):
    given_settings = {"learning_rate": peak, "warmup_steps": warmup}
    steps = np.arange(total)
    whole = rates(schedule, steps, total, **given_settings)
    parts = [rates(schedule, part, total, **given_settings) for part in (steps[:cut], steps[cut:])]
    assert np.array_equal(np.concatenate(parts), whole)
    assert whole.dtype == np.float32
    assert ((whole > 0) & (whole <= np.float32(peak))).all()
