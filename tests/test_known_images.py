import numpy as np
import pytest

from eyebright.errors import DataError, SettingsError
from eyebright.known_images import KnownImages, training_sample

DIRECTIONS = np.eye(3, 4, dtype=np.float32)


def with_distances(n):
    return KnownImages(DIRECTIONS, np.arange(n, dtype=np.float64))


@pytest.mark.parametrize(("n", "share", "rank"), [(99, 0.01, 99), (999, 0.01, 990), (19, 0.05, 19), (100, 0.5, 51)])
def test_the_threshold_is_the_conformal_quantile(n, share, rank):
    assert with_distances(n).threshold(share) == rank - 1


def test_of_fresh_images_no_more_than_the_share_are_past_it():
    generator = np.random.default_rng(0)
    past = [
        (generator.random(2000) > KnownImages(DIRECTIONS, np.sort(generator.random(150))).threshold(0.05)).mean()
        for _ in range(300)
    ]
    assert 0.045 < np.mean(past) <= 0.0505


def test_too_few_validation_images_are_refused_with_how_many_it_takes():
    with pytest.raises(DataError, match=r"--unlike-share 0.01 needs at least 99 validation images; there are 98"):
        with_distances(98).threshold(0.01)
    with pytest.raises(DataError, match=r"there are 0"):
        with_distances(0).threshold()


@pytest.mark.parametrize("share", [0, 1, -0.1, float("nan")])
def test_what_is_no_share_is_refused(share):
    with pytest.raises(SettingsError, match=r"--unlike-share .*between 0 and 1"):
        with_distances(500).threshold(share)


def test_arrays_come_back_and_others_are_refused():
    known = with_distances(5)
    again = KnownImages.from_arrays(known.to_arrays(), 3)
    assert (again.directions == DIRECTIONS).all()
    assert (again.distances == known.distances).all()
    for change in (
        {"directions": DIRECTIONS[:2]},
        {"directions": DIRECTIONS.astype(np.float64)},
        {"directions": np.full((3, 4), np.nan, np.float32)},
        {"distances": np.array([1.0, 0.5])},
        {"distances": np.ones((2, 2))},
    ):
        with pytest.raises(ValueError, match="known images"):
            KnownImages.from_arrays({**known.to_arrays(), **change}, 3)


def test_the_sample_has_as_many_of_each_class_as_there_are_up_to_its_part():
    labels = np.repeat([0, 1, 2], [5000, 3000, 7]).astype(np.int32)
    training = np.arange(0, 8007, dtype=np.int64)[1:]
    sample = training_sample(labels, training, 3)
    assert np.bincount(labels[sample]).tolist() == [666, 666, 7]
    assert (np.diff(sample) > 0).all()
    assert set(sample) <= set(training)
    assert (sample == training_sample(labels, training, 3)).all()
    assert not np.array_equal(sample, training_sample(labels, training, 4))


def test_a_class_without_training_images_is_left_out_of_the_sample():
    labels = np.array([2, 2, 0, 1], np.int32)
    assert training_sample(labels, np.array([0, 1, 2]), 0).tolist() == [0, 1, 2]
