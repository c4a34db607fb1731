"""The random parameters of the augmentation: a pure function of (policy, seed, step)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.augmentation import Augmentation
from eyebright.training.augmentation.matrices import ColourMaps, colour_maps, place_maps
from eyebright.training.augmentation.sampling import (
    Numbers,
    Slot,
    between,
    rectangle_sides,
    starting_sides,
    whole_between,
)
from eyebright.training.augmentation.trivial import draw_trivial_augment

_WIDEST_CROP = 4 / 3
_WIDEST_ERASING = 10 / 3
_ERASED_AREAS = (0.02, 0.33)

Parameters = dict[str, NDArray[Any]]


def draw(
    policy: Augmentation,
    seed: int,
    steps: NDArray[np.int64],
    batch_size: int,
    image_shape: tuple[int, int, int],
    rows: NDArray[np.int32] | None = None,
    steps_per_epoch: int | None = None,
) -> Parameters:
    """Draw the parameters of some steps.

    A step's parameters depend on the policy, the seed, the step's number and the batch size alone, not on the other
    steps drawn with it; an operation's numbers don't change when another is switched on or off.

    Args:
        policy: what is done; `check_policy` has passed it.
        seed: the run's seed.
        steps: int64 [k], step numbers from 0, below 2⁵⁸.
        batch_size: B.
        image_shape: (H, W, C).
        rows: int32 [k, B], which images make each step; for alternating flips.
        steps_per_epoch: for alternating flips.

    Returns:
        Arrays [k, B, …] by name; which names and shapes, the policy alone decides. Step t's are `apply`'s parameters:

        - `flip` bool [k, B], if `policy.flip`; `down`, `right` int32 [k, B], if `policy.shift`: see `flip_and_shift`.
        - `places` float32 [k, B, 3, 3], if `policy.warps`: see `warp`.
        - `own_colour`, `mean_colour` float32 [k, B, C, C], if `policy.recolours`: see `recolour`.
        - `kept_bits` uint8, `solarize_from` int32, `autocontrast` bool, `sharpness` float32, all [k, B], if
          `policy.trivial_augment`: see `change_tones` and `sharpen`.
        - `cutout`, `erasing` int32 [k, B, 4], if the policy has them: see `erase`.
        - `partner` int32 [k, B], if `policy.mixes`; `share` float32 [k, B], if `policy.mixup`; `patch` int32
          [k, B, 4], if `policy.cutmix`: see `mix`.

    Raises:
        ValueError: alternating flips without `rows` or `steps_per_epoch`.

    >>> draw(Augmentation(shift=2), 0, np.arange(3), 5, (8, 8, 1))["down"].shape
    (3, 5)
    """
    numbers = Numbers(seed, steps, batch_size)
    parameters: Parameters = {}
    if policy.flip != "none":
        parameters["flip"] = _flips(policy, numbers, rows, steps_per_epoch)
    if policy.shift:
        parameters["down"], parameters["right"] = whole_between(
            numbers.uniform(Slot.SHIFT, 2), -policy.shift, policy.shift
        )
    if policy.warps or policy.recolours:
        parameters |= _maps(policy, numbers, image_shape)
    if policy.cutout:
        parameters["cutout"] = _squares(policy.cutout, numbers, image_shape)
    if policy.erasing:
        parameters["erasing"] = _erased_rectangles(policy.erasing, numbers, image_shape)
    if policy.mixes:
        parameters |= _mixtures(policy, numbers, image_shape)
    return parameters


def _flips(
    policy: Augmentation, numbers: Numbers, rows: NDArray[np.int32] | None, steps_per_epoch: int | None
) -> NDArray[np.bool]:
    if policy.flip == "random":
        flips: NDArray[np.bool] = numbers.uniform(Slot.FLIP)[0] < 0.5
        return flips
    if rows is None or steps_per_epoch is None:
        raise ValueError("alternating flips depend on the images of each step: give rows and steps_per_epoch")
    epochs = numbers.steps // steps_per_epoch  # [k]
    return np.not_equal(starting_sides(numbers.seed, rows), epochs[:, None] % 2)


def _maps(policy: Augmentation, numbers: Numbers, image_shape: tuple[int, int, int]) -> Parameters:
    """One map of places and one of colours, TrivialAugment's after the others."""
    trivial = draw_trivial_augment(numbers, image_shape) if policy.trivial_augment else None
    parameters: Parameters = dict(trivial.others) if trivial else {}
    if policy.warps:
        places = _place_maps(policy, numbers, image_shape)
        parameters["places"] = (places @ trivial.places if trivial else places).astype(np.float32)
    if policy.recolours:
        colours = _colour_maps(policy, numbers, image_shape[2])
        colours = colours.then(trivial.colours) if trivial else colours
        parameters["own_colour"] = colours.own.astype(np.float32)
        parameters["mean_colour"] = colours.mean.astype(np.float32)
    return parameters


def _place_maps(policy: Augmentation, numbers: Numbers, image_shape: tuple[int, int, int]) -> NDArray[np.float64]:
    u_degrees, u_zoom, u_shear = numbers.uniform(Slot.WARP, 3)  # [k, B] each
    u_area, u_aspect, u_down, u_right = numbers.uniform(Slot.CROP, 4)
    height, width = rectangle_sides(u_area, u_aspect, (policy.crop, 1.0), _WIDEST_CROP)
    zoom = between(u_zoom, 1 - policy.zoom, 1 + policy.zoom)
    return place_maps(
        degrees=between(u_degrees, -policy.rotate, policy.rotate),
        scale_x=width / zoom,
        scale_y=height / zoom,
        shear_x=between(u_shear, -policy.shear, policy.shear),
        move_x=(u_right - 0.5) * (1 - width) * image_shape[1],
        move_y=(u_down - 0.5) * (1 - height) * image_shape[0],
    )


def _colour_maps(policy: Augmentation, numbers: Numbers, channels: int) -> ColourMaps:
    u_brightness, u_contrast, u_saturation, u_hue = numbers.uniform(Slot.COLOUR, 4)  # [k, B] each
    return colour_maps(
        channels,
        between(u_brightness, 1 - policy.brightness, 1 + policy.brightness),
        between(u_contrast, 1 - policy.contrast, 1 + policy.contrast),
        between(u_saturation, 1 - policy.saturation, 1 + policy.saturation),
        between(u_hue, -policy.hue, policy.hue),
    )


def _squares(side: int, numbers: Numbers, image_shape: tuple[int, int, int]) -> NDArray[np.int32]:
    """Boxes int32 [k, B, 4] around any pixel, what sticks out cut off (DeVries and Taylor, "Cutout", 2017)."""
    u_down, u_right = numbers.uniform(Slot.CUTOUT, 2)
    sides = np.full(u_down.shape, side, np.int32)
    return _boxes_around(u_down, u_right, (sides, sides), image_shape)


def _erased_rectangles(probability: float, numbers: Numbers, image_shape: tuple[int, int, int]) -> NDArray[np.int32]:
    """Boxes int32 [k, B, 4] inside the image, some of them empty (Zhong et al., "Random erasing", 2020)."""
    u_erased, u_area, u_aspect, u_down, u_right = numbers.uniform(Slot.ERASING, 5)
    height, width, _ = image_shape
    parts = rectangle_sides(u_area, u_aspect, _ERASED_AREAS, _WIDEST_ERASING)
    heights, widths = (
        np.maximum(np.round(part * side), 1).astype(np.int32) for part, side in zip(parts, (height, width), strict=True)
    )
    top, left = whole_between(u_down, 0, height - heights), whole_between(u_right, 0, width - widths)
    boxes = np.stack([top, left, top + heights, left + widths], axis=-1)
    return np.where((u_erased < probability)[..., None], boxes, 0)


def _mixtures(policy: Augmentation, numbers: Numbers, image_shape: tuple[int, int, int]) -> Parameters:
    """MixUp (Zhang et al., "mixup", 2018) and CutMix (Yun et al., "CutMix", 2019), each image with numbers of its own.

    Images that are not mixed have the share 1 and an empty patch.
    """
    u_mixed, u_kind = numbers.uniform(Slot.MIX_KIND, 2)
    mixed = u_mixed < policy.mix_probability
    # Where both are on, each image has one or the other.
    cut = mixed & (u_kind < 0.5) if policy.mixup and policy.cutmix else mixed
    parameters: Parameters = {"partner": numbers.orders(Slot.MIX_PARTNER)}
    if policy.mixup:
        shares = _beta(numbers.uniform(Slot.MIXUP)[0], policy.mixup)
        blended = mixed & ~cut if policy.cutmix else mixed
        parameters["share"] = np.where(blended, shares, 1.0).astype(np.float32)
    if policy.cutmix:
        u_share, u_down, u_right = numbers.uniform(Slot.CUTMIX, 3)
        part = np.sqrt(1 - _beta(u_share, policy.cutmix))  # of each side
        sizes = (part * image_shape[0]).astype(np.int32), (part * image_shape[1]).astype(np.int32)
        patches = _boxes_around(u_down, u_right, sizes, image_shape)
        parameters["patch"] = np.where(cut[..., None], patches, 0)
    return parameters


def _boxes_around(
    u_down: NDArray[np.float64],
    u_right: NDArray[np.float64],
    sizes: tuple[NDArray[np.int32], NDArray[np.int32]],
    image_shape: tuple[int, int, int],
) -> NDArray[np.int32]:
    """int32 [k, B, 4]: (top, left, bottom, right) of boxes around random pixels, cut off at the image's edges.

    `sizes` are the boxes' heights and widths.
    """
    height, width, _ = image_shape
    top = whole_between(u_down, 0, height - 1) - sizes[0] // 2
    left = whole_between(u_right, 0, width - 1) - sizes[1] // 2
    boxes = np.stack([top, left, top + sizes[0], left + sizes[1]], axis=-1)
    return np.clip(boxes, 0, np.array([height, width, height, width], np.int32))


def _beta(u: NDArray[np.float64], alpha: float) -> NDArray[np.float64]:
    """Numbers in (0, 1) turned into ones of the distribution Beta(alpha, alpha), by the inverse of its integral."""
    from scipy.special import betaincinv

    return np.asarray(betaincinv(alpha, alpha, u))
