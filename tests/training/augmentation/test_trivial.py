import numpy as np
import pytest

from eyebright.training.augmentation.sampling import Numbers
from eyebright.training.augmentation.trivial import OPERATIONS, TrivialAugment, draw_trivial_augment


def operations_of(trivial: TrivialAugment) -> np.ndarray:
    """The operation that changes each image, found by what is not neutral; more than one is an error."""
    channels = trivial.colours.own.shape[-1]
    own, mean, others = trivial.colours.own, trivial.colours.mean, trivial.others
    diagonal = own[..., np.arange(channels), np.arange(channels)]
    off_diagonal = own.sum(axis=(-2, -1)) - diagonal.sum(axis=-1)
    changed = {
        "shear-x": (trivial.places[..., 0, 1] != 0) & (trivial.places[..., 0, 0] == 1),
        "shear-y": (trivial.places[..., 1, 0] != 0) & (trivial.places[..., 0, 0] == 1),
        "translate-x": trivial.places[..., 0, 2] != 0,
        "translate-y": trivial.places[..., 1, 2] != 0,
        "rotate": trivial.places[..., 0, 0] != 1,
        "contrast": np.abs(mean).max(axis=(-2, -1)) > 1e-9,
        "saturation": np.abs(off_diagonal) > 1e-9,
        "brightness": (np.abs(off_diagonal) < 1e-9)
        & (np.abs(mean).max(axis=(-2, -1)) < 1e-9)
        & (np.abs(diagonal - 1).max(axis=-1) > 1e-9),
        "sharpness": others["sharpness"] != 1,
        "posterize": others["kept_bits"] != 255,
        "solarize": others["solarize_from"] != 256,
        "autocontrast": others["autocontrast"],
    }
    count = np.sum(list(changed.values()), axis=0)
    assert count.max() == 1
    names = np.full(count.shape, "identity", object)
    for name, where in changed.items():
        names[where] = name
    return names


@pytest.mark.parametrize("channels", [1, 3])
def test_each_image_has_one_operation_and_all_are_equally_frequent(channels):
    trivial = draw_trivial_augment(Numbers(0, np.arange(20), 650), (32, 32, channels))
    names, counts = np.unique(operations_of(trivial), return_counts=True)
    expected = set(OPERATIONS) - ({"saturation"} if channels == 1 else set())
    assert set(names) == expected
    share = 13_000 / len(expected)
    # Posterize with a strength that clears no bit changes nothing: one in twelve, counted as identity here.
    corrected = dict(zip(names, counts, strict=True)) | {"posterize": None, "identity": None}
    for count in filter(None, corrected.values()):
        assert abs(count - share) < 5 * np.sqrt(share)


def test_strengths_fill_their_ranges_both_ways():
    trivial = draw_trivial_augment(Numbers(1, np.arange(20), 1000), (30, 60, 3))
    places, others = trivial.places, trivial.others
    angles = np.rad2deg(np.arctan2(places[..., 1, 0], places[..., 0, 0]))[places[..., 0, 0] != 1]
    for values, bound in (
        (angles, 135),
        (places[..., 0, 2], 20),  # a third of the width
        (places[..., 1, 2], 10),
        (others["sharpness"] - 1, 0.99),
    ):
        assert -bound <= values.min() < -0.95 * bound
        assert 0.95 * bound < values.max() <= bound
    assert set(np.unique(others["kept_bits"])) == {255, 254, 252, 248, 240, 224, 192}
    thresholds = others["solarize_from"][others["solarize_from"] < 256]
    assert thresholds.min() < 5
    assert thresholds.max() > 250
