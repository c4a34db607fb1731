"""TrivialAugment: one random operation an image, with a random strength, and nothing to tune."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eyebright.training.augmentation.matrices import ColourMaps, colour_maps, place_maps
from eyebright.training.augmentation.sampling import Numbers, Slot, whole_between

OPERATIONS = (
    "identity", "shear-x", "shear-y", "translate-x", "translate-y", "rotate", "brightness", "contrast", "saturation",
    "sharpness", "posterize", "solarize", "autocontrast",
)  # fmt: skip
_LARGEST_FACTOR = 0.99  # of shears, and by which brightness, contrast, saturation and sharpness change
_LARGEST_ANGLE = 135.0
_FARTHEST = 1 / 3  # of the image's side
_MOST_BITS = 6  # of 8, cleared by posterize


class TrivialAugment(NamedTuple):
    """What TrivialAugment does to each image: all but one of these leave it as it is.

    Attributes:
        places: float64 [k, B, 3, 3].
        colours: [k, B, C, C] each.
        others: the parameters of the other operations, by name, as `draw` returns them.
    """

    places: NDArray[np.float64]
    colours: ColourMaps
    others: dict[str, NDArray[Any]]


def draw_trivial_augment(numbers: Numbers, image_shape: tuple[int, int, int]) -> TrivialAugment:
    """Draw an operation and its strength for each image.

    After Müller and Hutter, "TrivialAugment: tuning-free yet state-of-the-art data augmentation" (2021), their wide
    ranges, with three differences: strengths are continuous, not of 31 steps; images move by at most a third of their
    side (theirs by 32 pixels, made for 224, is all of a CIFAR image); equalising histograms is left out, for it alone
    would cost as much as all the others. Grey images have no saturation to change, so that it is no choice for them.
    """
    height, width, channels = image_shape
    operations = [name for name in OPERATIONS if channels == 3 or name != "saturation"]
    u_operation, strength, u_sign = numbers.uniform(Slot.TRIVIAL, 3)  # [k, B] each
    chosen = np.array(operations)[whole_between(u_operation, 0, len(operations) - 1)]
    signed = np.where(u_sign < 0.5, -strength, strength)
    factor = 1 + _LARGEST_FACTOR * signed

    def where(operation: str, value: Any, neutral: Any) -> NDArray[Any]:
        values: NDArray[Any] = np.where(chosen == operation, value, neutral)
        return values

    places = place_maps(
        degrees=where("rotate", _LARGEST_ANGLE * signed, 0.0),
        shear_x=where("shear-x", _LARGEST_FACTOR * signed, 0.0),
        shear_y=where("shear-y", _LARGEST_FACTOR * signed, 0.0),
        move_x=where("translate-x", _FARTHEST * width * signed, 0.0),
        move_y=where("translate-y", _FARTHEST * height * signed, 0.0),
    )
    colours = colour_maps(
        channels,
        brightness=where("brightness", factor, 1.0),
        contrast=where("contrast", factor, 1.0),
        saturation=where("saturation", factor, 1.0),
    )
    bits_cleared = np.round(_MOST_BITS * strength).astype(np.int32)
    others = {
        "sharpness": where("sharpness", factor, 1.0).astype(np.float32),
        "kept_bits": where("posterize", 256 - 2**bits_cleared, 255).astype(np.uint8),
        "solarize_from": where("solarize", np.round(255 * (1 - strength)), 256).astype(np.int32),
        "autocontrast": chosen == "autocontrast",
    }
    return TrivialAugment(places, colours, others)
