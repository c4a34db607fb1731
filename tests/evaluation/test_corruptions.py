import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyebright.evaluation.corruptions import CORRUPTIONS, STRENGTHS, corrupt

every_kind = pytest.mark.parametrize("kind", CORRUPTIONS)


@pytest.fixture(scope="module")
def photo():
    """Smooth colours with edges, uint8 [32, 32, 3]."""
    y, x = np.mgrid[:32, :32]
    waves = np.stack([np.sin(x / 5), np.cos(y / 4), np.sin((x + y) / 6)], axis=-1)
    image = 128 + 90 * waves
    image[8:16, 8:20] = (220, 40, 60)
    return image.astype(np.uint8)


@every_kind
def test_strength_0_is_the_image_itself(kind, photo):
    assert (corrupt(photo, kind, 0) == photo).all()


@every_kind
@given(
    shape=st.tuples(st.integers(1, 20), st.integers(1, 20), st.sampled_from([1, 3])),
    strength=st.sampled_from(STRENGTHS),
    seed=st.integers(0, 2**63 - 1),
)
def test_same_image_strength_and_seed_give_the_same_pixels(kind, shape, strength, seed):
    image = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    before = image.copy()
    once, again = corrupt(image, kind, strength, seed), corrupt(image, kind, strength, seed)
    assert (once == again).all()
    assert (once.shape, once.dtype) == (image.shape, np.uint8)
    assert (image == before).all()


@every_kind
def test_each_strength_changes_more_than_the_one_before(kind, photo):
    changes = [np.abs(corrupt(photo, kind, strength).astype(int) - photo).mean() for strength in (0, *STRENGTHS)]
    assert np.diff(changes).min() > 0


@pytest.mark.parametrize("kind", ["gaussian-noise", "brightness", "shift", "rotation", "occlusion"])
def test_what_is_drawn_depends_on_the_seed_and_on_the_image(kind, photo):
    of_seeds = {corrupt(photo, kind, 5, seed).tobytes() for seed in range(8)}
    assert len(of_seeds) >= 2
    of_images = set()
    for value in range(8):  # of one pixel, in a corner that is then left aside
        image = photo.copy()
        image[0, 0] = value
        of_images.add((corrupt(image, kind, 5).astype(int) - image)[8:, 8:].tobytes())
    assert len(of_images) >= 2


def test_noise_has_the_spread_that_it_says():
    grey = np.full((200, 200, 3), 128, np.uint8)
    for strength, share in zip(STRENGTHS, (0.04, 0.06, 0.08, 0.09, 0.10), strict=True):
        assert corrupt(grey, "gaussian-noise", strength).std() == pytest.approx(255 * share, rel=0.02)


def test_contrast_and_brightness_are_those_of_the_range_of_values(photo):
    assert corrupt(photo, "contrast", 2)[..., 0].std() == pytest.approx(photo[..., 0].std() / 2, rel=0.02)
    grey = np.full((8, 8, 1), 100, np.uint8)
    assert set(np.unique([corrupt(grey, "brightness", 5, seed) for seed in range(9)])) == {100 - 76, 100 + 76}


def test_a_shift_and_a_hidden_part_are_in_proportion_to_the_image():
    for side in (32, 64):
        line = np.zeros((side, side, 1), np.uint8)
        line[side // 2] = 255
        moved = {int(corrupt(line, "shift", 4, seed)[..., 0].sum(axis=1).argmax()) - side // 2 for seed in range(9)}
        assert moved == {-side // 8, side // 8}
        noise = np.random.default_rng(0).integers(0, 256, (side, side, 1), np.uint8)
        hidden = corrupt(noise, "occlusion", 2) == round(noise.mean())
        assert hidden.all(axis=-1).any(axis=1).sum() >= side // 4
        assert np.count_nonzero((corrupt(noise, "occlusion", 2) != noise).any(axis=-1)) <= (side // 4) ** 2


def test_an_unknown_strength_is_refused(photo):
    with pytest.raises(IndexError, match="strength 6: a whole number from 0 to 5"):
        corrupt(photo, "blur", 6)
