import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from eyebright.augmentation import Augmentation
from eyebright.training.augmentation.matrices import ColourMaps
from eyebright.training.augmentation.parameters import draw
from eyebright.training.augmentation.sampling import Numbers
from eyebright.training.augmentation.trivial import draw_trivial_augment

SHAPE = (12, 10, 3)
EVERYTHING = Augmentation(
    flip="alternating", shift=3, rotate=10.0, zoom=0.2, shear=0.1, crop=0.5, brightness=0.2, contrast=0.2,
    saturation=0.2, hue=0.1, trivial_augment=True, cutout=4, erasing=0.5, mixup=0.2, cutmix=1.0, mix_probability=0.7,
)  # fmt: skip


def draw_steps(policy: Augmentation, steps, batch_size=4, seed=0, shape=SHAPE, **alternating):
    steps = np.asarray(steps, np.int64)
    rows = np.random.default_rng(0).integers(0, 100, (1000, batch_size)).astype(np.int32)[steps]
    return draw(policy, seed, steps, batch_size, shape, rows=rows, steps_per_epoch=7, **alternating)


@settings(deadline=None)
@given(steps=st.lists(st.integers(0, 999), max_size=6), seed=st.integers(0, 2**63 - 1))
def test_parameters_of_a_step_depend_on_seed_and_step_alone(steps, seed):
    together = draw_steps(EVERYTHING, steps, seed=seed)
    alone = [draw_steps(EVERYTHING, [step], seed=seed) for step in steps]
    for name, values in together.items():
        assert values.shape[:2] == (len(steps), 4)
        for i, parameters in enumerate(alone):
            np.testing.assert_array_equal(values[i], parameters[name][0], err_msg=name)


def test_other_seeds_and_other_steps_give_other_parameters():
    here, other_seed, other_step = (
        draw_steps(EVERYTHING, [step], batch_size=300, seed=seed) for seed, step in ((0, 1), (1, 1), (0, 2))
    )
    for name in here:
        assert not np.array_equal(here[name], other_seed[name]), name
        assert not np.array_equal(here[name], other_step[name]), name


@pytest.mark.parametrize(
    ("policy", "types"),
    [
        (Augmentation(), {}),
        (Augmentation(flip="random"), {"flip": (bool, ())}),
        (Augmentation(shift=1), {"down": (np.int32, ()), "right": (np.int32, ())}),
        (Augmentation(zoom=0.1), {"places": (np.float32, (3, 3))}),
        (Augmentation(hue=0.1), {"own_colour": (np.float32, (3, 3)), "mean_colour": (np.float32, (3, 3))}),
        (Augmentation(cutout=2), {"cutout": (np.int32, (4,))}),
        (Augmentation(erasing=0.1), {"erasing": (np.int32, (4,))}),
        (Augmentation(mixup=0.1), {"partner": (np.int32, ()), "share": (np.float32, ())}),
        (Augmentation(cutmix=0.1), {"partner": (np.int32, ()), "patch": (np.int32, (4,))}),
        (
            Augmentation(trivial_augment=True),
            {
                "places": (np.float32, (3, 3)), "own_colour": (np.float32, (3, 3)), "mean_colour": (np.float32, (3, 3)),
                "kept_bits": (np.uint8, ()), "solarize_from": (np.int32, ()), "autocontrast": (bool, ()),
                "sharpness": (np.float32, ()),
            },
        ),
    ],
)  # fmt: skip
def test_a_policy_decides_names_types_and_shapes(policy, types):
    for steps in ([], [5], [5, 6]):
        parameters = draw_steps(policy, steps)
        assert {name: (value.dtype.type, value.shape) for name, value in parameters.items()} == {
            name: (np.dtype(dtype).type, (len(steps), 4, *shape)) for name, (dtype, shape) in types.items()
        }


def test_an_operation_draws_the_same_whatever_else_is_on():
    everything = draw_steps(EVERYTHING, [3, 4])
    for alone in (
        Augmentation(flip="alternating"),
        Augmentation(shift=3),
        Augmentation(cutout=4),
        Augmentation(erasing=0.5),
    ):
        for name, value in draw_steps(alone, [3, 4]).items():
            np.testing.assert_array_equal(value, everything[name], err_msg=name)


def test_trivial_augment_comes_after_the_other_maps():
    both = {"rotate": 30.0, "shear": 0.5, "contrast": 0.5, "hue": 0.3}
    alone, together = (
        draw_steps(Augmentation(**both, trivial_augment=trivial), range(3), 50) for trivial in (False, True)
    )
    trivial = draw_trivial_augment(Numbers(0, np.arange(3), 50), SHAPE)
    np.testing.assert_allclose(together["places"], alone["places"] @ trivial.places, atol=1e-5)
    colours = ColourMaps(alone["own_colour"], alone["mean_colour"]).then(trivial.colours)
    np.testing.assert_allclose(together["own_colour"], colours.own, atol=1e-5)
    np.testing.assert_allclose(together["mean_colour"], colours.mean, atol=1e-5)
    np.testing.assert_array_equal(together["sharpness"], trivial.others["sharpness"])


def test_random_flips_are_half_of_all():
    flips = draw_steps(Augmentation(flip="random"), range(100), 100)["flip"]
    assert abs(flips.mean() - 0.5) < 0.02
    assert np.all(np.abs(flips.mean(axis=0) - 0.5) < 0.2)


def test_alternating_flips_mirror_each_image_in_exactly_every_other_epoch():
    images, batch_size, epochs = 60, 20, 6
    rng = np.random.default_rng(1)
    rows = np.concatenate([rng.permutation(images).reshape(3, batch_size) for _ in range(epochs)]).astype(np.int32)
    steps = np.arange(len(rows))
    flips = draw(Augmentation(flip="alternating"), 0, steps, batch_size, SHAPE, rows, steps_per_epoch=3)["flip"]
    by_epoch = np.empty((epochs, images), bool)
    for step in steps:
        by_epoch[step // 3, rows[step]] = flips[step]
    np.testing.assert_array_equal(by_epoch[1:], ~by_epoch[:-1])
    assert 15 < by_epoch[0].sum() < 45


@pytest.mark.parametrize("missing", ["rows", "steps_per_epoch"])
def test_alternating_flips_need_the_images_of_each_step(missing):
    given = {"rows": np.zeros((1, 4), np.int32), "steps_per_epoch": 7} | {missing: None}
    with pytest.raises(ValueError, match="give rows and steps_per_epoch"):
        draw(Augmentation(flip="alternating"), 0, np.arange(1), 4, SHAPE, **given)


def test_shifts_are_spread_evenly_over_both_directions():
    parameters = draw_steps(Augmentation(shift=2), range(100), 100)
    for name in ("down", "right"):
        counts = np.bincount(parameters[name].ravel() + 2)
        assert stats.chisquare(counts).pvalue > 1e-3
        assert len(counts) == 5
    assert abs(np.corrcoef(parameters["down"].ravel(), parameters["right"].ravel())[0, 1]) < 0.04


def test_rotation_zoom_and_shear_stay_in_their_ranges():
    places = draw_steps(Augmentation(rotate=30.0), range(50), 50)["places"]
    angles = np.rad2deg(np.arctan2(places[..., 1, 0], places[..., 0, 0]))
    assert stats.kstest(angles.ravel(), stats.uniform(-30, 60).cdf).pvalue > 1e-3
    np.testing.assert_allclose(np.linalg.det(places), 1, rtol=1e-5)
    np.testing.assert_array_equal(places[..., :2, 2], 0)
    zooms = 1 / draw_steps(Augmentation(zoom=0.2), range(50), 50)["places"][..., 0, 0]
    assert stats.kstest(zooms.ravel(), stats.uniform(0.8, 0.4).cdf).pvalue > 1e-3
    shears = draw_steps(Augmentation(shear=0.3), range(50), 50)["places"][..., 0, 1]
    assert stats.kstest(shears.ravel(), stats.uniform(-0.3, 0.6).cdf).pvalue > 1e-3


def test_crops_lie_in_the_image_and_have_the_area_asked_for():
    height, width, _ = SHAPE
    places = draw_steps(Augmentation(crop=0.3), range(50), 50)["places"]
    corners = places @ np.array([[-width / 2, -height / 2, 1], [width / 2, height / 2, 1]]).T  # [k, B, 3, 2]
    assert np.all(np.abs(corners[..., 0, :]) <= width / 2 + 1e-4)
    assert np.all(np.abs(corners[..., 1, :]) <= height / 2 + 1e-4)
    # As far out as it can be, too.
    assert np.abs(corners[..., 0, :]).max() > 0.99 * width / 2
    areas = places[..., 0, 0] * places[..., 1, 1]
    assert stats.kstest(areas.ravel(), stats.uniform(0.3, 0.7).cdf).pvalue > 1e-3


def test_brightness_is_spread_evenly_over_its_range():
    own = draw_steps(Augmentation(brightness=0.4), range(50), 50, shape=(8, 8, 1))["own_colour"]
    assert own.shape == (50, 50, 1, 1)
    assert stats.kstest(own.ravel(), stats.uniform(0.6, 0.8).cdf).pvalue > 1e-3


def sizes(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]


def is_inside(boxes: np.ndarray) -> bool:
    limits = np.array([SHAPE[0], SHAPE[1], SHAPE[0], SHAPE[1]])
    return bool(np.all((boxes >= 0) & (boxes <= limits) & (boxes[..., [2, 3, 2, 3]] >= boxes)))


@pytest.mark.parametrize("side", [1, 4, 5, 10])
def test_cutout_is_a_square_around_any_pixel_cut_off_at_the_edges(side):
    boxes = draw_steps(Augmentation(cutout=side), range(50), 50)["cutout"]
    assert is_inside(boxes)
    for size in sizes(boxes):
        assert size.min() == (side + 1) // 2  # its middle in a corner
        assert size.max() == side
    covered = np.zeros(SHAPE[:2], int)
    for top, left, bottom, right in boxes.reshape(-1, 4):
        covered[top:bottom, left:right] += 1
    assert covered.min() > 0


def test_erased_rectangles_have_the_area_and_frequency_asked_for():
    boxes = draw_steps(Augmentation(erasing=0.4), range(50), 50)["erasing"]
    assert is_inside(boxes)
    heights, widths = sizes(boxes)
    erased = heights > 0
    np.testing.assert_array_equal(erased, widths > 0)
    assert abs(erased.mean() - 0.4) < 0.04
    areas = (heights * widths)[erased] / (SHAPE[0] * SHAPE[1])
    assert 0.005 < areas.min() < 0.06
    assert 0.25 < areas.max() < 0.4
    assert abs(areas.mean() - (0.02 + 0.33) / 2) < 0.02


def test_an_image_of_one_pixel_can_be_erased_whole():
    boxes = draw_steps(Augmentation(erasing=1.0, cutout=1), range(3), shape=(1, 1, 1))
    for name in ("erasing", "cutout"):
        np.testing.assert_array_equal(boxes[name], np.broadcast_to([0, 0, 1, 1], (3, 4, 4)))


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_shares_of_mixup_are_of_the_beta_distribution(alpha):
    shares = draw_steps(Augmentation(mixup=alpha), range(50), 50)["share"]
    assert stats.kstest(shares.ravel().astype(float), stats.beta(alpha, alpha).cdf).pvalue > 1e-3


def test_partners_are_an_order_of_the_batch():
    partners = draw_steps(Augmentation(mixup=1.0), range(50), 20)["partner"]
    np.testing.assert_array_equal(np.sort(partners, axis=1), np.broadcast_to(np.arange(20), (50, 20)))
    assert len(np.unique(partners, axis=0)) == 50


def test_patches_of_cutmix_are_distributed_as_the_papers():
    shape = (12, 40, 3)
    boxes = draw_steps(Augmentation(cutmix=0.8), range(60), 60, shape=shape)["patch"].reshape(-1, 4)
    # The paper's procedure, one image after another.
    rng = np.random.default_rng(0)
    expected = []
    for _ in range(3600):
        part = np.sqrt(1 - rng.beta(0.8, 0.8))
        lengths, middles = [int(part * side) for side in shape[:2]], [rng.integers(side) for side in shape[:2]]
        firsts = [middle - length // 2 for middle, length in zip(middles, lengths, strict=True)]
        lasts = [first + length for first, length in zip(firsts, lengths, strict=True)]
        expected.append(np.clip([*firsts, *lasts], 0, [12, 40, 12, 40]))
    expected = np.array(expected)
    for edge in range(4):
        assert stats.ks_2samp(boxes[:, edge], expected[:, edge]).pvalue > 1e-3
    areas, expected_areas = (np.multiply(*sizes(each)) for each in (boxes, expected))
    assert stats.ks_2samp(areas, expected_areas).pvalue > 1e-3


def test_only_the_share_of_images_asked_for_is_mixed_each_in_one_way():
    parameters = draw_steps(Augmentation(mixup=0.5, cutmix=1.0, mix_probability=0.6), range(100), 100)
    blended = parameters["share"] < 1
    heights, widths = sizes(parameters["patch"])
    cut = heights * widths > 0
    assert not (blended & cut).any()
    assert abs(blended.mean() - 0.3) < 0.03
    assert 0.2 < cut.mean() < 0.33  # some patches are empty, smaller than a pixel
    parameters = draw_steps(Augmentation(mixup=0.5, mix_probability=0.6), range(100), 100)
    assert abs((parameters["share"] < 1).mean() - 0.6) < 0.03


def test_mixup_and_cutmix_of_a_vanishing_parameter_take_one_image_or_the_other():
    parameters = draw_steps(Augmentation(mixup=1e-9), range(20), 20)
    assert set(np.unique(parameters["share"])) == {0, 1}
