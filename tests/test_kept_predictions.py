from dataclasses import replace

import numpy as np

from eyebright.kept_predictions import Predictions

UNITS = np.array([0, 0, 1, 2])


def predictions(units=None, first=0):
    hashes = np.repeat(np.arange(first, first + 4, dtype=np.uint8)[:, None], 32, axis=1)
    labels = np.array([0, 1, 0, 1])
    return Predictions("a run", ("no", "yes"), (8, 8, 1), labels, labels == 0, hashes, units)


def test_the_groups_of_folds_stay_apart():
    joined = Predictions.joined("folds", [predictions(UNITS), predictions(None, 4), predictions(UNITS, 8)])
    assert joined.units.tolist() == [0, 0, 1, 2, 3, 4, 5, 6, 7, 7, 8, 9]
    assert Predictions.joined("folds", [predictions(), predictions(None, 4)]).units is None


def test_groups_follow_the_order_of_images():
    one = predictions(UNITS)
    order = np.array([2, 0, 3, 1])
    other = replace(one, labels=one.labels[order], image_sha256=one.image_sha256[order], units=None)
    assert one.like(other).units.tolist() == UNITS[order].tolist()
    assert other.like(one).units is None
