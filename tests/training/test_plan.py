import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eyebright.errors import SettingsError
from eyebright.settings import Settings
from eyebright.training.averaging import averaging_decays
from eyebright.training.batches import batch_positions
from eyebright.training.plan import Plan
from eyebright.training.schedule import learning_rates

TRAINING = np.array([2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37])
SHAPE = (8, 6, 3)
EVERYTHING = {
    "augment": "strong", "averaging": "swa", "schedule": "triangular", "warmup_steps": 3,
    "augmentation": {"rotate": 10.0, "brightness": 0.2, "trivial_augment": True, "erasing": 0.5, "mixup": 0.4},
}  # fmt: skip


def plan_of(**given):
    return Plan(Settings(**{"batch_size": 4, "epochs": 50, **given}), TRAINING, SHAPE)


def arrays_of(steps):
    """All arrays of some steps by name, each [k, …]."""
    own = {name: value for name, value in vars(steps).items() if name != "augmentation"}
    return own | steps.augmentation


@given(
    st.integers(0, 2**63 - 1),
    st.sampled_from([{}, {"augment": "standard", "averaging": "ema"}, EVERYTHING]),
    st.lists(st.integers(0, 149), min_size=1, max_size=12),
    st.integers(0, 12),
)
@settings(deadline=None, max_examples=25)
def test_what_a_step_is_does_not_depend_on_the_steps_that_are_asked_for_with_it(seed, chosen, numbers, cut):
    plan = plan_of(seed=seed, **chosen)
    together = arrays_of(plan.steps(np.array(numbers)))
    parts = [arrays_of(plan.steps(np.array(part, np.int64))) for part in (numbers[cut:], numbers[:cut]) if part]
    again = arrays_of(plan_of(seed=seed, **chosen).steps(np.array(numbers)))
    for name, whole in together.items():
        assert np.concatenate([part[name] for part in parts[::-1]]).tobytes() == whole.tobytes(), name
        assert again[name].tobytes() == whole.tobytes(), name
        assert len(whole) == len(numbers)


def test_a_step_is_made_of_batch_rate_average_and_augmentation():
    chosen = Settings(batch_size=4, epochs=50, seed=7, **EVERYTHING)
    plan, numbers = Plan(chosen, TRAINING, SHAPE), np.array([0, 8, 149])
    steps = plan.steps(numbers)
    assert plan.total_steps == 150  # three batches of four in twelve images
    assert len(steps) == 3
    assert (steps.rows == TRAINING[batch_positions(7, numbers, 12, 4)]).all()
    assert steps.rows.dtype == np.int32
    assert (steps.learning_rates == learning_rates(chosen, numbers, 150)).all()
    assert (steps.decays == averaging_decays(chosen, numbers, 150)).all()
    assert plan.policy == chosen.policy(SHAPE)
    assert {"flip", "down", "right", "places", "cutout", "erasing", "partner", "share"} <= steps.augmentation.keys()
    assert all(array.shape[:2] == (3, 4) for array in steps.augmentation.values())


def test_alternating_flips_show_every_image_from_both_sides_in_two_epochs():
    plan = plan_of(augmentation={"flip": "alternating"})
    steps = plan.steps(np.arange(6))
    flips = {image: set() for image in TRAINING.tolist()}
    for image, flip in zip(steps.rows.ravel().tolist(), steps.augmentation["flip"].ravel().tolist(), strict=True):
        flips[image].add(bool(flip))
    assert set(map(frozenset, flips.values())) == {frozenset({True, False})}


def test_without_augmentation_there_is_nothing_to_be_done():
    assert plan_of().steps(np.arange(3)).augmentation == {}


def test_an_operation_that_the_images_do_not_allow_is_refused():
    with pytest.raises(SettingsError, match=r"augmentation\.cutout = 7: .* these images are 8 × 6 × 3"):
        plan_of(augmentation={"cutout": 7})
