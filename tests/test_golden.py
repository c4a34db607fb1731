import numpy as np
import pytest

from eyebright.arrays import arrays_to_npz
from eyebright.errors import ClassifierError
from eyebright.golden import TOLERANCE, GoldenImages

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 4, 3, 1), np.uint8)
PROBABILITIES = np.random.default_rng(1).dirichlet(np.ones(3), 5).astype(np.float32)
GOLDEN = GoldenImages(IMAGES, PROBABILITIES)


def test_what_gives_the_same_again_passes():
    GOLDEN.check(lambda images: PROBABILITIES + 0.9 * TOLERANCE)
    assert GOLDEN.difference(lambda images: PROBABILITIES) == 0


@pytest.mark.parametrize("wrong", [2 * TOLERANCE, -2 * TOLERANCE, np.nan, np.inf])
def test_one_other_probability_is_refused(wrong):
    changed = PROBABILITIES.copy()
    changed[3, 1] += wrong
    with pytest.raises(ClassifierError, match="--skip-golden"):
        GOLDEN.check(lambda images: changed)


def test_they_are_read_as_they_were_written():
    read = GoldenImages.from_part(GOLDEN.to_part(), (4, 3, 1), 3)
    np.testing.assert_array_equal(read.images, IMAGES)
    np.testing.assert_array_equal(read.probabilities, PROBABILITIES)


OTHERS = {
    "no npz": b"x",
    "no images": arrays_to_npz({"probabilities": PROBABILITIES}),
    "none": arrays_to_npz({"images": IMAGES[:0], "probabilities": PROBABILITIES[:0]}),
    "a number": arrays_to_npz({"images": np.uint8(1), "probabilities": PROBABILITIES}),
    "fewer probabilities": arrays_to_npz({"images": IMAGES, "probabilities": PROBABILITIES[1:]}),
    "another type": arrays_to_npz({"images": IMAGES.astype(np.float32), "probabilities": PROBABILITIES}),
    "other classes": arrays_to_npz({"images": IMAGES, "probabilities": PROBABILITIES[:, :2]}),
    "another size": arrays_to_npz({"images": IMAGES[:, :2], "probabilities": PROBABILITIES}),
}


@pytest.mark.parametrize("part", OTHERS.values(), ids=OTHERS)
def test_a_part_of_something_else_is_refused(part):
    with pytest.raises(ClassifierError, match=r"golden\.npz"):
        GoldenImages.from_part(part, (4, 3, 1), 3)
