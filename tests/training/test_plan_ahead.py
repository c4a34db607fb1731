import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyebright.settings import Settings
from eyebright.training.plan import Plan
from eyebright.training.plan_ahead import PlanAhead

SETTINGS = Settings(epochs=4, batch_size=10, augment="strong", schedule="linear", averaging="ema")


@pytest.fixture(scope="module")
def plan():
    return Plan(SETTINGS, np.arange(100), (8, 8, 3))  # 40 steps


@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=12), first=st.integers(0, 20))
def test_steps_are_those_of_the_plan_however_they_are_asked_for(plan, lengths, first):
    ahead = PlanAhead(plan)
    for length in lengths:
        numbers = np.arange(first, min(first + length, plan.total_steps))
        if not len(numbers):
            break
        given_out, expected = ahead.steps(numbers), plan.steps(numbers)
        for name in ("numbers", "rows", "learning_rates", "decays"):
            np.testing.assert_array_equal(getattr(given_out, name), getattr(expected, name))
        assert given_out.augmentation.keys() == expected.augmentation.keys()
        for name, array in expected.augmentation.items():
            np.testing.assert_array_equal(given_out.augmentation[name], array)
        first = int(numbers[-1]) + 1


def test_a_jump_is_planned_anew(plan):
    ahead = PlanAhead(plan)
    ahead.steps(np.arange(3))
    np.testing.assert_array_equal(ahead.steps(np.arange(20, 22)).rows, plan.steps(np.arange(20, 22)).rows)
